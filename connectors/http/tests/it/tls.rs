//! TLS: the server must be who it says, by an authority that is trusted.

use std::io::Write;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::support::{Api, Reply, Worker, users};

/// An authority's certificate in PEM, and a server's configuration signed by it.
fn authority(server_name: &str) -> (String, ServerConfig) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let server_key = KeyPair::generate().unwrap();
    let server_params = CertificateParams::new(vec![server_name.to_owned()]).unwrap();
    let server = server_params.signed_by(&server_key, &issuer).unwrap();
    let private = PrivateKeyDer::try_from(server_key.serialize_der()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![server.der().clone()], private)
        .unwrap();
    (certificate.pem(), config)
}

/// Answers one user to every connection, over TLS.
async fn serve(config: ServerConfig) -> String {
    let (api, listener) = Api::bind(|_| Reply::json(users(1..=1))).await;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let router = api.router();
    let url = format!("https://localhost:{}/", api.address.port());
    tokio::spawn(async move { axum::serve(TlsListener { listener, acceptor }, router).await });
    url
}

struct TlsListener {
    listener: tokio::net::TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for TlsListener {
    type Io = tokio_rustls::server::TlsStream<tokio::net::TcpStream>;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((connection, address)) = self.listener.accept().await else {
                continue;
            };
            if let Ok(stream) = self.acceptor.accept(connection).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

fn pem_file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[tokio::test]
async fn a_server_is_believed_by_the_given_authority_alone() {
    let (ca, config) = authority("localhost");
    let url = serve(config).await;
    let trusted = pem_file(&ca);
    let path = trusted.path().to_str().unwrap();
    let worker = Worker::new(&url, &[("http.tls.ca.file", path)]);
    worker.connector.start().await.unwrap();
    assert_eq!(worker.task().await.next().await.len(), 1);

    let (another, _) = authority("localhost");
    let other = pem_file(&another);
    let options = [("http.tls.ca.file", other.path().to_str().unwrap())];
    assert!(
        Worker::new(&url, &options)
            .task()
            .await
            .poll()
            .await
            .is_err()
    );
    assert!(Worker::new(&url, &[]).task().await.poll().await.is_err());
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let (ca, config) = authority("example.org");
    let url = serve(config).await;
    let trusted = pem_file(&ca);
    let options = [("http.tls.ca.file", trusted.path().to_str().unwrap())];
    let error = Worker::new(&url, &options).task().await.failure().await;
    assert!(error.trace().contains("certificate"), "{}", error.trace());
}

#[tokio::test]
async fn a_ca_file_that_is_none_fails_the_connector_by_name() {
    let file = pem_file("nothing");
    let path = file.path().to_str().unwrap().to_owned();
    for path in [path.as_str(), "/does/not/exist.pem"] {
        let worker = Worker::new("https://localhost/", &[("http.tls.ca.file", path)]);
        let error = worker.connector.start().await.unwrap_err();
        assert!(
            error.to_string().contains("http.tls.ca.file") && error.to_string().contains(path),
            "{error}"
        );
    }
}
