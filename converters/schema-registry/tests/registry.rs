//! The converters against a registry: what is asked, what is remembered, and whose fault what goes wrong is.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::sync::Arc;

use bytes::Bytes;
use connect_core::config::{ConfigMap, find_converter_plugin};
use connect_core::data::{Datum, Field, Schema, Struct, Type, Value};
use connect_core::plugin::{Converter, ConverterRole};
use connect_core::{Error, ErrorKind, Result};
use sluice_schema_registry as _;
use sluice_stand_in_schema_registry::{Credentials, RegistryStandIn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

const AVRO: &str = "io.confluent.connect.avro.AvroConverter";
const JSON: &str = "io.confluent.connect.json.JsonSchemaConverter";
const PROTOBUF: &str = "io.confluent.connect.protobuf.ProtobufConverter";

struct Subject {
    converter: Arc<dyn Converter>,
}

impl Subject {
    fn new(class: &str, url: &str, options: &[(&str, &str)]) -> Self {
        let mut config: ConfigMap = options
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        config.insert("schema.registry.url".to_owned(), url.to_owned());
        let plugin = find_converter_plugin(class).unwrap();
        let converter = plugin.make.unwrap()(&config, ConverterRole::Value).unwrap();
        Self { converter }
    }

    /// As the worker does it.
    async fn write(&self, datum: &Datum) -> Result<Option<Bytes>> {
        let lookup = self.converter.schema_lookup().unwrap();
        if !lookup.can_write("t", datum) {
            lookup.fetch_for_writing("t", datum).await?;
        }
        self.converter.to_bytes("t", datum)
    }

    async fn read(&self, bytes: &Bytes) -> Result<Datum> {
        let lookup = self.converter.schema_lookup().unwrap();
        if !lookup.can_read("t", bytes) {
            lookup.fetch_for_reading("t", bytes).await?;
        }
        self.converter.to_connect("t", &Vec::new(), Some(bytes))
    }
}

fn order(fields: &[(&str, Type)], values: Vec<Value>) -> Datum {
    let field = |(name, kind): &(&str, Type)| Field {
        name: (*name).into(),
        schema: Arc::new(Schema::new(kind.clone())),
    };
    let kind = Type::Struct(fields.iter().map(field).collect());
    let schema = Arc::new(Schema::new(kind).named("shop.Order"));
    let value = Value::Struct(Struct {
        schema: schema.clone(),
        values,
    });
    Datum::with_schema(schema, value)
}

fn small() -> Datum {
    order(&[("id", Type::Int64)], vec![Value::Int64(7)])
}

fn larger() -> Datum {
    let fields = [("id", Type::Int64), ("note", Type::String)];
    order(&fields, vec![Value::Int64(7), Value::string("x")])
}

async fn open() -> RegistryStandIn {
    RegistryStandIn::start(Credentials::Anyone).await.unwrap()
}

fn message(error: &Error) -> String {
    error.trace()
}

#[tokio::test]
async fn a_schema_is_registered_once_and_fetched_once() {
    for class in [AVRO, JSON, PROTOBUF] {
        let registry = open().await;
        let writer = Subject::new(class, &registry.url(), &[]);
        let first = writer.write(&small()).await.unwrap().unwrap();
        // An equal schema that stands elsewhere.
        let second = writer.write(&small()).await.unwrap().unwrap();
        assert_eq!(first, second, "{class}");
        assert_eq!(registry.requests(), ["POST /subjects/t-value/versions"]);
        let reader = Subject::new(class, &registry.url(), &[]);
        for _ in 0..3 {
            let read = reader.read(&first).await.unwrap();
            assert_eq!(read.value().get("id"), Some(&Value::Int64(7)));
        }
        assert_eq!(
            registry.requests().get(1..).unwrap(),
            ["GET /schemas/ids/1"]
        );
    }
}

#[tokio::test]
async fn a_subject_is_named_by_the_record_and_keeps_one_kind_of_schema() {
    let registry = open().await;
    let strategy = "io.confluent.kafka.serializers.subject.RecordNameStrategy";
    let options = [("value.subject.name.strategy", strategy)];
    let avro = Subject::new(AVRO, &registry.url(), &options);
    avro.write(&small()).await.unwrap();
    assert_eq!(registry.requests(), ["POST /subjects/shop.Order/versions"]);
    let json = Subject::new(JSON, &registry.url(), &options);
    let error = json.write(&small()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(message(&error).contains("409"), "{}", message(&error));
}

#[tokio::test]
async fn what_the_registry_does_not_know_is_the_records_fault_and_not_asked_for_again() {
    let registry = open().await;
    let reader = Subject::new(AVRO, &registry.url(), &[]);
    for _ in 0..3 {
        let error = reader
            .read(&Bytes::from_static(b"\0\0\0\0\x63x"))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(message(&error).contains("40403"), "{}", message(&error));
    }
    assert_eq!(registry.requests().len(), 1);
    for wrong in [&b""[..], b"{}", b"\x01\0\0\0\x01x"] {
        let error = reader
            .read(&Bytes::copy_from_slice(wrong))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
    }
    assert_eq!(registry.requests().len(), 1);
    // As long as can be said: the end of time is not counted.
    let never = [("missing.id.cache.ttl.sec", "9223372036854775807")];
    let never = Subject::new(AVRO, &registry.url(), &never);
    for _ in 0..2 {
        let unknown = Bytes::from_static(b"\0\0\0\0\x63x");
        never.read(&unknown).await.unwrap_err();
    }
    assert_eq!(registry.requests().len(), 2);
    let always = Subject::new(AVRO, &registry.url(), &[("missing.id.cache.ttl.sec", "0")]);
    for _ in 0..2 {
        always
            .read(&Bytes::from_static(b"\0\0\0\0\x63x"))
            .await
            .unwrap_err();
    }
    assert_eq!(registry.requests().len(), 4);
}

#[tokio::test]
async fn a_registry_that_is_down_is_tried_again_and_the_next_address_asked() {
    let registry = open().await;
    registry.set_down(true);
    let writer = Subject::new(AVRO, &registry.url(), &[]);
    let error = writer.write(&small()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::External);
    assert!(error.is_retriable());
    registry.set_down(false);
    writer.write(&small()).await.unwrap().unwrap();
    // Nothing listens at the first address; it is not asked first any more.
    let urls = format!("http://127.0.0.1:1,{}", registry.url());
    let writer = Subject::new(AVRO, &urls, &[]);
    writer.write(&small()).await.unwrap().unwrap();
    let nowhere = Subject::new(AVRO, "http://127.0.0.1:1", &[]);
    let error = nowhere.write(&small()).await.unwrap_err();
    assert!(error.is_retriable() && error.kind() == ErrorKind::External);
}

#[tokio::test]
async fn who_asks_is_said_and_strangers_are_not_tried_again() {
    let basic = Credentials::Basic("loader".to_owned(), "p:w".to_owned());
    let registry = RegistryStandIn::start(basic).await.unwrap();
    let host = registry.url().trim_start_matches("http://").to_owned();
    let in_options = [
        ("basic.auth.credentials.source", "USER_INFO"),
        ("basic.auth.user.info", "loader:p:w"),
    ];
    let known = Subject::new(AVRO, &registry.url(), &in_options);
    known.write(&small()).await.unwrap();
    let known = Subject::new(AVRO, &format!("http://loader:p%3Aw@{host}"), &[]);
    known.write(&small()).await.unwrap();
    for url in [registry.url(), format!("http://loader:secret-guess@{host}")] {
        let error = Subject::new(AVRO, &url, &[])
            .write(&small())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Auth);
        assert!(!error.is_retriable());
        assert!(!message(&error).contains("secret-guess"));
    }
    let registry = RegistryStandIn::start(Credentials::Bearer("tok".to_owned()))
        .await
        .unwrap();
    let options = [
        ("bearer.auth.credentials.source", "STATIC_TOKEN"),
        ("bearer.auth.token", "tok"),
    ];
    Subject::new(AVRO, &registry.url(), &options)
        .write(&small())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_schema_that_may_not_follow_is_refused_for_this_record_only() {
    let registry = open().await;
    let writer = Subject::new(AVRO, &registry.url(), &[]);
    let fits = writer.write(&small()).await.unwrap().unwrap();
    for _ in 0..2 {
        // A new field without a default cannot be read from what is there.
        let error = writer.write(&larger()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(message(&error).contains("409"), "{}", message(&error));
    }
    assert_eq!(writer.write(&small()).await.unwrap().unwrap(), fits);
}

#[tokio::test]
async fn without_registering_only_what_is_there_is_written() {
    let registry = open().await;
    let finds = [("auto.register.schemas", "false")];
    let finder = Subject::new(AVRO, &registry.url(), &finds);
    let error = finder.write(&small()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(message(&error).contains("40401"), "{}", message(&error));
    let first = Subject::new(AVRO, &registry.url(), &[("normalize.schemas", "true")]);
    let written = first.write(&larger()).await.unwrap().unwrap();
    assert!(
        registry
            .requests()
            .last()
            .unwrap()
            .ends_with("?normalize=true")
    );
    // By the latest version: fields by name, what is missing is its default or an error.
    let latest = |strict| {
        let options = [
            ("auto.register.schemas", "false"),
            ("use.latest.version", "true"),
            ("latest.compatibility.strict", strict),
        ];
        Subject::new(AVRO, &registry.url(), &options)
    };
    assert_eq!(
        latest("true").write(&larger()).await.unwrap().unwrap(),
        written
    );
    let fields = [("note", Type::String), ("id", Type::Int64)];
    let turned = order(&fields, vec![Value::string("x"), Value::Int64(7)]);
    assert_eq!(
        latest("false").write(&turned).await.unwrap().unwrap(),
        written
    );
    let lacking = latest("false").write(&small()).await.unwrap_err();
    assert!(
        message(&lacking).contains("field note"),
        "{}",
        message(&lacking)
    );
    let other = order(&[("id", Type::String)], vec![Value::string("x")]);
    let error = latest("true").write(&other).await.unwrap_err();
    assert!(
        message(&error).contains("not compatible"),
        "{}",
        message(&error)
    );
}

#[tokio::test]
async fn nulls_are_tombstones_and_values_without_a_schema_are_refused() {
    let registry = open().await;
    let writer = Subject::new(AVRO, &registry.url(), &[]);
    assert_eq!(writer.write(&Datum::null()).await.unwrap(), None);
    let optional = Arc::new(Schema::new(Type::String).optional());
    let null = Datum::with_schema(optional, Value::Null);
    assert_eq!(writer.write(&null).await.unwrap(), None);
    let json = Subject::new(JSON, &registry.url(), &[]);
    assert!(json.write(&null).await.unwrap().unwrap().ends_with(b"null"));
    let error = writer
        .write(&Datum::schemaless(Value::Int64(1)))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
}

#[test]
fn wrong_options_are_named() {
    let check = |options: &[(&str, &str)]| {
        let config: ConfigMap = options
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let make = find_converter_plugin(AVRO).unwrap().make.unwrap();
        let errors = make(&config, ConverterRole::Value).err().unwrap();
        errors.first().unwrap().key.clone()
    };
    let url = ("schema.registry.url", "http://localhost:8081");
    assert_eq!(check(&[]), "schema.registry.url");
    assert_eq!(
        check(&[("schema.registry.url", "localhost")]),
        "schema.registry.url"
    );
    let user_info = ("basic.auth.credentials.source", "USER_INFO");
    assert_eq!(check(&[url, user_info]), "basic.auth.user.info");
    let token = ("bearer.auth.credentials.source", "STATIC_TOKEN");
    assert_eq!(check(&[url, token]), "bearer.auth.token");
    let generalized = ("generalized.sum.type.support", "true");
    assert_eq!(check(&[url, generalized]), "generalized.sum.type.support");
    let certificates = ("schema.registry.ssl.truststore.certificates", "none");
    assert_eq!(
        check(&[url, certificates]),
        "schema.registry.ssl.truststore.certificates"
    );
}

/// Answers every request with the id 1, over TLS; the certificate's authority in PEM.
async fn over_tls() -> (String, String) {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let chain = vec![certified.cert.der().clone()];
    // By name: beside other crates there is more than one to choose from.
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue; // a client that does not trust us
            };
            let mut request = vec![0; 4096];
            let _length = stream.read(&mut request).await.unwrap();
            let answer =
                b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\nconnection: close\r\n\r\n{\"id\":1}";
            stream.write_all(answer).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    (format!("https://localhost:{port}"), certified.cert.pem())
}

#[tokio::test]
async fn a_registry_over_tls_is_trusted_by_its_authority_only() {
    let (url, pem) = over_tls().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, &pem).unwrap();
    let in_file = (
        "schema.registry.ssl.truststore.location",
        path.to_str().unwrap(),
    );
    let in_option = ("schema.registry.ssl.truststore.certificates", pem.as_str());
    for option in [in_file, in_option] {
        let writer = Subject::new(AVRO, &url, &[option]);
        let written = writer.write(&small()).await.unwrap().unwrap();
        assert!(written.starts_with(b"\0\0\0\0\x01"));
    }
    let error = Subject::new(AVRO, &url, &[])
        .write(&small())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::External);
}
