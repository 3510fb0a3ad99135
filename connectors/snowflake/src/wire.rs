//! The middleware below snowflake-api: what the crate does not do.
//!
//! The account's URL, session tokens that are renewed, statements that are "in progress", tries again after 429 and 503
//! under the same request id, errors with their codes, and PUT without an upload. The crate above sees a server that never
//! lets a session expire and always answers at once.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use http::{Extensions, HeaderValue, header};
use reqwest::{Request, Response, Url};
use reqwest_middleware::{Middleware, Next};
use serde_json::{Value as Json, json};
use tokio::time::Instant;

use crate::error::SnowflakeError;
use crate::exchange::{Exchange, Failure, given_up};
use crate::url::AccountUrl;

/// How long one HTTP request may take: Snowflake answers "in progress" after 45 s.
const REQUEST_DEADLINE: Duration = Duration::from_secs(90);
/// How long a statement may be in progress.
const STATEMENT_DEADLINE: Duration = Duration::from_secs(30 * 60);
/// How long the crate above is told that tokens hold, in seconds: it shall never renew them.
const FOR_EVER: i64 = 10 * 365 * 24 * 3600;

const SESSION_EXPIRED: &str = "390112";
const IN_PROGRESS: [&str; 2] = ["333333", "333334"];

/// Names as a login gives them: the crate above folds their case.
#[derive(Debug, Clone)]
pub(crate) struct LoginNames {
    /// Query parameter and value.
    pub(crate) parameters: Vec<(&'static str, String)>,
}

#[derive(Debug, Default)]
struct Tokens {
    session: String,
    master: String,
}

/// The middleware of one session.
#[derive(Debug)]
pub(crate) struct Wire {
    url: AccountUrl,
    names: LoginNames,
    tokens: Mutex<Tokens>,
    upload: Mutex<Option<Json>>,
    failure: Mutex<Option<SnowflakeError>>,
}

type Result<T, E = SnowflakeError> = std::result::Result<T, E>;

impl Wire {
    pub(crate) fn new(url: AccountUrl, names: LoginNames) -> Self {
        Self {
            url,
            names,
            tokens: Mutex::default(),
            upload: Mutex::default(),
            failure: Mutex::default(),
        }
    }

    /// Where the last PUT is to upload to.
    pub(crate) fn take_upload(&self) -> Option<Json> {
        self.upload
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Why the last call failed.
    pub(crate) fn take_failure(&self) -> Option<SnowflakeError> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn tokens(&self) -> MutexGuard<'_, Tokens> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The request for the real account.
    fn redirect(&self, request: &mut Request) -> Result<Path> {
        let path = request.url().path().trim_start_matches('/').to_owned();
        let kind = match path.as_str() {
            "session/v1/login-request" => Path::Login,
            "session" => Path::Close,
            _ => Path::Statement,
        };
        let AccountUrl { scheme, host, port } = &self.url;
        let base = format!("{scheme}://{host}:{port}/{path}");
        let mut url =
            Url::parse(&base).map_err(|cause| SnowflakeError::Protocol(cause.to_string()))?;
        let ours = |key: &str| self.names.parameters.iter().any(|(name, _)| *name == key);
        {
            let mut pairs = url.query_pairs_mut();
            for (key, value) in request.url().query_pairs() {
                if !ours(&key) {
                    pairs.append_pair(&key, &value);
                }
            }
            if kind == Path::Login {
                pairs.extend_pairs(&self.names.parameters);
            }
        }
        *request.url_mut() = url;
        *request.timeout_mut() = Some(REQUEST_DEADLINE);
        Ok(kind)
    }

    fn authorize(request: &mut Request, token: &str) -> Result<()> {
        let mut value = HeaderValue::from_str(&format!("Snowflake Token=\"{token}\""))
            .map_err(|_| SnowflakeError::Protocol("a token that is no header".to_owned()))?;
        value.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, value);
        Ok(())
    }

    async fn statement(&self, request: Request, exchange: &mut Exchange<'_>) -> Result<Json> {
        let token = self.tokens().session.clone();
        let answer = self.authorized(request, &token, exchange).await?;
        let deadline = Instant::now() + STATEMENT_DEADLINE;
        let mut answer = answer;
        while code_of(&answer).is_some_and(|code| IN_PROGRESS.contains(&code)) {
            if Instant::now() >= deadline {
                return Err(SnowflakeError::Deadline(STATEMENT_DEADLINE));
            }
            // A real server holds the request for a while; one that does not is not to be asked without a pause.
            tokio::time::sleep(Duration::from_millis(100)).await;
            answer = self.poll(&answer, exchange).await?;
        }
        Ok(answer)
    }

    /// Sends a request, once more with a new token if the session's has expired.
    async fn authorized(
        &self,
        mut request: Request,
        token: &str,
        exchange: &mut Exchange<'_>,
    ) -> Result<Json> {
        Self::authorize(&mut request, token)?;
        let again = request.try_clone();
        let answer = exchange.send(request).await?;
        match again {
            Some(mut again) if code_of(&answer) == Some(SESSION_EXPIRED) => {
                let token = self.renew(exchange).await?;
                Self::authorize(&mut again, &token)?;
                exchange.send(again).await
            }
            _ => Ok(answer),
        }
    }

    async fn poll(&self, running: &Json, exchange: &mut Exchange<'_>) -> Result<Json> {
        let path = running
            .pointer("/data/getResultUrl")
            .and_then(Json::as_str)
            .ok_or_else(|| SnowflakeError::Protocol("in progress without a URL".to_owned()))?;
        let request = self.request(reqwest::Method::GET, path)?;
        let token = self.tokens().session.clone();
        self.authorized(request, &token, exchange).await
    }

    fn request(&self, method: reqwest::Method, path: &str) -> Result<Request> {
        let AccountUrl { scheme, host, port } = &self.url;
        let path = path.trim_start_matches('/');
        let url = Url::parse(&format!("{scheme}://{host}:{port}/{path}"))
            .map_err(|cause| SnowflakeError::Protocol(cause.to_string()))?;
        let mut request = Request::new(method, url);
        let accept = HeaderValue::from_static("application/snowflake");
        request.headers_mut().insert(header::ACCEPT, accept);
        *request.timeout_mut() = Some(REQUEST_DEADLINE);
        Ok(request)
    }

    /// A new session token for the master token: the session, and what is open in it, goes on.
    async fn renew(&self, exchange: &mut Exchange<'_>) -> Result<String> {
        let (old, master) = {
            let tokens = self.tokens();
            (tokens.session.clone(), tokens.master.clone())
        };
        let path = format!("session/token-request?requestId={}", request_id());
        let mut request = self.request(reqwest::Method::POST, &path)?;
        let body = json!({"oldSessionToken": old, "requestType": "RENEW"}).to_string();
        *request.body_mut() = Some(body.into());
        let kind = HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::CONTENT_TYPE, kind);
        Self::authorize(&mut request, &master)?;
        let answer = succeeded(exchange.send(request).await?)?;
        let field = |name: &str| {
            let value = answer.pointer(&format!("/data/{name}"));
            value.and_then(Json::as_str).map(str::to_owned)
        };
        let session = field("sessionToken")
            .ok_or_else(|| SnowflakeError::Protocol("a renewal without a token".to_owned()))?;
        let mut tokens = self.tokens();
        tokens.session.clone_from(&session);
        tokens.master = field("masterToken").unwrap_or(master);
        tracing::debug!("the session's token is renewed");
        Ok(session)
    }

    /// Keeps the tokens and tells the crate above that they hold for ever.
    fn logged_in(&self, mut answer: Json) -> Json {
        if let Some(Json::Object(data)) = answer.get_mut("data") {
            let field = |name: &str| {
                let value = data.get(name).and_then(Json::as_str);
                value.unwrap_or_default().to_owned()
            };
            *self.tokens() = Tokens {
                session: field("token"),
                master: field("masterToken"),
            };
            data.insert("validityInSeconds".to_owned(), json!(FOR_EVER));
            data.insert("masterValidityInSeconds".to_owned(), json!(FOR_EVER));
        }
        answer
    }

    /// Keeps the reply to a PUT and gives the crate above an empty one.
    fn without_upload(&self, answer: Json) -> Json {
        if answer.pointer("/data/command").and_then(Json::as_str) != Some("UPLOAD") {
            return answer;
        }
        *self.upload.lock().unwrap_or_else(PoisonError::into_inner) = answer.get("data").cloned();
        json!({
            "success": true, "code": null, "message": null,
            "data": {
                "parameters": [], "rowtype": [], "rowset": [], "total": 0, "returned": 0,
                "queryId": "", "finalRoleName": "", "statementTypeId": 0, "version": 1,
            },
        })
    }
}

fn request_id() -> String {
    let bits = fastrand::u128(..);
    let text = format!("{bits:032x}");
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-4{}-a{}-{}",
        part(0, 8),
        part(8, 12),
        part(13, 16),
        part(17, 20),
        part(20, 32)
    )
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Path {
    Login,
    Close,
    Statement,
}

fn code_of(answer: &Json) -> Option<&str> {
    answer.get("code").and_then(Json::as_str)
}

/// The answer, or the refusal it is.
fn succeeded(answer: Json) -> Result<Json> {
    if answer.get("success") == Some(&Json::Bool(true)) {
        return Ok(answer);
    }
    let field = |name: &str| answer.get(name).and_then(Json::as_str).unwrap_or_default();
    let code = match field("code") {
        "" => answer
            .pointer("/data/errorCode")
            .and_then(Json::as_str)
            .unwrap_or("unknown"),
        code => code,
    };
    Err(SnowflakeError::Refused {
        code: code.to_owned(),
        message: field("message").replace('\n', " "),
    })
}

impl Wire {
    async fn answer(&self, mut request: Request, exchange: &mut Exchange<'_>) -> Result<Json> {
        match self.redirect(&mut request)? {
            Path::Login => {
                let answer = succeeded(exchange.send(request).await?)?;
                Ok(self.logged_in(answer))
            }
            Path::Close => {
                let token = self.tokens().session.clone();
                Self::authorize(&mut request, &token)?;
                let outcome = exchange.attempt(request).await;
                outcome.map_err(|failure| given_up(failure, 1))?
            }
            Path::Statement => {
                let answer = succeeded(self.statement(request, exchange).await?)?;
                Ok(self.without_upload(answer))
            }
        }
    }

    /// Keeps an error, which would lose its code on its way through the crate above.
    fn kept(&self, error: SnowflakeError) -> reqwest_middleware::Error {
        let stub = std::io::Error::other(error.to_string());
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        reqwest_middleware::Error::middleware(stub)
    }
}

/// A part of a large result, which is in a store: asked for where it is, and without our token.
async fn part_of_result(
    mut request: Request,
    extensions: &mut Extensions,
    next: Next<'_>,
) -> Result<Response> {
    *request.timeout_mut() = Some(REQUEST_DEADLINE);
    let sent = next.run(request, extensions).await;
    let response = sent.map_err(|cause| given_up(Failure::Lost(cause.into()), 1))?;
    match response.status() {
        status if status.is_success() => Ok(response),
        status => Err(given_up(Failure::Status(status.as_u16(), None), 1)),
    }
}

#[async_trait]
impl Middleware for Wire {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        // All else is POST.
        if request.method() == reqwest::Method::GET {
            let part = part_of_result(request, extensions, next).await;
            return part.map_err(|error| self.kept(error));
        }
        let mut exchange = Exchange { next, extensions };
        let answer = self.answer(request, &mut exchange).await;
        let answer = answer.map_err(|error| self.kept(error))?;
        Ok(Response::from(http::Response::new(answer.to_string())))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sluice_stand_in_snowflake::{SnowflakeOptions, SnowflakeStandIn};

    use super::*;

    fn client(account: &str) -> (reqwest_middleware::ClientWithMiddleware, Arc<Wire>) {
        let parameters = Vec::new();
        let url = AccountUrl::parse(account).unwrap();
        let wire = Arc::new(Wire::new(url, LoginNames { parameters }));
        let builder = reqwest_middleware::ClientBuilder::new(reqwest::Client::new());
        (builder.with_arc(wire.clone()).build(), wire)
    }

    #[tokio::test]
    async fn parts_of_results_are_fetched_from_where_they_are() {
        let options = SnowflakeOptions::local(None);
        let store = SnowflakeStandIn::start(options).await.unwrap();
        let (client, wire) = client("http://127.0.0.1:9");
        let there = format!("{}/queries/none/result", store.url());
        let part = client.get(&there).send().await.unwrap();
        assert!(part.text().await.unwrap().contains("390111"));
        let missing = format!("{}/nothing", store.url());
        assert!(client.get(missing).send().await.is_err());
        let kept = wire.take_failure().unwrap().to_string();
        assert_eq!(kept, "HTTP status 404 after 1 attempts");
    }
}
