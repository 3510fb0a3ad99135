//! One call over HTTP: tried again, under the same request id, while what is in the way may pass.

use std::time::Duration;

use connect_core::retry::RetryPolicy;
use http::{Extensions, header};
use reqwest::{Request, Response, StatusCode};
use reqwest_middleware::Next;
use serde_json::Value as Json;

use crate::error::SnowflakeError;

type Result<T, E = SnowflakeError> = std::result::Result<T, E>;

/// How often one request is tried.
const ATTEMPTS: u32 = 6;
/// The pauses between tries.
const PAUSES: RetryPolicy = RetryPolicy {
    initial: Duration::from_millis(200),
    max: Duration::from_secs(10),
};
/// The longest that a server is believed when it says when to come back.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Requests of one call, sent until there is an answer.
pub(crate) struct Exchange<'a> {
    pub(crate) next: Next<'a>,
    pub(crate) extensions: &'a mut Extensions,
}

/// Why a try brought no answer.
pub(crate) enum Failure {
    Status(u16, Option<Duration>),
    Lost(Box<dyn std::error::Error + Send + Sync>),
}

impl Exchange<'_> {
    /// Sends a request again, with the same request id, until it is answered or has been tried often enough.
    pub(crate) async fn send(&mut self, request: Request) -> Result<Json> {
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

    pub(crate) async fn attempt(
        &mut self,
        request: Request,
    ) -> std::result::Result<Result<Json>, Failure> {
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

pub(crate) fn given_up(failure: Failure, attempts: u32) -> SnowflakeError {
    match failure {
        Failure::Status(status, _) => SnowflakeError::Status { status, attempts },
        Failure::Lost(source) => SnowflakeError::Lost { attempts, source },
    }
}
