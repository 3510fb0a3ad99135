//! The middleware below snowflake-api: what the crate does not do.
//!
//! The account's URL, session tokens that are renewed, statements that are "in progress", tries again after 429 and 503
//! under the same request id, errors with their codes, and PUT without an upload. The crate above sees a server that never
//! lets a session expire and always answers at once.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use connect_core::retry::RetryPolicy;
use http::{Extensions, HeaderValue, header};
use reqwest::{Request, Response, StatusCode, Url};
use reqwest_middleware::{Middleware, Next};
use serde_json::{Value as Json, json};
use tokio::time::Instant;

use crate::error::SnowflakeError;
use crate::url::AccountUrl;

/// How often one request is tried.
const ATTEMPTS: u32 = 6;
/// The pauses between tries.
const PAUSES: RetryPolicy = RetryPolicy {
    initial: Duration::from_millis(200),
    max: Duration::from_secs(10),
};
/// The longest that a server is believed when it says when to come back.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
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

/// Requests of one call, sent until there is an answer.
struct Exchange<'a> {
    next: Next<'a>,
    extensions: &'a mut Extensions,
}

/// Why a try brought no answer.
enum Failure {
    Status(u16, Option<Duration>),
    Lost(Box<dyn std::error::Error + Send + Sync>),
}

impl Exchange<'_> {
    /// Sends a request again, with the same request id, until it is answered or has been tried often enough.
    async fn send(&mut self, request: Request) -> Result<Json> {
        let mut attempt = 1;
        loop {
            let again = request.try_clone();
            let this = again.ok_or_else(|| {
                SnowflakeError::Protocol("a body that cannot be sent again".to_owned())
            })?;
            let failure = match self.attempt(this).await {
                Ok(answer) => return answer,
                Err(failure) => failure,
            };
            if attempt >= ATTEMPTS {
                return Err(given_up(failure, attempt));
            }
            tokio::time::sleep(pause(attempt, &failure)).await;
            attempt += 1;
        }
    }

    async fn attempt(&mut self, request: Request) -> std::result::Result<Result<Json>, Failure> {
        let sent = self.next.clone().run(request, self.extensions).await;
        let response = sent.map_err(|cause| Failure::Lost(cause.into()))?;
        let status = response.status();
        let asked = retry_after(&response);
        let body = response
            .bytes()
            .await
            .map_err(|cause| Failure::Lost(cause.without_url().into()))?;
        if status.is_success() {
            let answer = serde_json::from_slice(&body);
            return Ok(answer.map_err(|cause| SnowflakeError::Protocol(cause.to_string())));
        }
        let passing = status.is_server_error()
            || matches!(
                status,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
            );
        if passing {
            return Err(Failure::Status(status.as_u16(), asked));
        }
        Ok(Err(SnowflakeError::Status {
            status: status.as_u16(),
            attempts: 1,
        }))
    }
}

fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    let seconds = value.parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_PAUSE))
}

fn pause(attempt: u32, failure: &Failure) -> Duration {
    match failure {
        Failure::Status(_, Some(asked)) => *asked,
        _ => PAUSES.pause(attempt, &connect_core::Error::external("")),
    }
}

fn given_up(failure: Failure, attempts: u32) -> SnowflakeError {
    match failure {
        Failure::Status(status, _) => SnowflakeError::Status { status, attempts },
        Failure::Lost(source) => SnowflakeError::Lost { attempts, source },
    }
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

#[async_trait]
impl Middleware for Wire {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let answered = async {
            let path = self.redirect(&mut request)?;
            let mut exchange = Exchange { next, extensions };
            match path {
                Path::Login => {
                    let answer = succeeded(exchange.send(request).await?)?;
                    Ok(self.logged_in(answer))
                }
                Path::Close => {
                    let token = self.tokens().session.clone();
                    Self::authorize(&mut request, &token)?;
                    exchange
                        .attempt(request)
                        .await
                        .map_err(|failure| given_up(failure, 1))?
                }
                Path::Statement => {
                    let answer = succeeded(self.statement(request, &mut exchange).await?)?;
                    Ok(self.without_upload(answer))
                }
            }
        };
        let answer: Result<Json> = answered.await;
        let answer = answer.map_err(|error| {
            let stub = std::io::Error::other(error.to_string());
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            reqwest_middleware::Error::middleware(stub)
        })?;
        Ok(Response::from(http::Response::new(answer.to_string())))
    }
}
