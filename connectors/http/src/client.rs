//! Sends a request and reads its answer within the limits: time, size, redirects.
//!
//! Errors name method and URL without its query, and hold neither headers nor content: no secret gets out.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use connect_core::{Error, ErrorKind, Result, RetryVerdict};
use reqwest::header::{
    ETAG, HeaderMap, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LINK, RETRY_AFTER,
};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Response, StatusCode, Url};

use crate::config::{ConnectionOptions, HttpSourceConfig, Method};
use crate::pagination::next_link;
use crate::position::Validators;
use crate::request::{Request, Requests, may_follow, shown};

/// A server that says "at once" is not asked at once: it has just refused.
const RETRY_AFTER_MIN: Duration = Duration::from_millis(250);

/// What an answer brings.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Nothing new since the last one.
    NotModified,
    /// A page.
    Page(PageBody),
    /// A refusal that may mean that there is no such page (any more): 400, 404, 410.
    NoPage(Error),
}

/// The parts of a page that matter.
#[derive(Debug)]
pub(crate) struct PageBody {
    /// Where it came from, after redirects.
    pub(crate) url: Url,
    pub(crate) body: Bytes,
    /// The `Link` header's next page, as spelled there.
    pub(crate) link: Option<String>,
    pub(crate) validators: Validators,
}

/// A client with the source's limits.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    limits: Arc<ConnectionOptions>,
}

impl Client {
    /// Reads the CA file; makes no connection.
    pub(crate) fn new(config: &HttpSourceConfig, requests: &Requests) -> Result<Self> {
        let limits = &config.connection;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")))
            .default_headers(requests.headers()?)
            .connect_timeout(limits.connect_timeout)
            .timeout(limits.request_timeout)
            .redirect(redirects(limits.redirects_max, requests.base().clone()))
            .referer(false)
            .no_proxy();
        if let Some(path) = &limits.ca_file {
            builder = builder.tls_built_in_root_certs(false);
            for certificate in certificates(path)? {
                builder = builder.add_root_certificate(certificate);
            }
        }
        if let Some(proxy) = &limits.proxy {
            let proxy = reqwest::Proxy::all(proxy.expose().as_str());
            // The cause may spell the URL, and the URL may hold a password.
            builder =
                builder.proxy(proxy.map_err(|_| Error::config("http.proxy.url is not a URL"))?);
        }
        let http = builder.build();
        let http = http.map_err(|cause| {
            Error::config("the HTTP client cannot be made").source(cause.without_url())
        })?;
        Ok(Self {
            http,
            limits: Arc::new(limits.clone()),
        })
    }

    /// Sends `request`; `known` are the validators of the answer we have.
    pub(crate) async fn send(self, request: Request, known: Validators) -> Result<Answer> {
        let (operation, target) = (name(request.method), shown(&request.url));
        let named = |error: Error| error.operation(operation).target(target);
        match self.exchange(request, &known).await {
            Ok(Answer::NoPage(error)) => Ok(Answer::NoPage(named(error))),
            Ok(answer) => Ok(answer),
            Err(error) => Err(named(error)),
        }
    }

    async fn exchange(&self, request: Request, known: &Validators) -> Result<Answer> {
        let mut builder = match request.method {
            Method::Get => self.http.get(request.url),
            Method::Post => self.http.post(request.url),
        };
        if let Some(body) = request.body {
            builder = builder.body(body);
        }
        for (name, value) in [
            (IF_NONE_MATCH, &known.etag),
            (IF_MODIFIED_SINCE, &known.modified),
        ] {
            if let Some(value) = value {
                builder = builder.header(name, value);
            }
        }
        let response = builder.send().await.map_err(failed)?;
        self.read(response, known).await
    }

    async fn read(&self, response: Response, known: &Validators) -> Result<Answer> {
        let status = response.status();
        if status == StatusCode::NOT_MODIFIED && *known != Validators::default() {
            return Ok(Answer::NotModified);
        }
        if !status.is_success() {
            let refusal = refusal(status, response.headers(), self.limits.retry_after_max);
            return match status.as_u16() {
                400 | 404 | 410 => Ok(Answer::NoPage(refusal)),
                _ => Err(refusal),
            };
        }
        let headers = response.headers();
        let links: Vec<_> = headers
            .get_all(LINK)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        let link = next_link(links).map(str::to_owned);
        let text = |name| Some(headers.get(name)?.to_str().ok()?.to_owned());
        let validators = Validators {
            etag: text(ETAG),
            modified: text(LAST_MODIFIED),
        };
        let url = response.url().clone();
        let body = self.body(response).await?;
        Ok(Answer::Page(PageBody {
            url,
            body,
            link,
            validators,
        }))
    }

    /// The body, decompressed, as long as it is not too large.
    async fn body(&self, mut response: Response) -> Result<Bytes> {
        let most = self.limits.response_max;
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > most {
                let message = format!("the answer is larger than http.response.max.bytes={most}");
                return Err(Error::external(message).retry(RetryVerdict::Never));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }
}

fn name(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Post => "POST",
    }
}

/// Redirects within the limits. Headers with keys would go along, so no other host is followed to.
fn redirects(most: usize, base: Url) -> Policy {
    Policy::custom(move |attempt: Attempt<'_>| {
        if attempt.previous().len() > most {
            attempt.error("more redirects than http.redirects.max")
        } else if may_follow(&base, attempt.url()) {
            attempt.follow()
        } else {
            attempt.error("a redirect to another host, which must not see our credentials")
        }
    })
}

fn certificates(path: &str) -> Result<Vec<reqwest::Certificate>> {
    let wrong = |message: &str| {
        Error::config(message)
            .operation("http.tls.ca.file")
            .target(path)
    };
    let pem = connect_core::named_file::read(path)
        .map_err(|cause| wrong("cannot be read").source(cause))?;
    let found = reqwest::Certificate::from_pem_bundle(&pem)
        .map_err(|cause| wrong("is not a PEM file of certificates").source(cause))?;
    if found.is_empty() {
        return Err(wrong("holds no certificate"));
    }
    Ok(found)
}

/// No answer, or half of one.
fn failed(cause: reqwest::Error) -> Error {
    let error = if cause.is_redirect() {
        Error::external("the redirect is not followed").retry(RetryVerdict::Never)
    } else if cause.is_timeout() {
        Error::external("no whole answer in time")
    } else if cause.is_connect() {
        Error::external("cannot connect")
    } else if cause.is_builder() {
        Error::config("the request cannot be made")
    } else {
        Error::external("the answer broke off")
    };
    error.source(cause.without_url())
}

/// What an answer that is not a success means.
fn refusal(status: StatusCode, headers: &HeaderMap, most: Duration) -> Error {
    let message = format!("the server answers {status}");
    let asked = headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok());
    let pause = asked.and_then(|text| retry_after(text, SystemTime::now()));
    let pause = pause.map(|pause| pause.max(RETRY_AFTER_MIN).min(most));
    let retriable = matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502..=504 | 506..=599);
    match (pause, status.as_u16()) {
        (Some(pause), 403) => Error::external(message).retry(RetryVerdict::After(pause)),
        (Some(pause), _) if retriable => Error::external(message).retry(RetryVerdict::After(pause)),
        (None, _) if retriable => Error::external(message),
        (_, 401 | 403 | 407) => Error::new(ErrorKind::Auth, message),
        _ => Error::external(message).retry(RetryVerdict::Never),
    }
}

/// `Retry-After`: seconds, or a date.
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(status: u16, retry_after: Option<&str>) -> (ErrorKind, RetryVerdict) {
        let mut headers = HeaderMap::new();
        if let Some(text) = retry_after {
            headers.insert(RETRY_AFTER, text.parse().unwrap());
        }
        let status = StatusCode::from_u16(status).unwrap();
        let error = refusal(status, &headers, Duration::from_secs(60));
        (error.kind(), error.verdict())
    }

    #[test]
    fn what_may_pass_is_tried_again_and_what_will_not_is_not() {
        for status in [408, 425, 429, 500, 502, 503, 504, 520] {
            assert_eq!(
                verdict(status, None),
                (ErrorKind::External, RetryVerdict::Backoff)
            );
        }
        for status in [301, 304, 400, 404, 410, 422, 501, 505] {
            assert_eq!(
                verdict(status, Some("1")),
                (ErrorKind::External, RetryVerdict::Never)
            );
        }
        for status in [401, 403, 407] {
            assert_eq!(
                verdict(status, None),
                (ErrorKind::Auth, RetryVerdict::Never)
            );
        }
    }

    #[test]
    fn retry_after_is_kept_to_within_its_limit() {
        let after = |seconds| RetryVerdict::After(Duration::from_secs(seconds));
        assert_eq!(verdict(429, Some("7")).1, after(7));
        assert_eq!(verdict(503, Some("99999999")).1, after(60));
        assert_eq!(verdict(403, Some("3")).1, after(3));
        assert_eq!(
            verdict(429, Some("0")).1,
            RetryVerdict::After(RETRY_AFTER_MIN)
        );
        assert_eq!(verdict(429, Some("soon")).1, RetryVerdict::Backoff);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(retry_after(date, now), Some(Duration::from_secs(7)));
        assert_eq!(
            retry_after(date, now + Duration::from_secs(60)),
            Some(Duration::ZERO)
        );
    }
}
