//! What each sslmode takes and refuses.

use std::os::unix::fs::PermissionsExt;

use connect_core::ErrorKind;
use connect_core::config::connector_from_map;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use sluice_services::{Postgres, PostgresOptions};
use tempfile::TempDir;

use crate::harness::{DATABASE, config, json_record, postgres, sink};

/// A certificate authority that nobody knows, and a file with its certificate.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters
            .distinguished_name
            .push(DnType::CommonName, "authority");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer =
            CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("root.crt"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    fn root(&self) -> String {
        self.folder.path().join("root.crt").display().to_string()
    }

    /// Certificate and key for `name`, in PEM.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// A server whose certificate is for `name`; it asks clients for one of ours.
    fn server(&self, name: &str) -> Postgres {
        // The server runs as somebody else.
        let readable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(self.folder.path(), readable).unwrap();
        let trusted = ("ssl_ca_file".to_owned(), format!("'{}'", self.root()));
        let options = PostgresOptions {
            tls: Some(self.issue(name)),
            settings: [trusted].into(),
        };
        Postgres::start(&options).unwrap()
    }
}

async fn start(postgres: &Postgres, mode: &str, root: Option<&str>) -> connect_core::Result<()> {
    let mut options = vec![("connection.sslmode", mode)];
    options.extend(root.map(|root| ("connection.sslrootcert", root)));
    let connector = connector_from_map(&config(postgres, &options)).unwrap();
    connector.start().await
}

#[tokio::test]
async fn each_mode_checks_what_it_says() {
    let (known, unknown) = (Authority::new(), Authority::new());
    let right = known.server("127.0.0.1");
    let other_name = known.server("elsewhere.example.org");
    let root = known.root();
    for mode in ["allow", "prefer", "require", "disable"] {
        start(&other_name, mode, Some(&unknown.root()))
            .await
            .unwrap();
    }
    for mode in ["verify-ca", "verify-full"] {
        start(&right, mode, Some(&root)).await.unwrap();
        for trusted in [Some(unknown.root()), None] {
            let error = start(&right, mode, trusted.as_deref()).await.unwrap_err();
            // Config where the system has no certificates at all.
            let refused = matches!(error.kind(), ErrorKind::Auth | ErrorKind::Config);
            assert!(refused && !error.is_retriable(), "{}", error.trace());
        }
    }
    start(&other_name, "verify-ca", Some(&root)).await.unwrap();
    let error = start(&other_name, "verify-full", Some(&root))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth, "{}", error.trace());
}

#[tokio::test]
async fn rows_are_written_over_tls_and_a_url_can_ask_for_it() {
    let authority = Authority::new();
    let postgres = authority.server("127.0.0.1");
    let url = format!(
        "{}?sslmode=verify-full&sslrootcert={}&ApplicationName=encrypted",
        postgres.jdbc_url(DATABASE),
        authority.root()
    );
    let options = [("connection.url", url.as_str()), ("auto.create", "true")];
    let mut driver = sink(&config(&postgres, &options), "t").await;
    let records = (0..5000).map(|n| json_record("t", n, &format!(r#"{{"n": {n}}}"#)));
    driver.write(records.collect()).await.unwrap();
    assert_eq!(
        postgres.sql(DATABASE, "SELECT count(*) FROM t").unwrap(),
        "5000"
    );
    let encrypted = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                     WHERE application_name = 'encrypted'";
    assert_eq!(postgres.sql(DATABASE, encrypted).unwrap(), "t");
}

#[tokio::test]
async fn a_client_shows_its_certificate() {
    let authority = Authority::new();
    let postgres = authority.server("127.0.0.1");
    let (certificate, key) = authority.issue("loader");
    let file = |name: &str, text: &str| {
        let path = authority.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (certificate, key) = (file("client.crt", &certificate), file("client.key", &key));
    let options = [
        ("connection.sslmode", "require"),
        ("connection.sslcert", certificate.as_str()),
        ("connection.sslkey", key.as_str()),
        ("auto.create", "true"),
    ];
    let mut driver = sink(&config(&postgres, &options), "t").await;
    driver
        .write(vec![json_record("t", 0, r#"{"n": 1}"#)])
        .await
        .unwrap();
    let shown = "SELECT client_serial IS NOT NULL FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                 WHERE application_name = 'sluice'";
    assert_eq!(postgres.sql(DATABASE, shown).unwrap(), "t");
    let without_key = [
        ("connection.sslmode", "require"),
        ("connection.sslcert", certificate.as_str()),
    ];
    let connector = connector_from_map(&config(&postgres, &without_key)).unwrap();
    assert_eq!(
        connector.start().await.unwrap_err().kind(),
        ErrorKind::Config
    );
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_tls_is_asked_for() {
    let postgres = postgres();
    start(&postgres, "prefer", None).await.unwrap();
    let error = start(&postgres, "require", None).await.unwrap_err();
    assert!(!error.is_retriable(), "{}", error.trace());
    let missing = start(&postgres, "verify-full", Some("/nowhere/root.crt"))
        .await
        .unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Config);
}
