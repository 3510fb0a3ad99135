//! Where REST listens, who is let in, and what every answer carries.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Method, StatusCode};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use sluice_services::free_port;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::{SLUICE, WorkerProcess, wait_until};

const EXTENSION: &str = "rest.extension.classes=org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension";

/// Who signs, a server's and a client's certificate with their keys, all in PEM.
struct Certificates {
    authority: String,
    server: (String, String),
    client: (String, String),
}

fn certificates() -> Result<Certificates> {
    let authority_key = rcgen::KeyPair::generate()?;
    let mut parameters = rcgen::CertificateParams::new(Vec::new())?;
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = parameters.self_signed(&authority_key)?;
    let issuer = rcgen::Issuer::from_params(&parameters, &authority_key);
    let signed = |name: &str| -> Result<(String, String)> {
        let key = rcgen::KeyPair::generate()?;
        let parameters = rcgen::CertificateParams::new(vec![name.to_owned()])?;
        Ok((
            parameters.signed_by(&key, &issuer)?.pem(),
            key.serialize_pem(),
        ))
    };
    Ok(Certificates {
        authority: authority.pem(),
        server: signed("localhost")?,
        client: signed("client")?,
    })
}

/// A create without a body over TLS; the status line.
async fn create_by_tls(
    port: u16,
    authority: &str,
    client: Option<&(String, String)>,
) -> Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let config = match client {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder.with_client_auth_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes())?],
            PrivateKeyDer::from_pem_slice(key.as_bytes())?,
        )?,
    };
    // Listeners are opened one after the other: this one may be the last.
    wait_until("the port is open", Duration::from_secs(20), || async {
        Ok(TcpStream::connect(("127.0.0.1", port)).await.is_ok())
    })
    .await?;
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = connector
        .connect(ServerName::try_from("localhost")?, stream)
        .await?;
    let request = b"POST /connectors HTTP/1.1\r\nHost: localhost:1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    stream.write_all(request).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

fn write(folder: &Path, name: &str, text: &str) -> Result<String> {
    let path = folder.join(name);
    std::fs::write(&path, text)?;
    Ok(path.display().to_string())
}

#[tokio::test]
async fn https_is_served_with_pem_and_asks_for_certificates_if_told_to() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let made = certificates()?;
    let store = write(
        folder.path(),
        "server.pem",
        &format!("{}{}", made.server.1, made.server.0),
    )?;
    let trusted = write(folder.path(), "ca.pem", &made.authority)?;
    let (plain, open, closed) = (free_port()?, free_port()?, free_port()?);
    let listener = |port: u16| format!("listeners=https://127.0.0.1:{port}");
    let settings = [
        &format!("listeners=http://127.0.0.1:{plain},https://127.0.0.1:{open}"),
        "rest.advertised.listener=https",
        &format!("listeners.https.ssl.keystore.location={store}"),
        "ssl.keystore.type=JKS", // of Kafka's clients: not looked at beside listeners.https.
    ];
    let both = WorkerProcess::start_on(plain, &folder.path().join("a"), None, &settings)?;
    let status = create_by_tls(open, &made.authority, None).await?;
    ensure!(
        status == "HTTP/1.1 500 Internal Server Error",
        "the body is missing: {status}"
    );
    let generator = json!({ "connector.class": "sluice.datagen.DatagenSourceConnector", "kafka.topic": "t", "event.type": "sales" });
    both.put_config("x", &generator).await?;
    let told = both.get("/connectors/x/status").await?;
    let advertised = format!("127.0.0.1:{open}");
    ensure!(told["connector"]["worker_id"] == advertised, "{told}");

    let settings = [
        &listener(closed),
        "ssl.keystore.type=PEM",
        &format!("ssl.keystore.location={store}"),
        &format!("ssl.truststore.location={trusted}"),
        "ssl.client.auth=required",
    ];
    let _closed = WorkerProcess::start_on(closed, &folder.path().join("b"), None, &settings)?;
    let refused = create_by_tls(closed, &made.authority, None).await;
    ensure!(
        refused.as_ref().map_or(true, String::is_empty),
        "no certificate: {refused:?}"
    );
    let status = create_by_tls(closed, &made.authority, Some(&made.client)).await?;
    ensure!(status.starts_with("HTTP/1.1 500"), "{status}");
    Ok(())
}

#[tokio::test]
async fn a_java_key_store_is_refused_with_the_way_out() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let settings = [
        format!("data.dir={}", folder.path().display()),
        "listeners=https://127.0.0.1:0".to_owned(),
        "ssl.keystore.type=JKS".to_owned(),
        "ssl.keystore.location=x.jks".to_owned(),
    ];
    let mut command = std::process::Command::new(SLUICE);
    command
        .arg("worker")
        .args(settings.iter().flat_map(|setting| ["--set", setting]));
    let ended = command.output()?;
    ensure!(!ended.status.success());
    let refused = String::from_utf8_lossy(&ended.stderr);
    for words in ["ssl.keystore.type", "only PEM", "keytool -importkeystore"] {
        ensure!(refused.contains(words), "{words}: {refused}");
    }
    Ok(())
}

#[tokio::test]
async fn loggers_are_where_admin_listeners_says() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let admin = free_port()?;
    let setting = format!("admin.listeners=http://127.0.0.1:{admin}");
    let worker = WorkerProcess::start_with(&folder.path().join("a"), None, &[&setting])?;
    let status =
        |url: String| async move { Ok::<_, anyhow::Error>(reqwest::get(url).await?.status()) };
    ensure!(status(worker.url("/admin/loggers")).await? == StatusCode::NOT_FOUND);
    ensure!(status(worker.url("/connectors")).await? == StatusCode::OK);
    let at_admin = |path: &str| format!("http://127.0.0.1:{admin}{path}");
    ensure!(status(at_admin("/admin/loggers")).await? == StatusCode::OK);
    ensure!(status(at_admin("/connectors")).await? == StatusCode::NOT_FOUND);
    let disabled =
        WorkerProcess::start_with(&folder.path().join("b"), None, &["admin.listeners="])?;
    ensure!(status(disabled.url("/admin/loggers")).await? == StatusCode::NOT_FOUND);
    Ok(())
}

#[tokio::test]
async fn a_level_that_is_set_counts_at_once() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let worker = WorkerProcess::start(folder.path(), None)?;
    let set = |name: &str, level: &str| {
        let url = worker.url(&format!("/admin/loggers/{name}"));
        Client::new()
            .put(url)
            .json(&json!({ "level": level }))
            .send()
    };
    let has_logged = |text: &str| worker.log().contains(text);
    let generator = json!({ "connector.class": "sluice.datagen.DatagenSourceConnector", "kafka.topic": "t", "event.type": "sales" });
    set("root", "ERROR").await?;
    worker.put_config("quiet", &generator).await?;
    worker
        .await_states("quiet", "RUNNING [RUNNING]", Duration::from_secs(20))
        .await?;
    ensure!(!has_logged("quiet"), "nothing below ERROR is logged");
    let affected: Value = set("org.apache.kafka.connect.runtime", "INFO")
        .await?
        .json()
        .await?;
    ensure!(
        affected[0] == "org.apache.kafka.connect.runtime",
        "{affected}"
    );
    worker.put_config("loud", &generator).await?;
    wait_until(
        "the start of loud is logged",
        Duration::from_secs(20),
        || async { Ok(has_logged("loud")) },
    )
    .await
}

#[tokio::test]
async fn only_users_of_the_file_are_let_in() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let users = write(folder.path(), "users.properties", "ann=secret:1\n")?;
    let worker = WorkerProcess::start_with(
        folder.path(),
        None,
        &[EXTENSION, &format!("rest.basic.auth.file={users}")],
    )?;
    let get = |user: Option<(&str, &str)>| {
        let request = Client::new().get(worker.url("/connectors"));
        match user {
            Some((user, password)) => request.basic_auth(user, Some(password)),
            None => request,
        }
        .send()
    };
    ensure!(get(Some(("ann", "secret:1"))).await?.status() == StatusCode::OK);
    for wrong in [
        None,
        Some(("ann", "secret")),
        Some(("bob", "secret:1")),
        Some(("bob", "")),
    ] {
        let refused = get(wrong).await?;
        ensure!(refused.status() == StatusCode::UNAUTHORIZED, "{wrong:?}");
        ensure!(refused.headers().get("www-authenticate").is_none());
        ensure!(refused.text().await? == "User cannot access the resource.");
    }
    // What workers ask each other is signed instead; a worker alone does none of it.
    for (method, path, status) in [
        (Method::PUT, "/connectors/x/fence", 500),
        (Method::POST, "/connectors/x/tasks", 500),
        (Method::GET, "/connectors/x/tasks", 401),
        (Method::GET, "/connectors/x/fence", 401),
        (Method::POST, "/connectors/x/restart", 401),
    ] {
        let request = Client::new().request(method, worker.url(path));
        let answer = request.json(&serde_json::json!([])).send().await?;
        ensure!(answer.status() == status, "{path}: {}", answer.status());
    }
    Ok(())
}

#[tokio::test]
async fn answers_carry_the_configured_headers_and_pages_of_one_origin_may_call() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let settings = [
        "access.control.allow.origin=http://good.example",
        "access.control.allow.methods=GET,PUT,DELETE",
        r#"response.http.headers.config=set X-Frame-Options: DENY, "add Cache-Control: no-cache, no-store""#,
    ];
    let worker = WorkerProcess::start_with(folder.path(), None, &settings)?;
    let call = |method: Method, origin: &'static str| {
        let request = Client::new().request(method, worker.url("/connectors"));
        let request = request.header("origin", origin);
        request
            .header("access-control-request-method", "PUT")
            .send()
    };
    let header = |response: &reqwest::Response, name: &str| {
        let value = response.headers().get(name);
        value.map(|value| value.to_str().unwrap_or_default().to_owned())
    };
    let good = call(Method::GET, "http://good.example").await?;
    ensure!(header(&good, "x-frame-options").as_deref() == Some("DENY"));
    ensure!(header(&good, "cache-control").as_deref() == Some("no-cache, no-store"));
    let allowed = header(&good, "access-control-allow-origin");
    ensure!(
        allowed.as_deref() == Some("http://good.example"),
        "{allowed:?}"
    );
    let asked = call(Method::OPTIONS, "http://good.example").await?;
    let methods =
        header(&asked, "access-control-allow-methods").context("an answer to the question")?;
    ensure!(
        methods.contains("PUT") && !methods.contains("POST"),
        "{methods}"
    );
    let bad = call(Method::GET, "http://bad.example").await?;
    ensure!(
        header(&bad, "access-control-allow-origin").is_none(),
        "{bad:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_request_that_takes_too_long_says_what_the_worker_is_doing() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let worker = WorkerProcess::start_with(folder.path(), None, &["rest.request.timeout.ms=500"])?;
    // A server that takes connections and never says a word.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let config = json!({
        "connector.class": "S3SinkConnector",
        "topics": "t",
        "s3.bucket.name": "bronze",
        "s3.region": "us-east-1",
        "store.url": format!("http://{}", silent.local_addr()?),
        "aws.access.key.id": "test",
        "aws.secret.access.key": "test-secret",
        "storage.class": "io.confluent.connect.s3.storage.S3Storage",
        "format.class": "io.confluent.connect.s3.format.json.JsonFormat",
        "flush.size": "10",
    });
    worker.put_config("x", &config).await?;
    let restart = worker.url("/connectors/x/restart");
    let answer: Value = Client::new().post(restart).send().await?.json().await?;
    let message = answer["message"].as_str().unwrap_or_default();
    let words =
        "Request timed out. The worker is currently restarting connector x, which began at ";
    ensure!(message.starts_with(words), "{answer}");
    Ok(())
}

#[tokio::test]
async fn topics_are_not_told_by_a_worker_that_does_not_track_them() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let none = WorkerProcess::start_with(
        &folder.path().join("a"),
        None,
        &["topic.tracking.enable=false"],
    )?;
    let told: Value = none.get("/connectors/x/topics").await?;
    ensure!(
        told == json!({ "error_code": 403, "message": "Topic tracking is disabled." }),
        "{told}"
    );
    let kept = WorkerProcess::start_with(
        &folder.path().join("b"),
        None,
        &["topic.tracking.allow.reset=false"],
    )?;
    ensure!(kept.get("/connectors/x/topics").await? == json!({ "x": { "topics": [] } }));
    let reset = Client::new().put(kept.url("/connectors/x/topics/reset"));
    let refused: Value = reset.send().await?.json().await?;
    ensure!(
        refused == json!({ "error_code": 403, "message": "Topic tracking reset is disabled." }),
        "{refused}"
    );
    Ok(())
}
