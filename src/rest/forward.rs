//! Requests that another worker of the cluster must answer are passed on to it, and its answer is passed back.
//!
//! At most twice: a client's request goes to the leader at first, which may know better who runs the connector. The query
//! says how often it may still be passed on, as between Java workers.

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::{Elsewhere, RestError};
use super::query::{Parameters, decoded};
use super::{Base, body};
use crate::runtime::distributed::fellow::{FellowAnswer, FellowClient, FellowRequest};
use crate::runtime::distributed::signature::{ALGORITHM_HEADER, SIGNATURE_HEADER};

/// The parameter of the query that says whether a request may be passed on once more.
const FORWARD: &str = "forward";

/// Where a request has been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hop {
    /// From a client.
    First,
    /// From another worker that a client has asked.
    Second,
    /// From a worker that has it from a worker.
    Last,
}

impl Hop {
    fn of(uri: &Uri) -> Self {
        let parameters = Parameters::of(uri.query().map(str::to_owned));
        if parameters.all(FORWARD).next().is_none() {
            Self::First
        } else if parameters.is_true(FORWARD) {
            Self::Second
        } else {
            Self::Last
        }
    }
}

/// Passes a request on if what would answer it here says that another worker must.
pub(super) async fn apply(
    State(client): State<Option<FellowClient>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(client) = client else {
        return next.run(request).await;
    };
    let (parts, content) = request.into_parts();
    let content = match axum::body::to_bytes(content, body::longest(&parts)).await {
        Ok(content) => content,
        Err(_) => return RestError::too_large().into_response(),
    };
    let again = Request::from_parts(parts.clone(), Body::from(content.clone()));
    let mut response = next.run(again).await;
    let Some(Elsewhere(url)) = response.extensions_mut().remove() else {
        return response;
    };
    match (Hop::of(&parts.uri), url) {
        (Hop::Last, _) => {
            let text = "Cannot complete request because of a conflicting operation (e.g. worker rebalance)";
            RestError::new(StatusCode::CONFLICT, text).into_response()
        }
        (_, None) => response,
        (hop, Some(url)) => ask(&client, &url, hop, &parts, content).await,
    }
}

async fn ask(
    client: &FellowClient,
    worker: &str,
    hop: Hop,
    parts: &Parts,
    content: Bytes,
) -> Response {
    let request = FellowRequest {
        method: parts.method.clone(),
        url: url_at(worker, &parts.uri, hop),
        headers: passed_on(&parts.headers),
        body: content,
    };
    tracing::debug!(worker, method = %parts.method, path = parts.uri.path(), "passed on");
    match client.send(request).await {
        Ok(answer) => passed_back(answer, parts),
        Err(error) => {
            let causes = error.trace().replace("\n\t", "; ");
            let text = format!("IO Error trying to forward REST request: {causes}");
            RestError::internal(text).into_response()
        }
    }
}

/// The same path and query at another worker, with what it must know of the way.
fn url_at(worker: &str, uri: &Uri, hop: Hop) -> String {
    let pairs = uri.query().unwrap_or_default().split('&');
    let name = |pair: &str| decoded(pair.split('=').next().unwrap_or_default());
    let own = |pair: &&str| name(pair) != FORWARD && !pair.is_empty();
    let mut query: Vec<_> = pairs.filter(own).map(str::to_owned).collect();
    query.push(format!("{FORWARD}={}", hop == Hop::First));
    let worker = worker.trim_end_matches('/');
    format!("{worker}{}?{}", uri.path(), query.join("&"))
}

/// The headers that another worker needs: who asks, in what form, and the signature of another worker.
fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let signed = [SIGNATURE_HEADER, ALGORITHM_HEADER].map(HeaderName::try_from);
    let names = signed.into_iter().flatten();
    let names = names.chain([AUTHORIZATION, ACCEPT, CONTENT_TYPE]);
    let held = names.filter_map(|name| Some((headers.get(&name)?.clone(), name)));
    held.map(|(value, name)| (name, value)).collect()
}

/// What the other worker has answered; what it has made is shown where the client has asked.
fn passed_back(answer: FellowAnswer, parts: &Parts) -> Response {
    let base = parts.extensions.get::<Base>().map(|base| base.0.as_str());
    let location = answer.headers.get(LOCATION).and_then(|location| {
        let location: Uri = location.to_str().ok()?.parse().ok()?;
        HeaderValue::try_from(format!("{}{}", base.unwrap_or_default(), location.path())).ok()
    });
    let mut response = (answer.status, Body::from(answer.body)).into_response();
    let headers = response.headers_mut();
    headers.remove(CONTENT_TYPE);
    if let Some(kind) = answer.headers.get(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, kind.clone());
    }
    if let Some(location) = location {
        headers.insert(LOCATION, location);
    }
    response
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::routing::any;
    use axum::{Router, middleware};

    use super::*;
    use crate::rest::tls::TlsListener;
    use crate::runtime::{HerderError, TlsOptions, WorkerSettings};

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[test]
    fn a_request_is_passed_on_twice_at_most() {
        for (query, hop) in [
            ("/", Hop::First),
            ("/?includeTasks=true", Hop::First),
            ("/?forward=true", Hop::Second),
            ("/?a=b&forward=TRUE", Hop::Second),
            ("/?forward=false", Hop::Last),
            ("/?forward", Hop::Last),
            ("/?forward=yes", Hop::Last),
        ] {
            assert_eq!(Hop::of(&uri(query)), hop, "{query}");
        }
    }

    #[test]
    fn path_and_query_are_kept_as_they_came() {
        let asked =
            uri("/connectors/a%2Fb%20c/restart?includeTasks=true&x=%26&forward=true&onlyFailed=");
        let kept = "/connectors/a%2Fb%20c/restart?includeTasks=true&x=%26&onlyFailed=";
        for (hop, forward) in [(Hop::First, "true"), (Hop::Second, "false")] {
            let url = url_at("https://w:8083/", &asked, hop);
            assert_eq!(url, format!("https://w:8083{kept}&forward={forward}"));
        }
        let hidden = uri("/a?%66orward=true");
        assert_eq!(Hop::of(&hidden), Hop::Second);
        assert_eq!(
            url_at("http://w:1", &hidden, Hop::Second),
            "http://w:1/a?forward=false"
        );
        assert_eq!(
            url_at("http://w:1", &uri("/a"), Hop::First),
            "http://w:1/a?forward=true"
        );
    }

    #[test]
    fn only_what_the_other_worker_needs_is_told() {
        let names = [
            "authorization",
            "content-type",
            "accept",
            "cookie",
            "host",
            "content-length",
        ];
        let given =
            names.map(|name| (HeaderName::from_static(name), HeaderValue::from_static("x")));
        let told = passed_on(&given.into_iter().collect());
        let mut told: Vec<_> = told.keys().map(HeaderName::as_str).collect();
        told.sort_unstable();
        assert_eq!(told, ["accept", "authorization", "content-type"]);
    }

    fn settings(more: &[(&str, &str)]) -> WorkerSettings {
        let own = [
            ("group.id", "g"),
            ("bootstrap.servers", "b:1"),
            ("config.storage.topic", "c"),
            ("offset.storage.topic", "o"),
            ("status.storage.topic", "s"),
        ];
        let all = own.iter().chain(more);
        let all = all.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        WorkerSettings::read(&all.collect()).unwrap()
    }

    fn client(more: &[(&str, &str)]) -> FellowClient {
        FellowClient::new(&settings(more)).unwrap()
    }

    /// A worker whose herder says `elsewhere` of everything below `/connectors`, and tells of what comes to `/echo`.
    async fn worker(elsewhere: Arc<Mutex<Option<String>>>) -> String {
        let refuse = move || async move {
            let url = elsewhere.lock().unwrap().clone();
            RestError::from(HerderError::Forward { url })
        };
        let echo = |request: Request| async move {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
            let held = |name: HeaderName| parts.headers.get(name).cloned();
            let told = serde_json::json!({
                "method": parts.method.as_str(),
                "uri": parts.uri.to_string(),
                "body": String::from_utf8_lossy(&body),
                "authorization": held(AUTHORIZATION).map(|held| held.to_str().unwrap().to_owned()),
                "cookie": held(axum::http::header::COOKIE).is_some(),
            });
            let location = "http://inside:1/connectors/made";
            (
                StatusCode::CREATED,
                [(LOCATION, location)],
                axum::Json(told),
            )
        };
        let client = client(&[]);
        let app = Router::new()
            .route("/connectors", any(refuse))
            .layer(middleware::from_fn_with_state(Some(client), apply))
            .layer(middleware::from_fn_with_state(
                "http",
                crate::rest::with_base,
            ))
            .nest("/echo", Router::new().route("/connectors", any(echo)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        url
    }

    async fn post(worker: &str, query: &str) -> reqwest::Response {
        let request = reqwest::Client::new().post(format!("{worker}connectors?{query}"));
        let request = request
            .header("authorization", "Basic YTpi")
            .header("cookie", "c");
        request.body("{}").send().await.unwrap()
    }

    async fn refusal(answer: reqwest::Response) -> (u16, String) {
        let status = answer.status().as_u16();
        let body: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(body["error_code"], status);
        (status, body["message"].as_str().unwrap().to_owned())
    }

    #[tokio::test]
    async fn a_request_comes_to_the_other_worker_and_its_answer_comes_back() {
        let elsewhere = Arc::default();
        let url = worker(Arc::clone(&elsewhere)).await;
        *elsewhere.lock().unwrap() = Some(format!("{url}echo/"));
        let answer = post(&url, "a=b%20c").await;
        assert_eq!(answer.status(), 201);
        assert_eq!(answer.headers()["content-type"], "application/json");
        assert_eq!(
            answer.headers()["location"],
            format!("{url}connectors/made")
        );
        let told: serde_json::Value = answer.json().await.unwrap();
        let expected = serde_json::json!({
            "method": "POST",
            "uri": "/connectors?a=b%20c&forward=true",
            "body": "{}",
            "authorization": "Basic YTpi",
            "cookie": false,
        });
        assert_eq!(told, expected);
    }

    #[tokio::test]
    async fn workers_that_send_to_each_other_give_up_after_two_hops() {
        let (first, second) = (Arc::default(), Arc::default());
        let (one, two) = (
            worker(Arc::clone(&first)).await,
            worker(Arc::clone(&second)).await,
        );
        *first.lock().unwrap() = Some(two);
        *second.lock().unwrap() = Some(one.clone());
        let (status, message) = refusal(post(&one, "").await).await;
        assert_eq!(status, 409);
        assert!(message.contains("conflicting operation (e.g. worker rebalance)"));
    }

    #[tokio::test]
    async fn a_worker_that_is_not_known_or_not_there_is_said_to_be() {
        let elsewhere = Arc::default();
        let url = worker(Arc::clone(&elsewhere)).await;
        let (status, message) = refusal(post(&url, "").await).await;
        assert_eq!(status, 409);
        assert!(message.contains("no known leader URL"));
        *elsewhere.lock().unwrap() = Some("http://127.0.0.1:1/".to_owned());
        let (status, message) = refusal(post(&url, "").await).await;
        assert_eq!(status, 500);
        assert!(message.starts_with("IO Error trying to forward REST request: "));
    }

    /// A key store of a key and its certificate, signed by itself.
    fn key_store(folder: &std::path::Path, name: &str) -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned()];
        let certificate = rcgen::CertificateParams::new(names).unwrap();
        let certificate = certificate.self_signed(&key).unwrap().pem();
        let path = folder.join(name);
        std::fs::write(&path, format!("{}{certificate}", key.serialize_pem())).unwrap();
        path.display().to_string()
    }

    #[tokio::test]
    async fn workers_with_https_show_each_other_their_certificates() {
        let folder = tempfile::tempdir().unwrap();
        let (store, other) = (
            key_store(folder.path(), "one"),
            key_store(folder.path(), "two"),
        );
        let options = [
            ("listeners", "https://localhost:0"),
            ("listeners.https.ssl.keystore.location", store.as_str()),
            ("listeners.https.ssl.truststore.location", store.as_str()),
            ("listeners.https.ssl.client.auth", "required"),
        ];
        let tls = TlsOptions::of(&settings(&options).properties).unwrap();
        let tls = crate::rest::tls::server_config(&tls).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listener = TlsListener::new(listener, address, tls);
        let app = Router::new().route("/", any(|| async { "here" }));
        tokio::spawn(async move { axum::serve(listener, app).await });
        let ask = |client: FellowClient| async move {
            let request = FellowRequest {
                method: axum::http::Method::GET,
                url: format!("https://localhost:{}/", address.port()),
                headers: HeaderMap::new(),
                body: Bytes::new(),
            };
            client.send(request).await.map(|answer| answer.body)
        };
        assert_eq!(ask(client(&options)).await.unwrap(), "here");
        let mut stranger = options;
        stranger[1].1 = &other;
        assert!(
            ask(client(&stranger)).await.is_err(),
            "shows a certificate nobody trusts"
        );
        let mut distrustful = options;
        distrustful[2].1 = &other;
        assert!(
            ask(client(&distrustful)).await.is_err(),
            "trusts another certificate"
        );
    }
}
