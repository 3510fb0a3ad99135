//! The options of the HTTP source, and the rules that need several of them.

use std::time::Duration;

use connect_core::config::{ConnectorConfig, OptionError, OptionValue};
use connect_core::output::OutputOptions;
use connect_core::{Secret, option_names};
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};

use crate::json::Pointer;

/// How a request is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
}

option_names!(Method { "GET" => Get, "POST" => Post });

/// How the server knows who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AuthType {
    None,
    Basic,
    Bearer,
}

option_names!(AuthType { "none" => None, "basic" => Basic, "bearer" => Bearer });

/// How the next page is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PaginationMode {
    None,
    Link,
    Page,
    Cursor,
}

option_names!(PaginationMode { "none" => None, "link" => Link, "page" => Page, "cursor" => Cursor });

/// Options of the HTTP source.
#[derive(Debug, Clone, ConnectorConfig)]
pub(crate) struct HttpSourceConfig {
    #[option(flatten)]
    pub(crate) request: RequestOptions,
    #[option(flatten)]
    pub(crate) auth: AuthOptions,
    #[option(flatten)]
    pub(crate) records: RecordOptions,
    #[option(flatten)]
    pub(crate) pagination: PaginationOptions,
    #[option(flatten)]
    pub(crate) output: OutputOptions,
    #[option(flatten)]
    pub(crate) connection: ConnectionOptions,
}

/// What is asked for.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "Request")]
pub(crate) struct RequestOptions {
    /// The address, `http://` or `https://`. User and password do not belong into it: see `auth.type`.
    #[option(name = "http.url", importance = High, validator = Validator::Custom(address))]
    pub(crate) url: String,
    /// How it is asked for.
    #[option(name = "http.method", default = "GET", importance = Medium)]
    pub(crate) method: Method,
    /// Headers, `Name: value`, with `|` between them.
    #[option(name = "http.headers", default = "", importance = Medium, validator = Validator::Custom(header_lines))]
    pub(crate) headers: String,
    /// More headers, never shown: for keys. A redirect to another host does not get them.
    #[option(name = "http.headers.secret", importance = Medium)]
    pub(crate) secret_headers: Option<Secret<String>>,
    /// Query parameters, `name=value`, with `&` between them, encoded as in a URL; added to those of `http.url`.
    #[option(name = "http.query", default = "", importance = Medium)]
    pub(crate) query: String,
    /// More query parameters, never shown and never in an error: for keys.
    #[option(name = "http.query.secret", importance = Medium)]
    pub(crate) secret_query: Option<Secret<String>>,
    /// The body of a POST. `${page}`, `${cursor}` and `${since}` in it are replaced, escaped for a JSON text.
    #[option(name = "http.body", importance = Medium)]
    pub(crate) body: Option<String>,
    /// The body's media type.
    #[option(name = "http.body.type", default = "application/json", importance = Low, validator = Validator::Custom(header_value))]
    pub(crate) body_type: String,
    /// Milliseconds from the beginning of one fetch to that of the next. A fetch is all pages. A restart keeps to it.
    #[option(name = "poll.interval.ms", default = "60000", importance = High, validator = Validator::AtLeast(1))]
    pub(crate) interval: Duration,
}

/// Who asks.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "Authentication")]
pub(crate) struct AuthOptions {
    /// How the server knows who asks: `basic` (user and password), `bearer` (a token), or not at all.
    #[option(name = "auth.type", default = "none", importance = High)]
    pub(crate) kind: AuthType,
    /// The user, for `basic`.
    #[option(name = "connection.user", importance = Medium)]
    pub(crate) user: Option<String>,
    /// The password, for `basic`.
    #[option(name = "connection.password", importance = Medium)]
    pub(crate) password: Option<Secret<String>>,
    /// The token, for `bearer`.
    #[option(name = "bearer.token", importance = Medium)]
    pub(crate) token: Option<Secret<String>>,
}

/// Where the records are in an answer, and which of them are new.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "Records")]
pub(crate) struct RecordOptions {
    /// JSON pointer (RFC 6901) to the records in an answer: `/data/items`; empty is the whole answer. An array is a record per element, null is none, anything else is one record.
    #[option(name = "records.pointer", default = "", importance = High, validator = Validator::Custom(pointer))]
    pub(crate) pointer: String,
    /// Query parameter that asks only for what is new: it gets the highest value of `since.pointer` that the last whole fetch has seen. Without it each fetch reads everything.
    #[option(name = "since.parameter", importance = Medium)]
    pub(crate) since_parameter: Option<String>,
    /// JSON pointer, within a record, to a value that grows: a number, or text that sorts (ISO 8601 times of one zone).
    #[option(name = "since.pointer", importance = Medium, validator = Validator::Custom(pointer))]
    pub(crate) since_pointer: Option<String>,
    /// The parameter's value for the first fetch; none if not given.
    #[option(name = "since.initial", importance = Low)]
    pub(crate) since_initial: Option<String>,
}

/// From page to page.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "Pagination")]
pub(crate) struct PaginationOptions {
    /// How the next page is found: `link` (header `Link` with `rel="next"`, or a URL in the answer), `page` (a number that counts up), `cursor` (a text in the answer), or `none`: one request is all.
    #[option(name = "pagination.mode", default = "none", importance = High)]
    pub(crate) mode: PaginationMode,
    /// Query parameter for the page's number or the cursor; `page` or `cursor` if not given. Empty: none, where `http.body` has the placeholder.
    #[option(name = "pagination.parameter", importance = Medium)]
    pub(crate) parameter: Option<String>,
    /// JSON pointer, in the answer, to the next cursor, or for `link` to the next URL where it is not in the header. Null, absent, empty or false: there is no next page.
    #[option(name = "pagination.pointer", importance = Medium, validator = Validator::Custom(pointer))]
    pub(crate) pointer: Option<String>,
    /// The first page's number.
    #[option(name = "pagination.start", default = "1", importance = Low, validator = Validator::AtLeast(0))]
    pub(crate) start: u64,
    /// What is added for the next page: 1, or the page's size where the parameter counts records.
    #[option(name = "pagination.step", default = "1", importance = Low, validator = Validator::AtLeast(1))]
    pub(crate) step: u64,
    /// Records of a full page, for `page`: one with fewer is the last, which saves a request. Without it an empty page is the last.
    #[option(name = "pagination.size", importance = Medium, validator = Validator::AtLeast(1))]
    pub(crate) size: Option<u64>,
    /// Query parameter that tells the server `pagination.size`.
    #[option(name = "pagination.size.parameter", importance = Low)]
    pub(crate) size_parameter: Option<String>,
    /// Pages of one fetch, at the most: more fail the task, so that a server that never ends is noticed.
    #[option(name = "pagination.max.pages", default = "10000", importance = Low, kind = Int, validator = Validator::AtLeast(1))]
    pub(crate) max_pages: u32,
}

/// Time-outs, limits, TLS.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "Connection")]
pub(crate) struct ConnectionOptions {
    /// Milliseconds to connect, TLS included.
    #[option(name = "http.connect.timeout.ms", default = "10000", importance = Low, validator = Validator::AtLeast(1))]
    pub(crate) connect_timeout: Duration,
    /// Milliseconds for a request, from connecting to the answer's last byte.
    #[option(name = "http.request.timeout.ms", default = "30000", importance = Medium, validator = Validator::AtLeast(1))]
    pub(crate) request_timeout: Duration,
    /// Milliseconds for which no answer, 408, 425, 429 and 5xx are tried again before the task fails. -1: without end, with growing pauses.
    #[option(name = "http.retry.timeout.ms", default = "-1", importance = Medium, validator = Validator::AtLeast(-1))]
    pub(crate) retry_timeout: i64,
    /// Milliseconds of a server's `Retry-After` that are kept to, at the most.
    #[option(name = "http.retry.after.max.ms", default = "600000", importance = Low)]
    pub(crate) retry_after_max: Duration,
    /// Redirects followed, at the most; only to the same host and port, or from http to https. 0: none.
    #[option(name = "http.redirects.max", default = "5", importance = Low, validator = Validator::Between(0, 50))]
    pub(crate) redirects_max: usize,
    /// Bytes of an answer, decompressed, at the most: more fail the task.
    #[option(name = "http.response.max.bytes", default = "16777216", importance = Low, validator = Validator::AtLeast(1))]
    pub(crate) response_max: usize,
    /// A PEM file of certificate authorities: they alone are trusted. Without it those of the system and of Mozilla are.
    #[option(name = "http.tls.ca.file", importance = Medium)]
    pub(crate) ca_file: Option<String>,
    /// A proxy for all requests: `http://host:port`, with user and password if it wants them. The environment's are not used.
    #[option(name = "http.proxy.url", importance = Low)]
    pub(crate) proxy: Option<Secret<String>>,
}

impl PaginationOptions {
    /// The query parameter for page or cursor; `None` if there is none.
    pub(crate) fn parameter(&self) -> Option<&str> {
        let default = match self.mode {
            PaginationMode::None | PaginationMode::Link => return None,
            PaginationMode::Page => "page",
            PaginationMode::Cursor => "cursor",
        };
        let name = self.parameter.as_deref().unwrap_or(default);
        (!name.is_empty()).then_some(name)
    }
}

impl HttpSourceConfig {
    /// Rules that need several options at once.
    pub(crate) fn cross_errors(&self) -> Vec<OptionError> {
        let mut errors = self.output.cross_errors();
        errors.extend(self.secret_errors());
        errors.extend(self.auth_errors());
        errors.extend(self.paging_errors());
        errors
    }

    fn secret_errors(&self) -> Vec<OptionError> {
        let mut errors = Vec::new();
        if let Some(lines) = &self.request.secret_headers
            && headers(lines.expose()).is_err()
        {
            let reason = "must be \"Name: value\", with | between them";
            errors.push(OptionError::invalid(
                "http.headers.secret",
                "[hidden]",
                reason,
            ));
        }
        if let Some(proxy) = &self.connection.proxy
            && reqwest::Proxy::all(proxy.expose().as_str()).is_err()
        {
            let reason = "must be a URL";
            errors.push(OptionError::invalid("http.proxy.url", "[hidden]", reason));
        }
        if self.request.body.is_some() && self.request.method == Method::Get {
            let message = "http.body needs http.method=POST";
            errors.push(OptionError::new("http.body", message));
        }
        errors
    }

    fn auth_errors(&self) -> Vec<OptionError> {
        let auth = &self.auth;
        let needed = match auth.kind {
            AuthType::None => vec![],
            AuthType::Basic => vec![
                ("connection.user", auth.user.is_some()),
                ("connection.password", auth.password.is_some()),
            ],
            AuthType::Bearer => vec![("bearer.token", auth.token.is_some())],
        };
        let missing = needed.into_iter().filter(|(_, given)| !given);
        let mut errors: Vec<_> = missing
            .map(|(key, _)| OptionError::new(key, format!("auth.type needs {key}")))
            .collect();
        let token = auth.token.as_ref().map(|token| token.expose().as_str());
        if token.is_some_and(|token| HeaderValue::from_str(token).is_err()) {
            let reason = "must be characters that a header may hold";
            errors.push(OptionError::invalid("bearer.token", "[hidden]", reason));
        }
        errors
    }

    fn paging_errors(&self) -> Vec<OptionError> {
        let mut errors = Vec::new();
        let pagination = &self.pagination;
        if pagination.mode == PaginationMode::Cursor && pagination.pointer.is_none() {
            let message = "pagination.mode=cursor needs pagination.pointer";
            errors.push(OptionError::new("pagination.pointer", message));
        }
        if pagination.size_parameter.is_some() && pagination.size.is_none() {
            let message = "pagination.size.parameter needs pagination.size";
            errors.push(OptionError::new("pagination.size", message));
        }
        let body_asks = self.body_has("${since}");
        let asks = self.records.since_parameter.is_some() || body_asks;
        if asks != self.records.since_pointer.is_some() {
            let message =
                "since.parameter (or ${since} in http.body) and since.pointer need each other";
            errors.push(OptionError::new("since.pointer", message));
        }
        let placeholder = match pagination.mode {
            PaginationMode::Page => "${page}",
            PaginationMode::Cursor => "${cursor}",
            PaginationMode::None | PaginationMode::Link => return errors,
        };
        if pagination.parameter().is_none() && !self.body_has(placeholder) {
            let message = format!("without a parameter http.body must hold {placeholder}");
            errors.push(OptionError::new("pagination.parameter", message));
        }
        errors
    }

    fn body_has(&self, placeholder: &str) -> bool {
        let body = self.request.body.as_deref();
        body.is_some_and(|body| body.contains(placeholder))
    }
}

/// `Name: value|Name: value` as headers.
pub(crate) fn headers(lines: &str) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let lines = lines.split('|').map(str::trim);
    lines.filter(|line| !line.is_empty()).map(header).collect()
}

fn header(line: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = line
        .split_once(':')
        .ok_or("must be \"Name: value\", with | between them")?;
    let name = HeaderName::try_from(name.trim()).map_err(|_| "is not the name of a header")?;
    let value = HeaderValue::try_from(value.trim()).map_err(|_| "is not the value of a header")?;
    Ok((name, value))
}

fn header_lines(value: &OptionValue) -> Result<(), String> {
    match value {
        OptionValue::Text(lines) => headers(lines).map(|_| ()),
        _ => Ok(()),
    }
}

fn header_value(value: &OptionValue) -> Result<(), String> {
    match value {
        OptionValue::Text(text) if HeaderValue::from_str(text).is_err() => {
            Err("is not the value of a header".to_owned())
        }
        _ => Ok(()),
    }
}

fn pointer(value: &OptionValue) -> Result<(), String> {
    match value {
        OptionValue::Text(text) => Pointer::parse(text).map(|_| ()),
        _ => Ok(()),
    }
}

fn address(value: &OptionValue) -> Result<(), String> {
    let OptionValue::Text(text) = value else {
        return Ok(());
    };
    let url = Url::parse(text).map_err(|cause| cause.to_string())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("must begin with http:// or https://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "user and password belong into connection.user and connection.password".to_owned(),
        );
    }
    Ok(())
}
