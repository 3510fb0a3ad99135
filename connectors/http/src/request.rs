//! A request for a page: URL, headers, body. Pure; secrets come in here and nowhere earlier.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use connect_core::{Error, Result, RetryVerdict, Secret};
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};

use crate::config::{AuthType, HttpSourceConfig, Method, headers};
use crate::mark::Mark;
use crate::pagination::Page;

/// Makes the requests of one source.
#[derive(Debug)]
pub(crate) struct Requests {
    config: HttpSourceConfig,
    /// With the visible query.
    base: Url,
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) body: Option<String>,
}

impl Requests {
    pub(crate) fn new(config: &HttpSourceConfig) -> Result<Self> {
        let mut base = Url::parse(&config.request.url)
            .map_err(|cause| Error::config("http.url is not a URL").source(cause))?;
        append(&mut base, &config.request.query);
        let config = config.clone();
        Ok(Self { config, base })
    }

    /// What the source is known by: the URL with its visible parameters.
    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    /// True if credentials go to another machine without TLS.
    pub(crate) fn sends_keys_in_the_clear(&self) -> bool {
        let request = &self.config.request;
        let keys = self.config.auth.kind != AuthType::None
            || request.secret_headers.is_some()
            || request.secret_query.is_some();
        let here = matches!(
            self.base.host_str(),
            Some("localhost" | "127.0.0.1" | "[::1]")
        );
        keys && !here && self.base.scheme() == "http"
    }

    /// The request for `page`.
    pub(crate) fn page(&self, page: &Page, since: Option<&Mark>) -> Result<Request> {
        let mut url = match page {
            Page::Link(link) => self.linked(link)?,
            Page::First | Page::Number(_) | Page::Cursor(_) => self.parameters(page, since),
        };
        if let Some(secret) = &self.config.request.secret_query {
            append(&mut url, secret.expose());
        }
        let body = self.config.request.body.as_deref();
        let body = body.map(|template| filled(template, page, since));
        Ok(Request {
            method: self.config.request.method,
            url,
            body,
        })
    }

    fn parameters(&self, page: &Page, since: Option<&Mark>) -> Url {
        let mut url = self.base.clone();
        let pagination = &self.config.pagination;
        if let (Some(name), Some(mark)) = (&self.config.records.since_parameter, since) {
            set_parameter(&mut url, name, &mark.text());
        }
        if let (Some(name), Some(size)) = (&pagination.size_parameter, pagination.size) {
            set_parameter(&mut url, name, &size.to_string());
        }
        if let (Some(name), Some(value)) = (pagination.parameter(), page_text(page)) {
            set_parameter(&mut url, name, &value);
        }
        url
    }

    fn linked(&self, link: &str) -> Result<Url> {
        let url = Url::parse(link).map_err(|cause| {
            Error::external("the next page's link is not a URL")
                .source(cause)
                .retry(RetryVerdict::Never)
        })?;
        if !may_follow(&self.base, &url) {
            let message =
                "the next page's link leads to another host, which must not see our credentials";
            return Err(Error::external(message).retry(RetryVerdict::Never));
        }
        Ok(url)
    }

    /// `link`, found in the answer of `answered`, as it is stored: absolute, without secret parameters.
    pub(crate) fn storable_link(&self, answered: &Url, link: &str) -> Result<String> {
        let mut url = answered.join(link).map_err(|cause| {
            Error::external("the next page's link is not a URL")
                .source(cause)
                .retry(RetryVerdict::Never)
        })?;
        if let Some(secret) = &self.config.request.secret_query {
            remove_parameters(&mut url, secret);
        }
        Ok(url.into())
    }

    /// The headers of every request.
    pub(crate) fn headers(&self) -> Result<HeaderMap> {
        let request = &self.config.request;
        let wrong = |reason: String| Error::config(format!("a header {reason}"));
        let mut all = HeaderMap::new();
        all.extend(headers(&request.headers).map_err(wrong)?);
        if request.body.is_some() {
            let kind = HeaderValue::from_str(&request.body_type);
            all.insert(
                CONTENT_TYPE,
                kind.map_err(|_| wrong("has a wrong value".to_owned()))?,
            );
        }
        if let Some(secret) = &request.secret_headers {
            for (name, mut value) in headers(secret.expose()).map_err(wrong)? {
                value.set_sensitive(true);
                all.insert(name, value);
            }
        }
        if let Some(value) = self.authorization() {
            let value = HeaderValue::try_from(value);
            let mut value = value.map_err(|_| wrong("cannot hold the credentials".to_owned()))?;
            value.set_sensitive(true);
            all.insert(AUTHORIZATION, value);
        }
        Ok(all)
    }

    fn authorization(&self) -> Option<String> {
        let auth = &self.config.auth;
        match auth.kind {
            AuthType::None => None,
            AuthType::Bearer => Some(format!("Bearer {}", auth.token.as_ref()?.expose())),
            AuthType::Basic => {
                let (user, password) = (auth.user.as_ref()?, auth.password.as_ref()?.expose());
                Some(format!(
                    "Basic {}",
                    STANDARD.encode(format!("{user}:{password}"))
                ))
            }
        }
    }
}

/// True if `target` is `from`'s host and port, or its https in place of http.
pub(crate) fn may_follow(from: &Url, target: &Url) -> bool {
    let upgrade = from.scheme() == "http"
        && target.scheme() == "https"
        && from.port().is_none()
        && target.port().is_none();
    let same = from.scheme() == target.scheme()
        && from.port_or_known_default() == target.port_or_known_default();
    from.host() == target.host() && (same || upgrade)
}

/// `url` as errors and logs name it: no query, no credentials.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // A URL that cannot hold a user has none to remove.
    let _cannot_hold_one = url.set_username("").and_then(|()| url.set_password(None));
    url.into()
}

fn append(url: &mut Url, parameters: &str) {
    let kept: Vec<(String, String)> = pairs(parameters);
    if !kept.is_empty() {
        url.query_pairs_mut().extend_pairs(kept);
    }
}

fn pairs(parameters: &str) -> Vec<(String, String)> {
    let mut reader = match Url::parse("http://localhost/") {
        Ok(url) => url,
        Err(_) => return Vec::new(),
    };
    reader.set_query(Some(parameters.trim().trim_start_matches(['?', '&'])));
    let pairs = reader.query_pairs().into_owned();
    pairs.filter(|(name, _)| !name.is_empty()).collect()
}

fn set_parameter(url: &mut Url, name: &str, value: &str) {
    let others = without(url, |known| known == name);
    url.query_pairs_mut()
        .clear()
        .extend_pairs(others)
        .append_pair(name, value);
}

fn remove_parameters(url: &mut Url, secret: &Secret<String>) {
    let names: Vec<String> = pairs(secret.expose())
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let known = url
        .query_pairs()
        .any(|(name, _)| names.contains(&name.into_owned()));
    if !known {
        return;
    }
    let others = without(url, |known| names.iter().any(|name| name == known));
    url.query_pairs_mut().clear().extend_pairs(others);
}

fn without(url: &Url, unwanted: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let pairs = url.query_pairs().into_owned();
    pairs.filter(|(name, _)| !unwanted(name)).collect()
}

fn page_text(page: &Page) -> Option<Cow<'_, str>> {
    match page {
        Page::Number(number) => Some(number.to_string().into()),
        Page::Cursor(cursor) => Some(cursor.into()),
        Page::First | Page::Link(_) => None,
    }
}

/// Replaces the placeholders; texts are escaped for JSON, without the quotes.
fn filled(template: &str, page: &Page, since: Option<&Mark>) -> String {
    let escaped = |text: &str| {
        let quoted = serde_json::Value::from(text).to_string();
        quoted
            .trim_start_matches('"')
            .strip_suffix('"')
            .unwrap_or_default()
            .to_owned()
    };
    let page = page_text(page)
        .map(|text| escaped(&text))
        .unwrap_or_default();
    let since = since.map(|mark| escaped(&mark.text())).unwrap_or_default();
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    // In one pass, so that what is put in is never replaced again.
    while let Some((before, after)) = rest.split_once("${") {
        text.push_str(before);
        let known = [("page}", &page), ("cursor}", &page), ("since}", &since)];
        let found = known
            .iter()
            .find_map(|(name, value)| Some((after.strip_prefix(name)?, value)));
        match found {
            Some((behind, value)) => {
                text.push_str(value);
                rest = behind;
            }
            None => {
                text.push_str("${");
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text
}
