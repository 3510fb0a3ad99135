//! Basic authentication: users and passwords from a properties file.
//!
//! Where the file is, Java workers are told by a JAAS configuration; a worker here that takes the place of one finds it
//! there, too.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use connect_core::{Error, Result, Secret};

use super::routes;
use crate::runtime::{RestOptions, properties};

/// The one extension there is.
const EXTENSION: &str =
    "org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension";
/// How a Java worker is told of its JAAS configuration.
const JAAS_PROPERTY: &str = "-Djava.security.auth.login.config=";

/// Who is let in.
#[derive(Clone)]
pub(super) struct BasicAuth(Arc<BTreeMap<String, Secret<String>>>);

impl BasicAuth {
    /// `None` if everybody is let in.
    ///
    /// # Errors
    /// A configuration error: an extension that is not known, no file, a file that cannot be read or names nobody.
    pub(super) fn of(options: &RestOptions) -> Result<Option<Self>> {
        if let Some(other) = options.extensions.iter().find(|class| *class != EXTENSION) {
            return Err(Error::config(format!(
                "Invalid value {other} for configuration rest.extension.classes: there is no such extension; there is {EXTENSION}"
            )));
        }
        if options.extensions.is_empty() {
            return Ok(None);
        }
        let file = match &options.basic_auth_file {
            Some(file) => file.clone(),
            None => file_of_jaas()?,
        };
        let what = "rest.basic.auth.file";
        let users = properties::parse(&read(Path::new(&file), what)?);
        let users =
            users.map_err(|_| unusable(Path::new(&file), what, "it is not a properties file"))?;
        if users.is_empty() {
            return Err(unusable(Path::new(&file), what, "it names nobody"));
        }
        let users = users.into_iter();
        Ok(Some(Self(Arc::new(
            users
                .map(|(user, password)| (user, Secret::new(password)))
                .collect(),
        ))))
    }

    fn lets_in(&self, headers: &HeaderMap) -> bool {
        let Some((user, password)) = credentials(headers) else {
            return false;
        };
        let known = self.0.get(&user);
        // As much work for a user that is not there.
        let expected = known.map_or("", |known| known.expose().as_str());
        same(expected.as_bytes(), password.as_bytes()) && known.is_some()
    }
}

/// Refuses whoever is not known. Workers among themselves sign what they ask.
pub(super) async fn check(State(auth): State<BasicAuth>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let is_between_workers = routes::longest_between_workers(&parts).is_some();
    if is_between_workers || auth.lets_in(&parts.headers) {
        return next.run(Request::from_parts(parts, body)).await;
    }
    (StatusCode::UNAUTHORIZED, "User cannot access the resource.").into_response()
}

fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let text = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// Takes as long wherever they differ.
fn same(expected: &[u8], given: &[u8]) -> bool {
    let different = expected.iter().zip(given);
    let different = different.fold(0, |all, (one, other)| all | (one ^ other));
    expected.len() == given.len() && different == 0
}

fn read(path: &Path, what: &str) -> Result<String> {
    std::fs::read_to_string(path)
        .map_err(|cause| unusable(path, what, "it cannot be read").source(cause))
}

fn unusable(path: &Path, what: &str, why: &str) -> Error {
    Error::config(why)
        .operation(what)
        .target(path.display().to_string())
}

/// The file that the JAAS configuration of `KAFKA_OPTS` names.
fn file_of_jaas() -> Result<String> {
    let missing = || {
        Error::config("set it to a properties file, user=password")
            .operation("rest.basic.auth.file")
    };
    let options = std::env::var("KAFKA_OPTS").map_err(|_| missing())?;
    let jaas = options
        .split_whitespace()
        .find_map(|option| option.strip_prefix(JAAS_PROPERTY))
        .ok_or_else(missing)?;
    let path = Path::new(jaas);
    file_of_login_module(&read(path, "java.security.auth.login.config")?).ok_or_else(|| {
        let why = "there is no KafkaConnect section with a PropertyFileLoginModule and its file";
        unusable(path, "java.security.auth.login.config", why)
    })
}

/// The `file="…"` of the PropertyFileLoginModule in the section `KafkaConnect`.
fn file_of_login_module(jaas: &str) -> Option<String> {
    let (_, section) = jaas.split_once("KafkaConnect")?;
    let (section, _) = section.split_once('}')?;
    let (_, module) = section.split_once("PropertyFileLoginModule")?;
    let (module, _) = module.split_once(';')?;
    let (_, value) = module.split_once("file=")?;
    let value = value.strip_prefix('"')?;
    Some(value.split_once('"')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn lets_in(header: &str) -> bool {
        let users = BTreeMap::from([("ann".to_owned(), Secret::new("a:b".to_owned()))]);
        let header = HeaderValue::from_str(header).unwrap();
        BasicAuth(Arc::new(users)).lets_in(&[(AUTHORIZATION, header)].into_iter().collect())
    }

    #[test]
    fn only_a_known_user_with_the_right_password_is_let_in() {
        let basic = |pair: &str| format!("Basic {}", BASE64_STANDARD.encode(pair));
        assert!(lets_in(&basic("ann:a:b")));
        assert!(lets_in(&basic("ann:a:b").replace("Basic", "basic")));
        for pair in ["ann:a", "ann:a:bc", "ann:", "bob:a:b", "bob:", ":", "ann"] {
            assert!(!lets_in(&basic(pair)), "{pair}");
        }
        for header in ["", "Basic", "Basic !", "Bearer YW5uOmE6Yg=="] {
            assert!(!lets_in(header), "{header}");
        }
    }

    #[test]
    fn the_file_of_a_java_worker_is_found() {
        let jaas = "Other { x.Module required; };\nKafkaConnect {\n  org.apache.kafka.connect.rest.basic.auth.extension.PropertyFileLoginModule required\n  file=\"/etc/users.properties\";\n};";
        assert_eq!(
            file_of_login_module(jaas).as_deref(),
            Some("/etc/users.properties")
        );
        assert_eq!(
            file_of_login_module("KafkaConnect { x.Module required; };"),
            None
        );
    }
}
