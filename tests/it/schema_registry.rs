//! Avro, JSON Schema and Protobuf with a real Schema Registry (Apicurio's) and a real Kafka, both ways: an independent
//! client writes what Sluice reads, and reads what Sluice writes. A registry that fails on demand is a stand-in.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sluice_services::{Kafka, SchemaRegistry, free_port};
use sluice_stand_in_schema_registry::{Credentials, RegistryStandIn};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::support::{WorkerProcess, kcat, wait_until};

/// The independent client.
const PYTHON_CLIENT: &str = "confluent-kafka[avro,json,protobuf]==2.16.0";
const RECORDS: usize = 200;
const DEADLINE: Duration = Duration::from_secs(60);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

async fn output_of(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .await
        .with_context(|| format!("starting {command:?}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {errors}");
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs the client: `produce` or `consume`.
async fn client(mode: &str, format: Format, to: [&str; 3]) -> Result<String> {
    let python =
        output_of(Command::new(root().join("scripts/python.sh")).arg(PYTHON_CLIENT)).await?;
    let mut command = Command::new(PathBuf::from(python.trim()));
    command
        .arg(root().join("tests/it/schema_registry.py"))
        .args([mode, format.name()])
        .args(to)
        .arg(RECORDS.to_string());
    output_of(&mut command).await
}

#[derive(Debug, Clone, Copy)]
enum Format {
    Avro,
    Json,
    Protobuf,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Avro => "avro",
            Self::Json => "json",
            Self::Protobuf => "protobuf",
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Avro => "io.confluent.connect.avro.AvroConverter",
            Self::Json => "io.confluent.connect.json.JsonSchemaConverter",
            Self::Protobuf => "io.confluent.connect.protobuf.ProtobufConverter",
        }
    }

    /// What only some formats are tried with.
    fn more(self) -> &'static str {
        match self {
            Self::Avro => ",amount=12.34",
            Self::Json | Self::Protobuf => "",
        }
    }
}

fn converter(format: Format, registry: &str) -> Value {
    json!({
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": format.class(),
        "value.converter.schema.registry.url": registry,
    })
}

fn with(mut config: Value, more: Value) -> Value {
    if let (Some(config), Value::Object(more)) = (config.as_object_mut(), more) {
        config.extend(more);
    }
    config
}

fn sink(format: Format, registry: &str, topic: &str, file: &Path) -> Value {
    let more = json!({
        "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
        "topics": topic,
        "file": file,
    });
    with(converter(format, registry), more)
}

/// The lines that the sink writes of all records.
fn expected_lines(format: Format) -> String {
    let line = |number| {
        let more = format.more();
        format!(
            "Struct{{id={number},name=né,price=1.5,paid=true,count=3,tags=[a, a],address=Struct{{zip=8001}}{more}}}\n"
        )
    };
    (1..=RECORDS).map(line).collect()
}

async fn python_to_sluice(format: Format) -> Result<()> {
    let kafka = Kafka::shared()?;
    let registry = SchemaRegistry::shared()?;
    let topic = format!("registry-sink-{}", format.name());
    kafka.create_topic(&topic, 1, &[])?;
    client(
        "produce",
        format,
        [&kafka.bootstrap(), &registry.url(), &topic],
    )
    .await?;
    let folder = tempfile::tempdir()?;
    let worker = WorkerProcess::start(folder.path(), Some(kafka.bootstrap()))?;
    let file = folder.path().join("lines");
    worker
        .put_config(&topic, &sink(format, &registry.url(), &topic, &file))
        .await?;
    let written = wait_until("all records are in the file", DEADLINE, async || {
        let lines = std::fs::read_to_string(&file).unwrap_or_default();
        Ok(lines.lines().count() >= RECORDS)
    });
    written.await.with_context(|| worker.log())?;
    ensure!(std::fs::read_to_string(&file)? == expected_lines(format));
    Ok(())
}

/// Records that are all known beforehand, in the original's language for generated data.
fn generator() -> String {
    let always =
        |kind: &str, value: Value| json!({"type": kind, "arg.properties": {"options": [value]}});
    let field = |name: &str, kind: Value| json!({"name": name, "type": kind});
    let tags = json!({"type": "array", "items": always("string", json!("a")), "arg.properties": {"length": 2}});
    let address = json!({"type": "record", "name": "Address", "fields": [field("zip", always("string", json!("8001")))]});
    json!({"type": "record", "name": "Order", "namespace": "shop", "fields": [
        field("id", json!({"type": "long", "arg.properties": {"iteration": {"start": 1}}})),
        field("name", always("string", json!("né"))),
        field("price", always("double", json!(1.5))),
        field("paid", always("boolean", json!(true))),
        field("count", always("int", json!(3))),
        field("tags", tags),
        field("address", address),
    ]})
    .to_string()
}

fn source(format: Format, registry: &str, topic: &str) -> Value {
    let more = json!({
        "connector.class": "io.confluent.kafka.connect.datagen.DatagenConnector",
        "kafka.topic": topic,
        "schema.string": generator(),
        "max.interval": "0",
        "iterations": RECORDS.to_string(),
    });
    with(converter(format, registry), more)
}

/// Every record once and in order, as the client reads them.
async fn are_read(format: Format, to: [&str; 3]) -> Result<()> {
    let read = client("consume", format, to).await?;
    let line = |id| json!({"address": {"zip": "8001"}, "count": 3, "id": id, "name": "né", "paid": true, "price": 1.5, "tags": ["a", "a"]});
    let expected: Vec<Value> = (1..=RECORDS).map(line).collect();
    let read = read.lines().map(serde_json::from_str);
    let read: Vec<Value> = read.collect::<Result<_, _>>()?;
    ensure!(read == expected, "{read:?}");
    Ok(())
}

async fn sluice_to_python(format: Format) -> Result<()> {
    let kafka = Kafka::shared()?;
    let registry = SchemaRegistry::shared()?.url();
    let topic = format!("registry-source-{}", format.name());
    kafka.create_topic(&topic, 1, &[])?;
    let folder = tempfile::tempdir()?;
    let worker = WorkerProcess::start(folder.path(), Some(kafka.bootstrap()))?;
    worker
        .put_config(&topic, &source(format, &registry, &topic))
        .await?;
    let read = are_read(format, [&kafka.bootstrap(), &registry, &topic]).await;
    read.with_context(|| worker.log())
}

#[tokio::test(flavor = "multi_thread")]
async fn avro_of_another_client_is_read() -> Result<()> {
    python_to_sluice(Format::Avro).await
}

#[tokio::test(flavor = "multi_thread")]
async fn json_schema_of_another_client_is_read() -> Result<()> {
    python_to_sluice(Format::Json).await
}

#[tokio::test(flavor = "multi_thread")]
async fn protobuf_of_another_client_is_read() -> Result<()> {
    python_to_sluice(Format::Protobuf).await
}

#[tokio::test(flavor = "multi_thread")]
async fn avro_is_read_by_another_client() -> Result<()> {
    sluice_to_python(Format::Avro).await
}

#[tokio::test(flavor = "multi_thread")]
async fn json_schema_is_read_by_another_client() -> Result<()> {
    sluice_to_python(Format::Json).await
}

#[tokio::test(flavor = "multi_thread")]
async fn protobuf_is_read_by_another_client() -> Result<()> {
    sluice_to_python(Format::Protobuf).await
}

/// The task stays RUNNING, keeps its group, and every record arrives once when the registry is there.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_registry_is_down_records_wait_and_none_is_lost() -> Result<()> {
    let (kafka, format) = (Kafka::shared()?, Format::Avro);
    let registry = RegistryStandIn::start(Credentials::Anyone).await?;
    let topic = "registry-down";
    kafka.create_topic(topic, 1, &[])?;
    client(
        "produce",
        format,
        [&kafka.bootstrap(), &registry.url(), topic],
    )
    .await?;
    registry.set_down(true);
    let folder = tempfile::tempdir()?;
    let worker = WorkerProcess::start(folder.path(), Some(kafka.bootstrap()))?;
    let file = folder.path().join("lines");
    // An address where nothing listens comes first.
    let urls = format!("http://127.0.0.1:{},{}", free_port()?, registry.url());
    worker
        .put_config(topic, &sink(format, &urls, topic, &file))
        .await?;
    let asked = async || {
        Ok(registry
            .requests()
            .iter()
            .filter(|request| request.contains("/schemas/ids/"))
            .count()
            >= 3)
    };
    wait_until("the registry is asked again and again", DEADLINE, asked).await?;
    ensure!(worker.states(topic).await? == "RUNNING [RUNNING]");
    ensure!(
        std::fs::read_to_string(&file)
            .unwrap_or_default()
            .is_empty()
    );
    registry.set_down(false);
    let written = wait_until("all records are in the file", DEADLINE, async || {
        let lines = std::fs::read_to_string(&file).unwrap_or_default();
        Ok(lines.lines().count() >= RECORDS)
    });
    written.await.with_context(|| worker.log())?;
    ensure!(std::fs::read_to_string(&file)? == expected_lines(format));
    Ok(())
}

/// What the source has handed over waits too, also through a pause.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_registry_is_down_a_source_keeps_what_it_has_read() -> Result<()> {
    let (kafka, format) = (Kafka::shared()?, Format::Avro);
    let registry = RegistryStandIn::start(Credentials::Anyone).await?;
    registry.set_down(true);
    let topic = "registry-down-source";
    kafka.create_topic(topic, 1, &[])?;
    let folder = tempfile::tempdir()?;
    let worker = WorkerProcess::start(folder.path(), Some(kafka.bootstrap()))?;
    worker
        .put_config(topic, &source(format, &registry.url(), topic))
        .await?;
    let asked = async |times| Ok(registry.requests().len() >= times);
    wait_until("the registry is asked", DEADLINE, async || asked(2).await).await?;
    ensure!(worker.states(topic).await? == "RUNNING [RUNNING]");
    for change in ["pause", "resume"] {
        let url = worker.url(&format!("/connectors/{topic}/{change}"));
        let answer = reqwest::Client::new().put(url).send().await?;
        ensure!(
            answer.status().is_success(),
            "{change}: {}",
            answer.status()
        );
        let times = registry.requests().len() + 1;
        wait_until("it is asked again", DEADLINE, async || asked(times).await).await?;
    }
    registry.set_down(false);
    let read = are_read(format, [&kafka.bootstrap(), &registry.url(), topic]).await;
    read.with_context(|| worker.log())
}

/// A task that waits for an answer ends when it is told to, in good order: it leaves its group.
#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_never_answers_holds_up_no_task() -> Result<()> {
    let kafka = Kafka::shared()?;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", silent.local_addr()?);
    let folder = tempfile::tempdir()?;
    let worker = WorkerProcess::start(folder.path(), Some(kafka.bootstrap()))?;
    let client = reqwest::Client::new();
    let (read, written) = ("registry-silent-sink", "registry-silent-source");
    kafka.create_topic(read, 1, &[])?;
    write_raw(kafka, read, b"\0\0\0\0\x01\x02").await?;
    let file = folder.path().join("lines");
    for (name, config) in [
        (read, sink(Format::Avro, &url, read, &file)),
        (written, source(Format::Avro, &url, written)),
    ] {
        worker.put_config(name, &config).await?;
        let asked = tokio::time::timeout(DEADLINE, silent.accept()).await;
        let _unanswered = asked.context("the registry is not asked")??;
        let begin = Instant::now();
        let url = worker.url(&format!("/connectors/{name}/stop"));
        let answer = client.put(url).send().await?;
        ensure!(answer.status().is_success(), "{}", answer.status());
        wait_until("it is stopped", DEADLINE, async || {
            Ok(worker.states(name).await? == "STOPPED []")
        })
        .await?;
        let took = begin.elapsed();
        ensure!(took < Duration::from_secs(4), "{name}: {took:?}");
    }
    let log = worker.log();
    ensure!(!log.contains("cut off"), "{log}");
    Ok(())
}

/// Writes one record whose value is these bytes.
async fn write_raw(kafka: &Kafka, topic: &str, value: &[u8]) -> Result<()> {
    let mut kcat = Command::new("kcat")
        .args(["-P", "-b", &kafka.bootstrap(), "-t", topic])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .context("starting kcat")?;
    let mut input = kcat.stdin.take().context("piped")?;
    input.write_all(value).await?;
    drop(input);
    ensure!(kcat.wait().await?.success(), "kcat failed");
    Ok(())
}

/// No frame, an id that the registry does not know, a payload that its schema does not fit: each is the record's fault.
#[tokio::test(flavor = "multi_thread")]
async fn bad_records_go_to_the_queue_and_the_good_ones_arrive() -> Result<()> {
    let (kafka, format) = (Kafka::shared()?, Format::Avro);
    let registry = RegistryStandIn::start(Credentials::Anyone).await?;
    let (topic, queue) = ("registry-bad", "registry-bad-dead");
    kafka.create_topic(topic, 1, &[])?;
    let bad: [&[u8]; 3] = [b"plain text", b"\0\0\0\x27\x0fx", b"\0\0\0\0\x01\x02"];
    for value in bad {
        write_raw(kafka, topic, value).await?;
    }
    client(
        "produce",
        format,
        [&kafka.bootstrap(), &registry.url(), topic],
    )
    .await?;
    let folder = tempfile::tempdir()?;
    let worker = WorkerProcess::start(folder.path(), Some(kafka.bootstrap()))?;
    let file = folder.path().join("lines");
    let tolerant = json!({
        "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": queue,
        "errors.deadletterqueue.topic.replication.factor": "1",
    });
    let config = with(sink(format, &registry.url(), topic, &file), tolerant);
    worker.put_config(topic, &config).await?;
    let written = wait_until("the good records are in the file", DEADLINE, async || {
        let lines = std::fs::read_to_string(&file).unwrap_or_default();
        Ok(lines.lines().count() >= RECORDS)
    });
    written.await.with_context(|| worker.log())?;
    ensure!(std::fs::read_to_string(&file)? == expected_lines(format));
    ensure!(worker.states(topic).await? == "RUNNING [RUNNING]");
    let sizes: Vec<usize> = kcat::lines(&kafka.bootstrap(), queue, "%S")?
        .iter()
        .map(|size| size.parse())
        .collect::<Result<_, _>>()?;
    ensure!(sizes == bad.map(<[u8]>::len), "{sizes:?}");
    Ok(())
}
