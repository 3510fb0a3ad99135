//! Headers of every answer, by the rules of `response.http.headers.config`.

use std::time::{Duration, SystemTime};

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use connect_core::{Error, Result};

#[derive(Debug, Clone)]
enum Value {
    Text(HeaderValue),
    /// The time of the answer, and so long after it.
    Later(Duration),
}

#[derive(Debug, Clone)]
struct Rule {
    name: HeaderName,
    value: Value,
    /// Whether what is there already stays.
    add: bool,
}

/// The rules, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct ResponseHeaders(Vec<Rule>);

impl ResponseHeaders {
    /// Reads `[action] name:value` rules, separated by commas.
    ///
    /// # Errors
    /// A configuration error that quotes the rule and says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let rules = split(text).into_iter().map(|rule| parse_rule(rule.trim()));
        Ok(Self(rules.collect::<Result<_>>()?))
    }

    fn apply(&self, response: &mut Response) {
        for rule in &self.0 {
            let value = match &rule.value {
                Value::Text(value) => value.clone(),
                Value::Later(after) => {
                    let date = httpdate::fmt_http_date(SystemTime::now() + *after);
                    let Ok(date) = HeaderValue::try_from(date) else {
                        continue;
                    };
                    date
                }
            };
            if rule.add {
                response.headers_mut().append(&rule.name, value);
            } else {
                response.headers_mut().insert(&rule.name, value);
            }
        }
    }
}

/// Sets the headers of an answer.
pub(super) async fn apply(
    State(headers): State<ResponseHeaders>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    headers.apply(&mut response);
    response
}

/// Splits at commas outside of double quotes, and takes the quotes away.
fn split(text: &str) -> Vec<String> {
    let (mut rules, mut rule, mut quoted) = (Vec::new(), String::new(), false);
    for character in text.chars() {
        match character {
            '"' => quoted = !quoted,
            ',' if !quoted => rules.push(std::mem::take(&mut rule)),
            other => rule.push(other),
        }
    }
    rules.push(rule);
    rules.retain(|rule| !rule.trim().is_empty());
    rules
}

fn parse_rule(rule: &str) -> Result<Rule> {
    let wrong = |why: &str| {
        Error::config(format!(
            "Invalid value {rule} for configuration response.http.headers.config: {why}"
        ))
    };
    let (action, header) = rule
        .split_once(char::is_whitespace)
        .ok_or_else(|| wrong("must be an action, a space, a header's name, a colon, its value"))?;
    let (name, value) = header
        .split_once(':')
        .ok_or_else(|| wrong("there is no colon after the header's name"))?;
    let name =
        HeaderName::try_from(name.trim()).map_err(|_| wrong("that is no name of a header"))?;
    let value = value.trim();
    let later = || {
        let millis = value
            .parse()
            .map_err(|_| wrong("a date is given in milliseconds from now"));
        Ok::<_, Error>(Value::Later(Duration::from_millis(millis?)))
    };
    let text = || {
        let value = HeaderValue::try_from(value).map_err(|_| wrong("that is no value of a header"));
        Ok::<_, Error>(Value::Text(value?))
    };
    let (value, add) = match action.to_ascii_lowercase().as_str() {
        "set" => (text()?, false),
        "add" => (text()?, true),
        "setdate" => (later()?, false),
        "adddate" => (later()?, true),
        _ => return Err(wrong("the action must be set, add, setDate or addDate")),
    };
    Ok(Rule { name, value, add })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_set_add_and_date_headers() {
        let text = r#"set X-A: 1, "add Cache-Control: no-cache, no-store", setDate Expires: 0"#;
        let mut response = Response::new(axum::body::Body::empty());
        let headers = response.headers_mut();
        headers.insert("x-a", HeaderValue::from_static("0"));
        headers.insert("cache-control", HeaderValue::from_static("private"));
        ResponseHeaders::parse(text).unwrap().apply(&mut response);
        let all = |name: &str| {
            let values = response.headers().get_all(name).iter();
            values
                .map(|value| value.to_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(all("x-a"), ["1"]);
        assert_eq!(all("cache-control"), ["private", "no-cache, no-store"]);
        assert!(all("expires")[0].ends_with("GMT"));
    }

    #[test]
    fn a_rule_that_is_none_is_quoted() {
        for rule in [
            "X-A: 1",
            "put X-A: 1",
            "set X-A",
            "setDate X-A: soon",
            "set X\u{e9}: 1",
        ] {
            let error = ResponseHeaders::parse(rule).unwrap_err().to_string();
            assert!(error.contains(rule), "{error}");
        }
    }
}
