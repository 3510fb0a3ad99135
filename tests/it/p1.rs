//! Sales events to Snowflake's stand-in, by key pair and by password: real Kafka, the ready configs with their
//! placeholders; the worker is killed on the way, then Snowflake's own Python connector reads what Kafka holds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use sluice_services::{Kafka, KafkaOptions};
use sluice_stand_in_snowflake::{SnowflakeOptions, SnowflakeStandIn};

use crate::support::{SLUICE, WorkerProcess, kcat, ready_config, wait_until};

const TOPIC: &str = "sales_events";
const EVENTS: usize = 100_000;
const PASSWORD: &str = "test-secret";
const PYTHON_CONNECTOR: &str = "snowflake-connector-python==4.8.1";

/// Events by partition and offset.
type Events = BTreeMap<(i64, i64), Value>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn output_of(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("starting {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// A key pair made by the script that users run; the public key in PEM.
fn make_key_pair(folder: &Path) -> Result<String> {
    let script = root().join("deploy/snowflake_key_pair.sh");
    let said = output_of(Command::new(script).arg("LOADER").arg(folder))?;
    let public = std::fs::read_to_string(folder.join("rsa_key.pub"))?;
    let bare: String = public
        .lines()
        .filter(|line| !line.starts_with("---"))
        .collect();
    let statement = format!("ALTER USER LOADER SET RSA_PUBLIC_KEY='{bare}';");
    ensure!(said.trim() == statement, "{said}");
    Ok(public)
}

async fn start_snowflake(public_key: String) -> Result<SnowflakeStandIn> {
    Ok(SnowflakeStandIn::start(SnowflakeOptions::local(Some(public_key))).await?)
}

/// What the ready configs look up: properties for one provider, a folder with the private key for the other.
fn keep_credentials(folder: &Path, snowflake: &SnowflakeStandIn) -> Result<()> {
    let text = format!(
        "url={}\nuser=loader\npassword={PASSWORD}\n",
        snowflake.url()
    );
    Ok(std::fs::write(folder.join("snowflake.properties"), text)?)
}

fn start_worker(folder: &Path, kafka: &Kafka) -> Result<WorkerProcess> {
    let settings = [
        // A killed worker is forgotten sooner.
        "consumer.session.timeout.ms=6000",
        "consumer.heartbeat.interval.ms=2000",
        "config.providers=file,dir",
        "config.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider",
        "config.providers.dir.class=org.apache.kafka.common.config.provider.DirectoryConfigProvider",
    ];
    WorkerProcess::start_with(folder, Some(kafka.bootstrap()), &settings)
}

/// A ready config, with placeholders for this test's credentials.
fn config(folder: &Path, file: &str, table: &str) -> Result<Value> {
    let shown = folder.display();
    let kept = |key: &str| format!("${{file:{shown}/snowflake.properties:{key}}}");
    let key = format!("${{dir:{shown}/keys:rsa_key.p8}}");
    let (url, user, password) = (kept("url"), kept("user"), kept("password"));
    let tables = format!("{TOPIC}:{table}");
    let mut config = ready_config(
        file,
        &[
            ("snowflake.url.name", &url),
            ("snowflake.user.name", &user),
            ("snowflake.account.name", "testaccount"),
            ("snowflake.database.name", "SHOP"),
            ("snowflake.schema.name", "PUBLIC"),
            ("snowflake.role.name", "INGEST"),
            ("snowflake.warehouse.name", "LOADING"),
            ("snowflake.topic2table.map", &tables),
            ("buffer.count.records", "10000"),
            ("buffer.flush.time", "2"),
            ("snowflake.lock.timeout", "2"),
        ],
    )?;
    let secret = if file.contains("password") {
        ("snowflake.password", password)
    } else {
        ("snowflake.private.key", key)
    };
    ensure!(!config[secret.0].is_null(), "{file} has no {}", secret.0);
    config[secret.0] = secret.1.into();
    Ok(config)
}

async fn deploy(worker: &WorkerProcess, folder: &Path, file: &str, table: &str) -> Result<String> {
    let config = config(folder, file, table)?;
    let name = config["name"].as_str().context("a name")?.to_owned();
    worker.put_config(&name, &config).await?;
    Ok(name)
}

fn produce(kafka: &Kafka) -> Result<()> {
    let count = EVENTS.to_string();
    let mut command = Command::new(SLUICE);
    command
        .args(["produce", "sales", "--burst", "--count", &count])
        .args(["--topic", TOPIC, "--brokers", &kafka.bootstrap()])
        .env("LOG_LEVEL", "ERROR");
    output_of(&mut command).map(|_| ())
}

fn in_kafka(kafka: &Kafka) -> Result<Events> {
    let mut events = Events::new();
    for line in kcat::lines(&kafka.bootstrap(), TOPIC, "%p %o %s")? {
        let mut parts = line.splitn(3, ' ');
        let mut next = || parts.next().context("partition, offset and value");
        let place = (next()?.parse()?, next()?.parse()?);
        events.insert(place, serde_json::from_str(next()?)?);
    }
    Ok(events)
}

/// Every row of the table, by Snowflake's Python connector.
fn in_snowflake(snowflake: &SnowflakeStandIn, table: &str, login: [&str; 2]) -> Result<Events> {
    let python = output_of(Command::new(root().join("scripts/python.sh")).arg(PYTHON_CONNECTOR))?;
    let address = snowflake.address();
    let sql = format!("SELECT RECORD_METADATA, RECORD_CONTENT FROM {table}");
    let text = output_of(
        Command::new(PathBuf::from(python.trim()))
            .arg(root().join("connectors/snowflake/tests/sink/read_table.py"))
            .args([address.ip().to_string(), address.port().to_string()])
            .arg("loader")
            .args(login)
            .arg(sql),
    )?;
    let mut events = Events::new();
    for line in text.lines() {
        let row: Vec<String> = serde_json::from_str(line)?;
        let (Some(metadata), Some(content)) = (row.first(), row.get(1)) else {
            bail!("a row with two columns: {line}");
        };
        let metadata: Value = serde_json::from_str(metadata)?;
        let number = |key: &str| metadata[key].as_i64().context("a number");
        let place = (number("partition")?, number("offset")?);
        let before = events.insert(place, serde_json::from_str(content)?);
        ensure!(before.is_none(), "{place:?} is twice in {table}");
    }
    Ok(events)
}

/// Validation logs in, and names the option that is wrong.
async fn ensure_named(worker: &WorkerProcess, folder: &Path) -> Result<()> {
    let mut config = config(folder, "snowflake_connector_password.json", "TABLE")?;
    let class = config["connector.class"].as_str().context("a class")?;
    let url = worker.url(&format!("/connector-plugins/{class}/config/validate"));
    for (option, wrong) in [
        ("snowflake.database.name", "NOWHERE"),
        ("snowflake.role.name", "NOBODY"),
        ("snowflake.user.name", "somebody"),
    ] {
        let right = config[option].take();
        config[option] = wrong.into();
        let answer = reqwest::Client::new().put(&url).json(&config).send();
        let infos: Value = answer.await?.json().await?;
        ensure!(infos["error_count"] == 1, "{option}: {infos}");
        let options = infos["configs"].as_array().context("options")?;
        let named = options.iter().find(|info| info["value"]["name"] == option);
        let errors = &named.context("the option")?["value"]["errors"];
        ensure!(errors.to_string().contains(wrong), "{option}: {errors}");
        config[option] = right;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sale_is_in_snowflake_once_by_both_logins_whatever_is_killed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let keys = folder.path().join("keys");
    let snowflake = start_snowflake(make_key_pair(&keys)?).await?;
    keep_credentials(folder.path(), &snowflake)?;
    let kafka = Kafka::start(&KafkaOptions::default())?;
    kafka.create_topic(TOPIC, 3, &[])?;
    let mut worker = start_worker(folder.path(), &kafka)?;
    let ready = [
        ("snowflake_connector.json", "SALES_BY_KEY"),
        ("snowflake_connector_password.json", "SALES_BY_PASSWORD"),
    ];
    ensure_named(&worker, folder.path()).await?;
    let mut names = Vec::new();
    for (file, table) in ready {
        names.push(deploy(&worker, folder.path(), file, table).await?);
    }
    produce(&kafka)?;
    let mut chance = fastrand::Rng::with_seed(19);
    for _kill in 0..4 {
        tokio::time::sleep(Duration::from_millis(chance.u64(300..2_500))).await;
        worker.kill9()?;
        worker.launch()?;
    }
    let rows = |table: &str| -> Result<usize> {
        let known = snowflake.tables().iter().any(|name| name == table);
        Ok(if known { snowflake.row_count(table) } else { 0 })
    };
    let arrived = wait_until("all rows", Duration::from_secs(300), || async {
        Ok(rows(ready[0].1)? >= EVENTS && rows(ready[1].1)? >= EVENTS)
    });
    arrived.await.with_context(|| {
        let counts = ready.map(|(_, table)| rows(table).ok());
        format!("{counts:?}\n{}", worker.log())
    })?;
    for name in &names {
        let states = worker.states(name).await?;
        ensure!(states == "RUNNING [RUNNING]", "{name}: {states}");
    }

    let produced = in_kafka(&kafka)?;
    ensure!(produced.len() == EVENTS, "{} in Kafka", produced.len());
    let key_file = keys.join("rsa_key.p8").display().to_string();
    let logins = [["key", key_file.as_str()], ["password", PASSWORD]];
    for ((_, table), login) in ready.iter().zip(logins) {
        let stored = in_snowflake(&snowflake, table, login)?;
        ensure!(stored.len() == EVENTS, "{} rows in {table}", stored.len());
        for (place, event) in &produced {
            ensure!(
                stored.get(place) == Some(event),
                "{place:?} of {table} differs"
            );
        }
    }
    worker.stop()?;
    Ok(())
}
