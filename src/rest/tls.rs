//! HTTPS listeners: certificates and keys in PEM, under Kafka's keys.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use connect_core::{Error, Result};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::debug;

use crate::runtime::{ClientAuth, Identity, TlsOptions};

/// How long a client may take to agree on a connection.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Connections that may be agreed on at once.
const HANDSHAKES: usize = 64;

/// What an HTTPS listener shows and asks for.
///
/// # Errors
/// A configuration error that names the key: a file that cannot be read, a certificate or key that is none.
pub(super) fn server_config(options: &TlsOptions) -> Result<Arc<ServerConfig>> {
    let wrong = |cause: rustls::Error| {
        Error::config("certificate and key do not make a server")
            .operation("ssl.keystore")
            .source(cause)
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(wrong)?;
    let builder = match client_verifier(options, provider)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let (certificates, key) = identity(options)?;
    let mut config = builder.with_single_cert(certificates, key).map_err(wrong)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn identity(options: &TlsOptions) -> Result<Identity> {
    options.identity()?.ok_or_else(|| {
        Error::config(
            "an https listener needs ssl.keystore.location, a PEM file with private key and certificate chain, or ssl.keystore.key and ssl.keystore.certificate.chain",
        )
    })
}

fn client_verifier(
    options: &TlsOptions,
    provider: Arc<rustls::crypto::CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>> {
    if options.client_auth == ClientAuth::None {
        return Ok(None);
    }
    let Some(roots) = options.trusted_roots()? else {
        return Err(Error::config(
            "ssl.client.auth needs ssl.truststore.location or ssl.truststore.certificates: whose certificates to trust",
        ));
    };
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = match options.client_auth {
        ClientAuth::Requested => builder.allow_unauthenticated(),
        _ => builder,
    };
    let built = builder.build();
    let verifier = built.map_err(|cause| {
        Error::config("no certificates to trust")
            .operation("ssl.truststore.certificates")
            .source(cause)
    })?;
    Ok(Some(verifier))
}

/// Accepts connections and agrees with each client on TLS, beside the others: a slow one holds up nobody.
pub(super) struct TlsListener {
    agreed: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
    accepting: AbortHandle,
}

impl TlsListener {
    pub(super) fn new(
        listener: TcpListener,
        address: SocketAddr,
        config: Arc<ServerConfig>,
    ) -> Self {
        let (sender, agreed) = mpsc::channel(1);
        let accepting = tokio::spawn(accept(listener, TlsAcceptor::from(config), sender));
        Self {
            agreed,
            address,
            accepting: accepting.abort_handle(),
        }
    }
}

async fn accept(
    mut listener: TcpListener,
    acceptor: TlsAcceptor,
    agreed: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    let permits = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else {
            return; // never closed
        };
        // Pauses by itself after an error.
        let (stream, peer) = Listener::accept(&mut listener).await;
        let (acceptor, agreed) = (acceptor.clone(), agreed.clone());
        tokio::spawn(async move {
            match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => {
                    let _server_ended = agreed.send((stream, peer)).await;
                }
                Ok(Err(error)) => debug!(%peer, %error, "no agreement on TLS"),
                Err(_) => debug!(%peer, "no agreement on TLS in time"),
            }
            drop(permit);
        });
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.agreed.recv().await {
            Some(agreed) => agreed,
            // The accepting task has ended with the runtime.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        Ok(self.address)
    }
}

impl Drop for TlsListener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

#[cfg(test)]
mod tests {
    use pkcs8::der::pem::LineEnding;
    use pkcs8::pkcs5::pbes2;
    use pkcs8::{PrivateKeyInfo, SecretDocument};

    use super::*;

    /// A key store of a key encrypted with `secret` and its certificate.
    fn key_store() -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = parameters.self_signed(&key).unwrap().pem();
        let der = key.serialize_der();
        let scheme = pbes2::Parameters::pbkdf2_sha256_aes256cbc(1000, b"saltsalt", &[7; 16]);
        let key = PrivateKeyInfo::try_from(der.as_slice()).unwrap();
        let encrypted: SecretDocument = key.encrypt_with_params(scheme.unwrap(), "secret").unwrap();
        let pem = encrypted
            .to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF)
            .unwrap();
        format!("{}{certificate}", *pem)
    }

    fn made_with(settings: &[(&str, &str)]) -> std::result::Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.pem");
        std::fs::write(&path, key_store()).unwrap();
        let location = path.display().to_string();
        let settings = settings.iter().copied();
        let settings = settings.chain([("ssl.keystore.location", location.as_str())]);
        let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let options = TlsOptions::of(&settings.collect()).unwrap();
        let made = server_config(&options);
        made.map(|_| ()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_encrypted_key_needs_its_password() {
        let right = ("ssl.key.password", "secret");
        assert_eq!(made_with(&[right]), Ok(()));
        let wrong = ("ssl.key.password", "wrong");
        let asking = ("ssl.client.auth", "required");
        for (settings, words) in [
            (&[][..], "set ssl.key.password"),
            (&[wrong], "is ssl.key.password right"),
            (&[right, asking], "ssl.truststore"),
        ] {
            let refused = made_with(settings).unwrap_err();
            assert!(refused.contains(words), "{words}: {refused}");
        }
    }
}
