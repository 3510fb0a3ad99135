//! TLS and SASL against a real broker, from Kafka's own client keys.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use connect_core::ErrorKind;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use sluice::kafka::cluster::ClusterLog;
use sluice::kafka::{Log, ProducerOptions, Subscription};
use sluice_services::{Kafka, KafkaOptions, free_port};

use super::home::{
    all_written, connect, new_topic, options, partition, read, record, unique, values,
};
use super::run;

/// The password of the user `alice` everywhere.
const PASSWORD: &str = "alice's \\\"secret\\\"";

/// A broker with a listener for each way in.
struct SecureBroker {
    kafka: Kafka,
    ca: Authority,
    tls: u16,
    /// Its certificate names another host.
    misnamed: u16,
    sasl_tls: u16,
    sasl_plain: u16,
}

/// Who signs certificates, and those it signed.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM.
struct Identity {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        let issuer = Issuer::new(params, key);
        Ok(Self { pem, issuer })
    }

    fn sign(&self, name: &str) -> Result<Identity> {
        let key = KeyPair::generate()?;
        let params = CertificateParams::new(vec![name.to_owned()])?;
        Ok(Identity {
            certificate: params.signed_by(&key, &self.issuer)?.pem(),
            key: key.serialize_pem(),
        })
    }
}

/// PEM as one line of a properties file.
fn line(pem: &str) -> String {
    pem.replace('\n', "\\n")
}

impl SecureBroker {
    /// The one of this process.
    fn get() -> Result<&'static Self> {
        static BROKER: OnceLock<SecureBroker> = OnceLock::new();
        static STARTING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(broker) = BROKER.get() {
            return Ok(broker);
        }
        let broker = Self::start()?;
        Ok(BROKER.get_or_init(|| broker))
    }

    fn start() -> Result<Self> {
        let ca = Authority::new()?;
        let (tls, misnamed, sasl_tls, sasl_plain) =
            (free_port()?, free_port()?, free_port()?, free_port()?);
        let listeners = [
            ("SSL", tls),
            ("MISNAMED", misnamed),
            ("SASL_SSL", sasl_tls),
            ("SASL_PLAINTEXT", sasl_plain),
        ];
        let kafka = Kafka::start_for_process(&KafkaOptions {
            properties: broker_properties(&ca)?,
            listeners: listeners
                .map(|(name, port)| format!("{name}://127.0.0.1:{port}"))
                .into(),
        })?;
        let broker = Self {
            kafka,
            ca,
            tls,
            misnamed,
            sasl_tls,
            sasl_plain,
        };
        broker.add_scram_user()?;
        Ok(broker)
    }

    fn add_scram_user(&self) -> Result<()> {
        let bootstrap = self.kafka.bootstrap();
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
            let credentials = format!("{mechanism}=[password={}]", plain_password());
            let output = self.kafka.tool(
                "kafka.admin.ConfigCommand",
                &[
                    "--bootstrap-server",
                    &bootstrap,
                    "--alter",
                    "--entity-type",
                    "users",
                    "--entity-name",
                    "alice",
                    "--add-config",
                    &credentials,
                ],
            )?;
            let said = String::from_utf8_lossy(&output.stdout);
            ensure!(output.status.success(), "adding a user: {said}");
        }
        Ok(())
    }

    /// Connects over TLS with more settings.
    async fn connect_tls(&self, port: u16, more: &[(&str, &str)]) -> Result<ClusterLog> {
        let mut settings = vec![
            ("security.protocol", "SSL"),
            ("ssl.truststore.certificates", self.ca.pem.as_str()),
            ("ssl.truststore.type", "PEM"),
        ];
        settings.extend(more);
        connect_soon(port, &settings).await
    }

    /// Connects with user and password.
    async fn connect_sasl(
        &self,
        (protocol, port): (&str, u16),
        mechanism: &str,
        password: &str,
    ) -> Result<ClusterLog> {
        let module = match mechanism {
            "PLAIN" => "org.apache.kafka.common.security.plain.PlainLoginModule",
            _ => "org.apache.kafka.common.security.scram.ScramLoginModule",
        };
        let jaas = format!("{module} required username=\"alice\" password=\"{password}\";");
        let settings = [
            ("security.protocol", protocol),
            ("ssl.truststore.certificates", &self.ca.pem),
            ("sasl.mechanism", mechanism),
            ("sasl.jaas.config", &jaas),
        ];
        connect_soon(port, &settings).await
    }
}

/// [`PASSWORD`] without the escapes of a login module's line.
fn plain_password() -> String {
    PASSWORD.replace("\\\"", "\"")
}

fn broker_properties(ca: &Authority) -> Result<BTreeMap<String, String>> {
    let (server, other) = (ca.sign("127.0.0.1")?, ca.sign("another.host")?);
    let plain = "org.apache.kafka.common.security.plain.PlainLoginModule";
    let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
    let jaas = format!(
        "{plain} required user_alice=\"{}\";",
        PASSWORD.replace('\\', "\\\\")
    );
    let mut properties: BTreeMap<String, String> = [
        (
            "listener.security.protocol.map",
            "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,MISNAMED:SSL,SASL_SSL:SASL_SSL,SASL_PLAINTEXT:SASL_PLAINTEXT",
        ),
        ("auto.create.topics.enable", "false"),
        ("ssl.keystore.type", "PEM"),
        ("ssl.truststore.type", "PEM"),
        ("ssl.truststore.certificates", &line(&ca.pem)),
        ("ssl.keystore.certificate.chain", &line(&server.certificate)),
        ("ssl.keystore.key", &line(&server.key)),
        ("listener.name.ssl.ssl.client.auth", "required"),
        ("listener.name.misnamed.ssl.keystore.type", "PEM"),
        (
            "listener.name.misnamed.ssl.keystore.certificate.chain",
            &line(&other.certificate),
        ),
        ("listener.name.misnamed.ssl.keystore.key", &line(&other.key)),
        ("sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    for listener in ["sasl_ssl", "sasl_plaintext"] {
        let key =
            |mechanism: &str| format!("listener.name.{listener}.{mechanism}.sasl.jaas.config");
        properties.insert(key("plain"), jaas.clone());
        properties.insert(key("scram-sha-256"), scram.to_owned());
        properties.insert(key("scram-sha-512"), scram.to_owned());
    }
    Ok(properties)
}

/// Connects to a port of this machine; refusals must come soon.
async fn connect_soon(port: u16, settings: &[(&str, &str)]) -> Result<ClusterLog> {
    let begun = Instant::now();
    let connected = connect(&format!("127.0.0.1:{port}"), settings).await;
    ensure!(
        begun.elapsed() < Duration::from_secs(20),
        "answered after {:?}",
        begun.elapsed()
    );
    connected
}

/// The kind of error a connection was refused with, and its trace.
fn refused(connected: Result<ClusterLog>) -> Result<(ErrorKind, String)> {
    let error = connected.err().context("it was let in")?;
    let error: connect_core::Error = error.downcast().context("another error")?;
    Ok((error.kind(), error.trace()))
}

/// Makes a topic, writes, and reads as a member of a group; then is a worker of another.
async fn round_trip(log: &ClusterLog) -> Result<()> {
    let name = unique("secure");
    ensure!(log.admin().create_topic(&new_topic(&name, 1, &[])).await?);
    let topic = name.as_str().into();
    let producer = log.producer(ProducerOptions::default()).await?;
    all_written(producer.send(vec![record(&topic, "hidden")]).await?)?;
    producer.close().await?;
    let mut reading = options(Subscription::Topics(vec![name.clone()]));
    reading.group = Some(name.clone());
    let consumer = log.consumer(reading).await?;
    ensure!(values(&read(&*consumer, 1).await?) == ["hidden"]);
    consumer
        .commit(&[(partition(&topic, 0), super::home::offset(1).into())].into())
        .await?;
    consumer.close().await?;
    crate::worker_group::join_alone(log, &format!("{name}-workers")).await
}

#[test]
fn tls_with_certificates_in_the_properties() -> Result<()> {
    let broker = SecureBroker::get()?;
    let client = broker.ca.sign("client")?;
    run(|| async {
        let own = [
            ("ssl.keystore.type", "PEM"),
            (
                "ssl.keystore.certificate.chain",
                client.certificate.as_str(),
            ),
            ("ssl.keystore.key", client.key.as_str()),
        ];
        round_trip(&broker.connect_tls(broker.tls, &own).await?).await
    })
}

#[test]
fn tls_with_certificates_in_files() -> Result<()> {
    let broker = SecureBroker::get()?;
    let client = broker.ca.sign("client")?;
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (trusted, own) = (path("trusted.pem"), path("own.pem"));
    std::fs::write(&trusted, &broker.ca.pem)?;
    std::fs::write(&own, format!("{}{}", client.key, client.certificate))?;
    run(|| async {
        let settings = [
            ("security.protocol", "SSL"),
            ("ssl.truststore.type", "PEM"),
            ("ssl.truststore.location", trusted.as_str()),
            ("ssl.keystore.type", "PEM"),
            ("ssl.keystore.location", own.as_str()),
        ];
        round_trip(&connect_soon(broker.tls, &settings).await?).await
    })
}

#[test]
fn tls_without_the_clients_certificate_is_refused_where_it_is_asked_for() -> Result<()> {
    let broker = SecureBroker::get()?;
    run(|| async {
        let (kind, trace) = refused(broker.connect_tls(broker.tls, &[]).await)?;
        ensure!(kind == ErrorKind::Auth, "{trace}");
        Ok(())
    })
}

#[test]
fn tls_with_a_broker_nobody_vouches_for_is_refused() -> Result<()> {
    let broker = SecureBroker::get()?;
    let stranger = Authority::new()?;
    run(|| async {
        let settings = [
            ("security.protocol", "SSL"),
            ("ssl.truststore.certificates", stranger.pem.as_str()),
        ];
        let (kind, trace) = refused(connect_soon(broker.sasl_tls, &settings).await)?;
        ensure!(kind == ErrorKind::Auth, "{trace}");
        Ok(())
    })
}

#[test]
fn tls_with_a_certificate_of_another_host_is_refused() -> Result<()> {
    let broker = SecureBroker::get()?;
    run(|| async {
        let (kind, trace) = refused(broker.connect_tls(broker.misnamed, &[]).await)?;
        ensure!(kind == ErrorKind::Auth, "{trace}");
        Ok(())
    })
}

#[test]
fn sasl_plain_and_scram_over_tls_and_without() -> Result<()> {
    let broker = SecureBroker::get()?;
    run(|| async {
        for listener in [
            ("SASL_SSL", broker.sasl_tls),
            ("SASL_PLAINTEXT", broker.sasl_plain),
        ] {
            for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
                let log = broker.connect_sasl(listener, mechanism, PASSWORD).await;
                let log = log.with_context(|| format!("{mechanism} on {listener:?}"))?;
                round_trip(&log).await?;
            }
        }
        Ok(())
    })
}

#[test]
fn a_wrong_password_is_refused_and_not_shown() -> Result<()> {
    let broker = SecureBroker::get()?;
    run(|| async {
        let listener = ("SASL_SSL", broker.sasl_tls);
        for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
            let connected = broker.connect_sasl(listener, mechanism, "guessed-it").await;
            let (kind, trace) = refused(connected)?;
            ensure!(kind == ErrorKind::Auth, "{mechanism}: {trace}");
            ensure!(
                !trace.contains("guessed-it"),
                "{mechanism} shows it: {trace}"
            );
        }
        Ok(())
    })
}

/// Where brokers do not make topics: the error names the topic, and a group takes it up once it is there.
#[test]
fn a_topic_that_nobody_makes_is_missed_by_name_and_taken_up_once_it_is_there() -> Result<()> {
    let broker = SecureBroker::get()?;
    run(|| async {
        let bootstrap = broker.kafka.bootstrap();
        let log = connect(&bootstrap, &[("metadata.max.age.ms", "1000")]).await?;
        let name = unique("nobody-makes-it");
        let topic = name.as_str().into();
        let mut reading = options(Subscription::Topics(vec![name.clone()]));
        reading.group = Some(name.clone());
        let consumer = log.consumer(reading).await?;
        ensure!(consumer.poll(super::home::POLL).await?.is_empty());
        let impatient = ProducerOptions {
            overrides: super::home::map(&[("max.block.ms", "2000")]),
            ..ProducerOptions::default()
        };
        let producer = log.producer(impatient).await?;
        let result = producer.send(vec![record(&topic, "lost")]).await?;
        let error = result.into_iter().next().and_then(Result::err);
        let error = error.context("it was written")?;
        ensure!(error.kind() == ErrorKind::Config, "{}", error.trace());
        ensure!(error.trace().contains(&name), "{}", error.trace());
        ensure!(log.admin().create_topic(&new_topic(&name, 1, &[])).await?);
        all_written(producer.send(vec![record(&topic, "first")]).await?)?;
        ensure!(values(&read(&*consumer, 1).await?) == ["first"]);
        consumer.close().await?;
        producer.close().await?;
        Ok(())
    })
}
