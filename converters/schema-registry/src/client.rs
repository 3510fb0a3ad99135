//! The registry's HTTP API, as far as converters need it.
//!
//! Who calls: [`crate::registry`]. What is worth trying again, at another address or later, is an external error; what the
//! registry says about a schema is a data error.

use std::sync::atomic::{AtomicUsize, Ordering};

use connect_core::config::OptionError;
use connect_core::{Error, ErrorKind, Result};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, Response, StatusCode, Url};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::options::ConnectionOptions;
use crate::tls::{Endpoint, Login, client, endpoints, failed};
use crate::wire::SchemaId;

const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// An answer is not longer than this.
const MOST_BYTES: usize = 32 << 20;

/// A schema that another one uses.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub(crate) struct Reference {
    /// The name by which it is used: of an Avro type, of a file, of a URL.
    pub(crate) name: String,
    pub(crate) subject: String,
    pub(crate) version: i64,
}

/// A schema as the registry keeps it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct StoredSchema {
    #[serde(default)]
    pub(crate) id: Option<u32>,
    /// The text.
    pub(crate) schema: String,
    /// `AVRO` if it is not said.
    #[serde(default, rename = "schemaType")]
    pub(crate) kind: Option<String>,
    #[serde(default)]
    pub(crate) references: Option<Vec<Reference>>,
}

#[derive(Deserialize)]
struct Id {
    id: u32,
}

#[derive(Deserialize)]
struct Compatibility {
    is_compatible: bool,
}

#[derive(Deserialize)]
struct Refusal {
    error_code: i64,
    #[serde(default)]
    message: String,
}

/// A schema to be sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Proposal<'a> {
    pub(crate) kind: &'a str,
    pub(crate) text: &'a str,
    pub(crate) normalize: bool,
}

/// A client of one registry, which may have several addresses.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    endpoints: Vec<Endpoint>,
    /// The address that answered last.
    preferred: AtomicUsize,
}

impl Client {
    pub(crate) fn new(options: &ConnectionOptions) -> Result<Self, OptionError> {
        Ok(Self {
            http: client(options)?,
            endpoints: endpoints(options)?,
            preferred: AtomicUsize::new(0),
        })
    }

    /// The schema with this id.
    pub(crate) async fn by_id(&self, id: SchemaId) -> Result<StoredSchema> {
        self.ask(
            Method::GET,
            &["schemas", "ids", &id.0.to_string()],
            None,
            false,
        )
        .await
    }

    /// A version of a subject's schema: a number or `latest`.
    pub(crate) async fn version(&self, subject: &str, version: &str) -> Result<StoredSchema> {
        self.ask(
            Method::GET,
            &["subjects", subject, "versions", version],
            None,
            false,
        )
        .await
    }

    /// Registers a schema, if the subject does not have it yet.
    pub(crate) async fn register(&self, subject: &str, schema: Proposal<'_>) -> Result<SchemaId> {
        let path = ["subjects", subject, "versions"];
        let answer: Id = self.propose(&path, schema).await?;
        Ok(SchemaId(answer.id))
    }

    /// The id of a schema that the subject has.
    pub(crate) async fn find(&self, subject: &str, schema: Proposal<'_>) -> Result<SchemaId> {
        let answer: Id = self.propose(&["subjects", subject], schema).await?;
        Ok(SchemaId(answer.id))
    }

    /// True if the subject's latest schema and this one are compatible, as the registry is set for the subject.
    pub(crate) async fn is_compatible(&self, subject: &str, schema: Proposal<'_>) -> Result<bool> {
        let path = ["compatibility", "subjects", subject, "versions", "latest"];
        let answer: Compatibility = self.propose(&path, schema).await?;
        Ok(answer.is_compatible)
    }

    async fn propose<T: serde::de::DeserializeOwned>(
        &self,
        path: &[&str],
        schema: Proposal<'_>,
    ) -> Result<T> {
        let mut body = json!({ "schema": schema.text });
        // Registries from before there were other kinds know no such field.
        if schema.kind != "AVRO"
            && let Some(fields) = body.as_object_mut()
        {
            fields.insert("schemaType".to_owned(), schema.kind.into());
        }
        self.ask(Method::POST, path, Some(&body), schema.normalize)
            .await
    }

    /// Asks each address in turn until one answers.
    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Json>,
        normalize: bool,
    ) -> Result<T> {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut failure = Error::internal("there is no address");
        for turn in 0..self.endpoints.len() {
            let index = (first + turn) % self.endpoints.len();
            let Some(endpoint) = self.endpoints.get(index) else {
                continue;
            };
            let url = address(&endpoint.url, path, normalize);
            let named = |error: Error| error.operation(method.to_string()).target(url.as_str());
            match self
                .exchange(endpoint, method.clone(), url.clone(), body)
                .await
            {
                Ok(answer) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    let parsed = serde_json::from_slice(&answer);
                    return parsed.map_err(|cause| named(no_registry()).source(cause));
                }
                Err(error) if error.kind() == ErrorKind::External => failure = named(error),
                Err(error) => return Err(named(error)),
            }
        }
        Err(failure)
    }

    async fn exchange(
        &self,
        endpoint: &Endpoint,
        method: Method,
        url: Url,
        body: Option<&Json>,
    ) -> Result<Vec<u8>> {
        let mut request = self.http.request(method, url).header(ACCEPT, MEDIA_TYPE);
        request = match &endpoint.login {
            Login::None => request,
            Login::Basic(user, password) => request.basic_auth(user, Some(password)),
            Login::Bearer(token) => request.bearer_auth(token),
        };
        if let Some(body) = body {
            request = request
                .header(CONTENT_TYPE, MEDIA_TYPE)
                .body(body.to_string());
        }
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        let answer = read(response).await?;
        if status.is_success() {
            Ok(answer)
        } else {
            Err(refused(status, &answer))
        }
    }
}

/// The address of `path`, each part encoded as one: subjects may hold slashes.
fn address(base: &Url, path: &[&str], normalize: bool) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    if normalize {
        url.query_pairs_mut().append_pair("normalize", "true");
    }
    url
}

async fn read(mut response: Response) -> Result<Vec<u8>> {
    let mut answer = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if answer.len() + chunk.len() > MOST_BYTES {
            return Err(Error::config(
                "the registry's answer is larger than a schema can be",
            ));
        }
        answer.extend_from_slice(&chunk);
    }
    Ok(answer)
}

fn no_registry() -> Error {
    Error::config("the answer is not that of a Schema Registry: is schema.registry.url right?")
}

/// Whose fault it is that the registry refuses.
fn refused(status: StatusCode, answer: &[u8]) -> Error {
    let refusal: Option<Refusal> = serde_json::from_slice(answer).ok();
    let message = match &refusal {
        Some(refusal) => format!("{} (error code {})", refusal.message, refusal.error_code),
        None => format!("the registry answers {status}"),
    };
    match status.as_u16() {
        401 | 403 | 407 => Error::new(ErrorKind::Auth, message),
        408 | 425 | 429 | 500..=599 => Error::external(message),
        404 | 409 | 422 if refusal.is_some() => Error::data(message),
        _ => no_registry().source(Error::config(message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_external_and_what_a_schema_is_refused_for_is_the_records_fault() {
        let kind = |status: u16, answer: &str| {
            refused(StatusCode::from_u16(status).unwrap(), answer.as_bytes()).kind()
        };
        let code = r#"{"error_code":40403,"message":"Schema 7 not found"}"#;
        assert_eq!(kind(404, code), ErrorKind::Data);
        assert_eq!(kind(409, code), ErrorKind::Data);
        assert_eq!(kind(422, code), ErrorKind::Data);
        assert_eq!(kind(404, "<html>"), ErrorKind::Config);
        assert_eq!(kind(301, ""), ErrorKind::Config);
        assert_eq!(kind(401, code), ErrorKind::Auth);
        for status in [429, 500, 502, 503] {
            let error = refused(StatusCode::from_u16(status).unwrap(), b"");
            assert!(error.is_retriable(), "{status}");
        }
    }

    #[test]
    fn parts_of_an_address_are_encoded_each() {
        let base = Url::parse("http://host:8081/registry/").unwrap();
        let url = address(&base, &["subjects", "a/b c", "versions"], true);
        let expected = "http://host:8081/registry/subjects/a%2Fb%20c/versions?normalize=true";
        assert_eq!(url.as_str(), expected);
    }
}
