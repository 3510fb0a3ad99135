//! Workers that reach each other by HTTPS, with certificates of an authority of their own.

use anyhow::{Context, Result, ensure};
use rcgen::{CertificateParams, DnType, Issuer, KeyPair};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use sluice_services::free_port;

use super::members::{Members, SOON};
use crate::support::{WorkerProcess, wait_until};

/// Who signs the certificates of workers.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    fn new(name: &str) -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut parameters = CertificateParams::new(Vec::new())?;
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = parameters.self_signed(&key)?.pem();
        Ok(Self {
            issuer: Issuer::new(parameters, key),
            certificate,
        })
    }

    /// A key and its certificate for this machine, in PEM.
    fn key_store(&self) -> Result<String> {
        let key = KeyPair::generate()?;
        let parameters = CertificateParams::new(vec!["127.0.0.1".to_owned()])?;
        let certificate = parameters.signed_by(&key, &self.issuer)?.pem();
        Ok(format!("{}{certificate}", key.serialize_pem()))
    }
}

/// Workers of one group; they listen to the test, too, without TLS.
struct Stage {
    members: Members,
    authority: Authority,
    /// The addresses by which the workers reach each other.
    addresses: Vec<String>,
}

impl Stage {
    async fn set() -> Result<Self> {
        let stage = Self {
            members: Members::start(0, &[]).await?,
            authority: Authority::new("the group's")?,
            addresses: Vec::new(),
        };
        let trusted = stage.members.path("authority.pem");
        std::fs::write(trusted, &stage.authority.certificate)?;
        Ok(stage)
    }

    /// One more worker that shows a certificate of this authority, and trusts those of the group's.
    fn add(&mut self, key_store: &str) -> Result<()> {
        let (plain, secure) = (free_port()?, free_port()?);
        let path = self.members.path(&format!("{secure}.pem"));
        std::fs::write(&path, key_store)?;
        let trusted = self.members.path("authority.pem");
        let settings = [
            format!("listeners=http://127.0.0.1:{plain},https://127.0.0.1:{secure}"),
            "rest.advertised.listener=https".to_owned(),
            format!("listeners.https.ssl.keystore.location={path}"),
            format!("listeners.https.ssl.truststore.location={trusted}"),
            "listeners.https.ssl.client.auth=required".to_owned(),
        ];
        let settings: Vec<_> = settings.iter().map(String::as_str).collect();
        self.members.add_on(plain, &settings)?;
        self.addresses.push(format!("127.0.0.1:{secure}"));
        Ok(())
    }

    fn worker(&self, number: usize) -> Result<&WorkerProcess> {
        let worker = self.members.workers.get(number);
        worker.context("there is no such worker")
    }

    fn source(&self, topic: &str) -> Value {
        json!({
            "connector.class": "FileStreamSource", "tasks.max": "1", "file": self.members.path("in.txt"), "topic": topic,
        })
    }

    /// Waits until a connector runs with its task, and tells which workers have the two.
    async fn owners(&self, name: &str) -> Result<[String; 2]> {
        let worker = self.worker(0)?;
        let running = || async { Ok(worker.states(name).await? == "RUNNING [RUNNING]") };
        wait_until(&format!("{name} runs"), SOON, running).await?;
        let status = worker.get(&format!("/connectors/{name}/status")).await?;
        let owner = |part: &Value| part["worker_id"].as_str().unwrap_or_default().to_owned();
        Ok([owner(&status["connector"]), owner(&status["tasks"][0])])
    }
}

/// The status and the message of a refusal.
async fn ask(
    worker: &WorkerProcess,
    method: Method,
    path: &str,
    body: &Value,
) -> Result<(u16, String)> {
    let request = Client::new().request(method, worker.url(path)).json(body);
    let answer = request.timeout(SOON).send().await?;
    let status = answer.status().as_u16();
    let text = answer.text().await?;
    let answer: Value = serde_json::from_str(&text).unwrap_or_default();
    Ok((
        status,
        answer["message"].as_str().unwrap_or_default().to_owned(),
    ))
}

const NAMES: &[&str] = &["a", "b", "c"];

async fn all_is_forwarded(stage: &Stage) -> Result<()> {
    // Whoever leads: one of the two has to ask it for each of these.
    for name in NAMES {
        for (number, topic) in ["before", "after"].into_iter().enumerate() {
            stage
                .members
                .put(number, name, &stage.source(topic))
                .await?;
        }
    }
    let mut owners = Vec::new();
    for name in NAMES {
        owners.extend(stage.owners(name).await?);
    }
    for address in &stage.addresses {
        ensure!(
            owners.contains(address),
            "{address} has nothing: {owners:?}"
        );
    }
    for name in NAMES {
        // Its task configs have come to the leader.
        let tasks = stage
            .worker(0)?
            .get(&format!("/connectors/{name}/tasks"))
            .await?;
        ensure!(tasks[0]["config"]["topic"] == "after", "{tasks}");
        for worker in &stage.members.workers {
            for part in ["tasks/0/restart", "restart"] {
                let path = format!("/connectors/{name}/{part}");
                let asked = ask(worker, Method::POST, &path, &Value::Null).await?;
                ensure!(asked.0 == 204, "{path}: {asked:?}");
            }
        }
        stage.owners(name).await?;
    }
    Ok(())
}

/// One whose certificate is another authority's: it is in the group, but no other worker speaks with it.
async fn a_stranger_is_refused(stage: &mut Stage) -> Result<()> {
    stage.add(&Authority::new("a stranger's")?.key_store()?)?;
    let stranger = stage.worker(2)?;
    let settled = || async {
        // It has to ask the leader, whoever that is.
        let (status, message) = ask(
            stranger,
            Method::PUT,
            "/connectors/a/config",
            &stage.source("x"),
        )
        .await?;
        let wanted = "IO Error trying to forward REST request: ";
        ensure!(
            status == 500 && message.starts_with(wanted),
            "{status} {message}"
        );
        ensure!(message.contains("UnknownCA"), "{message}");
        Ok(true)
    };
    wait_until("the stranger's certificate is refused", SOON, settled).await?;
    // The other way round: what it runs cannot be reached.
    let address = stage.addresses.get(2).context("an address")?;
    let worker = stage.worker(0)?;
    let refused = || async {
        for name in NAMES {
            let status = worker.get(&format!("/connectors/{name}/status")).await?;
            if status["connector"]["worker_id"] != **address {
                continue;
            }
            let path = format!("/connectors/{name}/restart");
            let (status, message) = ask(worker, Method::POST, &path, &Value::Null).await?;
            ensure!(
                status == 500 && message.contains("UnknownIssuer"),
                "{status} {message}"
            );
            return Ok(true);
        }
        Ok(false)
    };
    wait_until("the stranger is not asked", SOON, refused).await
}

async fn forward_and_refuse(stage: &mut Stage) -> Result<()> {
    for _ in 0..2 {
        let key_store = stage.authority.key_store()?;
        stage.add(&key_store)?;
    }
    std::fs::write(stage.members.path("in.txt"), "a line\n")?;
    all_is_forwarded(stage).await?;
    a_stranger_is_refused(stage).await
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_ask_each_other_by_https_and_refuse_strangers() -> Result<()> {
    let mut stage = Stage::set().await?;
    let outcome = forward_and_refuse(&mut stage).await;
    outcome.with_context(|| stage.members.logs())
}
