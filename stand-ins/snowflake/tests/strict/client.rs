//! A client as bare as can be: it does what a test says, also what no driver would do.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value as Json, json};
use sluice_stand_in_snowflake::{SnowflakeOptions, SnowflakeStandIn};

/// Makes the stage `S`.
pub(crate) const STAGE: &str = "CREATE STAGE s ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE')";
pub(crate) const PASSWORD: &str = "test-secret";

/// The code of a refusal.
pub(crate) type Outcome<T> = Result<T, String>;

pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    pub(crate) token: String,
    pub(crate) master: String,
}

pub(crate) async fn server() -> SnowflakeStandIn {
    SnowflakeStandIn::start(SnowflakeOptions::local(None))
        .await
        .unwrap()
}

/// A login by password.
pub(crate) fn by_password(user: &str, password: &str) -> Json {
    json!({"data": {"ACCOUNT_NAME": "TESTACCOUNT", "LOGIN_NAME": user, "PASSWORD": password}})
}

/// Place and names of the one schema.
pub(crate) const SCHEMA: &str = "databaseName=SHOP&schemaName=PUBLIC";

impl Client {
    /// A client that has logged in.
    pub(crate) async fn new(server: &SnowflakeStandIn) -> Self {
        let login = by_password("LOADER", PASSWORD);
        Self::login(server, SCHEMA, &login).await.unwrap()
    }

    pub(crate) async fn login(
        server: &SnowflakeStandIn,
        query: &str,
        body: &Json,
    ) -> Outcome<Self> {
        let mut client = Self {
            http: reqwest::Client::new(),
            url: server.url(),
            token: String::new(),
            master: String::new(),
        };
        let path = format!("session/v1/login-request?{query}");
        let answer = answered(client.post(&path, body).await)?;
        let field = |name: &str| answer["data"][name].as_str().unwrap().to_owned();
        client.token = field("token");
        client.master = field("masterToken");
        Ok(client)
    }

    /// The answer as it is.
    pub(crate) async fn post(&self, path: &str, body: &Json) -> Json {
        let authorization = format!("Snowflake Token=\"{}\"", self.token);
        let sent = self
            .http
            .post(format!("{}/{path}", self.url))
            .header("authorization", authorization)
            .json(body)
            .send()
            .await;
        sent.unwrap().json().await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Json {
        let authorization = format!("Snowflake Token=\"{}\"", self.token);
        let sent = self
            .http
            .get(format!("{}{path}", self.url))
            .header("authorization", authorization)
            .send()
            .await;
        sent.unwrap().json().await.unwrap()
    }

    /// Runs a statement: its rows, or the code of the refusal.
    pub(crate) async fn sql(&self, sql: &str) -> Outcome<Vec<Vec<Json>>> {
        static REQUESTS: AtomicU64 = AtomicU64::new(0);
        let request = REQUESTS.fetch_add(1, Ordering::Relaxed).to_string();
        let answer = answered(self.request(&request, sql).await)?;
        Ok(rows(&answer))
    }

    /// Runs a statement under a request id.
    pub(crate) async fn request(&self, request: &str, sql: &str) -> Json {
        let path = format!("queries/v1/query-request?requestId={request}");
        self.post(&path, &json!({"sqlText": sql})).await
    }

    /// The number a query answers with.
    pub(crate) async fn count(&self, table: &str) -> i64 {
        let rows = self.sql(&format!("SELECT COUNT(*) FROM {table}")).await;
        rows.unwrap()[0][0].as_str().unwrap().parse().unwrap()
    }

    /// Asks for a new session token.
    pub(crate) async fn renew(&mut self) -> Outcome<()> {
        let mut with_master = Self {
            http: self.http.clone(),
            url: self.url.clone(),
            token: self.master.clone(),
            master: String::new(),
        };
        let body = json!({"oldSessionToken": self.token, "requestType": "RENEW"});
        let answer = with_master.post("session/token-request?requestId=r", &body);
        let answer = answered(answer.await)?;
        let field = |name: &str| answer["data"][name].as_str().unwrap().to_owned();
        (self.token, self.master) = (field("sessionToken"), field("masterToken"));
        with_master.token.clear();
        Ok(())
    }

    pub(crate) async fn close(&self) -> Outcome<()> {
        answered(self.post("session?delete=true", &json!({})).await).map(drop)
    }

    /// Stages a file in the stage `S`, as a driver does: asks where to, and uploads.
    pub(crate) async fn stage(&self, name: &str, content: &str) {
        let upload = self.leave("S").await;
        let answer = upload.put(&self.http, name, content.as_bytes()).await;
        assert_eq!(answer, (200, String::new()));
    }

    /// Leave to upload to a stage.
    pub(crate) async fn leave(&self, stage: &str) -> Leave {
        let sql = format!("PUT file:///tmp/x @{stage}/ AUTO_COMPRESS=FALSE OVERWRITE=TRUE");
        let answer = answered(self.request("", &sql).await).unwrap();
        let info = &answer["data"]["stageInfo"];
        let text = |value: &Json| value.as_str().unwrap().to_owned();
        Leave {
            end_point: text(&info["endPoint"]),
            location: text(&info["location"]),
            key_id: text(&info["creds"]["AWS_KEY_ID"]),
            token: text(&info["creds"]["AWS_TOKEN"]),
        }
    }

    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.http
    }
}

/// Leave to upload, to be misused.
#[derive(Clone)]
pub(crate) struct Leave {
    pub(crate) end_point: String,
    pub(crate) location: String,
    pub(crate) key_id: String,
    pub(crate) token: String,
}

impl Leave {
    /// Uploads; the status, and the code of a refusal.
    pub(crate) async fn put(
        &self,
        http: &reqwest::Client,
        name: &str,
        content: &[u8],
    ) -> (u16, String) {
        let digest = digest(&gzip(content));
        self.put_as(http, name, content, &digest).await
    }

    pub(crate) async fn put_as(
        &self,
        http: &reqwest::Client,
        name: &str,
        content: &[u8],
        digest: &str,
    ) -> (u16, String) {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/20240310/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0",
            self.key_id
        );
        let sent = http
            .put(format!("{}/{}{name}", self.end_point, self.location))
            .header("authorization", authorization)
            .header("x-amz-security-token", &self.token)
            .header("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
            .header("x-amz-meta-sfc-digest", digest)
            .body(gzip(content))
            .send()
            .await
            .unwrap();
        let status = sent.status().as_u16();
        let body = sent.text().await.unwrap();
        let code = body.split("<Code>").nth(1);
        let code = code.and_then(|rest| rest.split("</Code>").next());
        (status, code.unwrap_or_default().to_owned())
    }
}

pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn digest(content: &[u8]) -> String {
    use base64::Engine;
    use sha2::Digest;
    base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(content))
}

/// The answer, or the code of the refusal.
pub(crate) fn answered(answer: Json) -> Outcome<Json> {
    if answer["success"] == true {
        Ok(answer)
    } else {
        Err(answer["code"].as_str().unwrap_or("none").to_owned())
    }
}

pub(crate) fn rows(answer: &Json) -> Vec<Vec<Json>> {
    let rows = answer["data"]["rowset"].clone();
    serde_json::from_value(rows).unwrap_or_default()
}

/// A refusal with this code.
pub(crate) fn refused<T>(code: &str) -> Outcome<T> {
    Err(code.to_owned())
}
