//! `sluice dlq`: letters are found, shown and sent again once the cause is fixed; each once, whatever happens meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use connect_core::data::{RawHeaders, Timestamp, TopicPartition};
use serde_json::{Value, json};
use sluice::kafka::cluster::ClusterLog;
use sluice::kafka::embedded::EmbeddedLog;
use sluice::kafka::{
    AutoOffsetReset, ConsumedRecord, ConsumerOptions, Isolation, Log, NewTopic, ProducerOptions,
    ProducerRecord, Subscription,
};
use sluice_services::Kafka;

use crate::support::{SLUICE, WorkerProcess, wait_until};

const SOON: Duration = Duration::from_secs(60);

async fn connect(kafka: &Kafka) -> Result<Arc<dyn Log>> {
    let properties = [("bootstrap.servers".to_owned(), kafka.bootstrap())].into();
    Ok(Arc::new(ClusterLog::connect(&properties).await?))
}

async fn make_topic(log: &dyn Log, name: &str, partitions: i32) -> Result<()> {
    let topic = NewTopic {
        name: name.to_owned(),
        partitions: Some(partitions),
        replication_factor: None,
        settings: [("max.message.bytes".to_owned(), "10000000".to_owned())].into(),
    };
    ensure!(log.admin().create_topic(&topic).await?, "{name} was there");
    Ok(())
}

/// A dead letter of `topic`, partition 0.
fn letter(queue: &str, topic: &str, value: &str, more: &[(&str, &str)]) -> ProducerRecord {
    let said = [
        ("own", "header"),
        ("__connect.errors.topic", topic),
        ("__connect.errors.partition", "0"),
        ("__connect.errors.offset", "5"),
        ("__connect.errors.stage", "TRANSFORMATION"),
        ("__connect.errors.exception.message", "no such field"),
        (
            "__connect.errors.exception.stacktrace",
            "no such field\n  at it",
        ),
    ];
    let bytes = |text: &str| Some(Bytes::copy_from_slice(text.as_bytes()));
    let headers: RawHeaders = said
        .iter()
        .chain(more)
        .map(|(key, text)| ((*key).into(), bytes(text)))
        .collect();
    ProducerRecord {
        topic: queue.into(),
        partition: Some(0),
        timestamp: Some(Timestamp::from_millis(1_700_000_000_000)),
        headers,
        key: bytes("key"),
        value: bytes(value),
    }
}

async fn write(log: &dyn Log, records: Vec<ProducerRecord>) -> Result<()> {
    let options = ProducerOptions {
        overrides: [("max.request.size".to_owned(), "20000000".to_owned())].into(),
        ..ProducerOptions::default()
    };
    let producer = log.producer(options).await?;
    for result in producer.send(records).await? {
        result?;
    }
    Ok(producer.close().await?)
}

/// What readers of committed records see of partition 0.
async fn read(log: &dyn Log, topic: &str) -> Result<Vec<ConsumedRecord>> {
    let partition = TopicPartition::new(topic, 0);
    let options = ConsumerOptions {
        group: None,
        subscription: Subscription::Partitions(vec![partition.clone()]),
        client_id: "test".to_owned(),
        auto_offset_reset: AutoOffsetReset::Earliest,
        isolation: Isolation::ReadCommitted,
        max_poll_records: 1_000,
        fetch_max_bytes: 50 << 20,
        listener: None,
        overrides: BTreeMap::new(),
    };
    let consumer = log.consumer(options).await?;
    let end = consumer.watermarks(&partition).await?.high;
    let mut records = Vec::new();
    while consumer.position(&partition).await.unwrap_or_default() < end {
        records.extend(consumer.poll(Duration::from_millis(200)).await?);
    }
    consumer.close().await?;
    Ok(records)
}

/// The same, once so many are there: a broker answers a commit before it shows the transaction's records.
async fn read_all(log: &dyn Log, topic: &str, count: usize) -> Result<Vec<ConsumedRecord>> {
    wait_until("the committed records", SOON, || async {
        Ok(read(log, topic).await?.len() >= count)
    })
    .await?;
    read(log, topic).await
}

fn values(records: &[ConsumedRecord]) -> Vec<String> {
    let text = |record: &ConsumedRecord| {
        String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned()
    };
    records.iter().map(text).collect()
}

fn headers(record: &ConsumedRecord) -> Vec<String> {
    let text = |value: &Option<Bytes>| {
        String::from_utf8_lossy(value.as_deref().unwrap_or_default()).into_owned()
    };
    let pairs = record.headers.iter();
    pairs
        .map(|(key, value)| format!("{key}={}", text(value)))
        .collect()
}

fn sluice(kafka: &Kafka, arguments: &str) -> Command {
    let mut command = Command::new(SLUICE);
    command
        .args(arguments.split_whitespace())
        .env("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap());
    command
}

/// Standard output of a command, and whether it succeeded.
fn said(output: &Output) -> (String, bool) {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (text, output.status.success())
}

fn error_of(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    ensure!(!output.status.success(), "{}", said(&output).0);
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The commands of the guide, in order.
fn commands_of_the_guide() -> Result<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide/errors.md");
    let text = std::fs::read_to_string(path)?;
    let commands = text
        .lines()
        .filter_map(|line| line.strip_prefix("$ sluice "));
    Ok(commands.map(str::to_owned).collect())
}

/// `amount` of some is no number.
fn is_poison(id: usize) -> bool {
    id % 10 == 7
}

fn orders_config(folder: &Path, transforms: bool) -> Value {
    let mut config = json!({
        "name": "orders",
        "connector.class": "FileStreamSink",
        "topics": "orders",
        "file": folder.join("orders.txt"),
        "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": "orders-dead",
        "errors.deadletterqueue.topic.replication.factor": "1",
        "errors.deadletterqueue.context.headers.enable": "true",
    });
    if transforms {
        config["transforms"] = json!("cast");
        config["transforms.cast.type"] = json!("org.apache.kafka.connect.transforms.Cast$Value");
        config["transforms.cast.spec"] = json!("amount:int32");
    }
    config
}

/// Ids in the sink's file, each as often as it is there.
fn ids(folder: &Path) -> Result<Vec<usize>> {
    let text = std::fs::read_to_string(folder.join("orders.txt"))?;
    text.lines()
        .map(|line| {
            let id = line.split("id=").nth(1).context("an id")?;
            let digits = id
                .split(|character: char| !character.is_ascii_digit())
                .next();
            Ok(digits.unwrap_or_default().parse()?)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guides_commands_bring_every_poisoned_record_to_the_target_once() -> Result<()> {
    const ORDERS: usize = 300;
    let folder = tempfile::tempdir()?;
    let kafka = Kafka::shared()?;
    let log = connect(kafka).await?;
    make_topic(&*log, "orders", 3).await?;
    let order = |id: usize| {
        let amount = if is_poison(id) { "12 EUR" } else { "12" };
        ProducerRecord {
            partition: Some(i32::try_from(id % 3).unwrap_or(0)),
            headers: Vec::new(),
            value: Some(format!("{{\"id\": {id}, \"amount\": \"{amount}\"}}").into()),
            ..letter("orders", "", "", &[])
        }
    };
    write(&*log, (0..ORDERS).map(order).collect()).await?;
    let worker = WorkerProcess::start(folder.path(), Some(kafka.bootstrap()))?;
    worker
        .put_config("orders", &orders_config(folder.path(), true))
        .await?;
    let good = (0..ORDERS).filter(|id| !is_poison(*id)).count();
    wait_until("the good ones", SOON, || async {
        let dead = read(&*log, "orders-dead").await?.len();
        Ok(ids(folder.path())?.len() == good && dead == ORDERS - good)
    })
    .await?;
    std::fs::write(
        folder.path().join("orders.json"),
        orders_config(folder.path(), false).to_string(),
    )?;
    let mut outputs = BTreeMap::new();
    for command in commands_of_the_guide()? {
        let mut run = sluice(kafka, &command);
        run.current_dir(folder.path());
        run.env("CONNECT_REST_URL", worker.url(""));
        let output = run.output()?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{command}: {stderr}");
        outputs.insert(command, said(&output).0);
    }
    let output = |command: &str| {
        outputs
            .get(command)
            .map_or("not in the guide", String::as_str)
    };
    let listed = output("dlq list orders");
    ensure!(
        listed.contains("orders-dead: 30 of 30 dead letters, 0 of them redriven")
            && listed.contains("Cast$Value"),
        "{listed}"
    );
    let shown = output("dlq show orders 0:0");
    ensure!(
        shown.contains("12 EUR") && shown.contains("TRANSFORMATION"),
        "{shown}"
    );
    let dry = output("dlq redrive orders --all --dry-run");
    ensure!(dry.contains("30 to send, 0 sent before, 0 left"), "{dry}");
    let sent = output("dlq redrive orders --all");
    ensure!(sent.contains("30 sent, 0 sent before, 0 left"), "{sent}");
    wait_until("all orders", SOON, || async {
        Ok(ids(folder.path())?.len() >= ORDERS)
    })
    .await?;
    let found = ids(folder.path())?;
    assert_eq!(found.len(), ORDERS, "some are doubled");
    assert_eq!(
        found.into_iter().collect::<BTreeSet<_>>(),
        (0..ORDERS).collect()
    );
    // Each went back to its own partition.
    for record in read(&*log, "orders").await? {
        let value = values(std::slice::from_ref(&record)).concat();
        let order: Value = serde_json::from_str(&value)?;
        assert_eq!(order["id"].as_u64().context("id")? % 3, 0, "{value}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redrive_that_is_killed_and_run_again_doubles_and_loses_nothing() -> Result<()> {
    const LETTERS: usize = 300;
    let kafka = Kafka::shared()?;
    let log = connect(kafka).await?;
    for topic in ["killed", "killed-dead"] {
        make_topic(&*log, topic, 1).await?;
    }
    let all: Vec<_> = (0..LETTERS).map(|id| format!("value {id}")).collect();
    let letters = all
        .iter()
        .map(|value| letter("killed-dead", "killed", value, &[]));
    write(&*log, letters.collect()).await?;
    for round in 1..=3 {
        let command = "dlq redrive --topic killed-dead --all --rate 40";
        let mut run = sluice(kafka, command);
        let mut child = run.stdout(Stdio::null()).spawn()?;
        let wanted = round * 30;
        let some_came = wait_until("some records", SOON, || async {
            Ok(read(&*log, "killed").await?.len() >= wanted)
        });
        let outcome = some_came.await;
        child.kill()?;
        child.wait()?;
        outcome?;
    }
    let output = sluice(kafka, "dlq redrive --topic killed-dead --all").output()?;
    ensure!(output.status.success(), "{}", said(&output).0);
    assert_eq!(values(&read_all(&*log, "killed", LETTERS).await?), all);
    let again = sluice(kafka, "dlq redrive --topic killed-dead --all").output()?;
    let (text, _) = said(&again);
    ensure!(text.contains("0 sent, 300 sent before, 0 left"), "{text}");
    assert_eq!(read(&*log, "killed").await?.len(), LETTERS);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_letters_of_one_record_are_sent_once() -> Result<()> {
    let kafka = Kafka::shared()?;
    let log = connect(kafka).await?;
    for topic in ["crashed", "crashed-dead"] {
        make_topic(&*log, topic, 1).await?;
    }
    let of = |connector: &str| {
        let who = [("__connect.errors.connector.name", connector)];
        letter("crashed-dead", "crashed", "bad", &who)
    };
    write(&*log, vec![of("copy"), of("copy"), of("other")]).await?;
    let (text, _) = said(&sluice(kafka, "dlq redrive --topic crashed-dead --all").output()?);
    ensure!(text.contains(": 2 sent, 1 sent before, 0 left"), "{text}");
    write(&*log, vec![of("copy")]).await?;
    let (text, _) = said(&sluice(kafka, "dlq redrive --topic crashed-dead --all").output()?);
    ensure!(text.contains(": 0 sent, 4 sent before, 0 left"), "{text}");
    assert_eq!(
        values(&read_all(&*log, "crashed", 2).await?),
        ["bad", "bad"]
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_must_not_be_sent_is_left_and_named_and_single_letters_are_sent_once() -> Result<()> {
    let kafka = Kafka::shared()?;
    let log = connect(kafka).await?;
    for topic in ["guarded", "guarded-dead", "elsewhere"] {
        make_topic(&*log, topic, 1).await?;
    }
    let dead = |value: &str, more: &[(&str, &str)]| letter("guarded-dead", "guarded", value, more);
    let from = |topic: &str| letter("guarded-dead", topic, "lost", &[]);
    let huge = "x".repeat(8_000_000);
    let letters = vec![
        dead("first", &[]),
        dead("often", &[("sluice.redriven", "3")]),
        dead("twice", &[("sluice.redriven", "2")]),
        from("not-there"),
        from("guarded-dead"),
        dead(&huge, &[]),
        ProducerRecord {
            headers: Vec::new(),
            ..dead("bare", &[])
        },
        from("no topic\u{fffd}"),
        from("__consumer_offsets"),
    ];
    write(&*log, letters).await?;
    let run = |arguments: &str| -> Result<(String, bool)> {
        let arguments = format!("dlq {arguments} --topic guarded-dead");
        Ok(said(&sluice(kafka, &arguments).output()?))
    };
    let (text, succeeded) = run("redrive 0:2 0:99")?;
    ensure!(
        !succeeded
            && text.contains("0:99 left: there is no such record")
            && text.contains(": 1 sent"),
        "{text}"
    );
    let (text, succeeded) = run("redrive --all")?;
    ensure!(
        !succeeded && text.contains(": 2 sent, 1 sent before, 6 left"),
        "{text}"
    );
    for left in [
        "0:1 left: it failed again after 3 redrives",
        "0:3 left: there is no topic not-there",
        "0:4 left: it came from the queue itself",
        "0:6 left: it does not say where it came from",
        "0:7 left: \"no topic\u{fffd}\" is no topic name",
        "0:8 left: it says that it came from __consumer_offsets",
    ] {
        ensure!(text.contains(left), "no {left:?} in {text}");
    }
    let records = read_all(&*log, "guarded", 3).await?;
    assert_eq!(
        values(&records),
        ["twice".to_owned(), "first".to_owned(), huge]
    );
    let first = records.get(1).context("the second record")?;
    assert_eq!(headers(first), ["own=header", "sluice.redriven=1"]);
    assert_eq!(first.key.as_deref(), Some(&b"key"[..]));
    let made = first.timestamp.timestamp().map(Timestamp::as_millis);
    assert_eq!(made, Some(1_700_000_000_000));

    let (text, _) = run("redrive --to elsewhere 0:6 0:2")?;
    ensure!(text.contains(": 1 sent, 1 sent before, 0 left"), "{text}");
    assert_eq!(values(&read_all(&*log, "elsewhere", 1).await?), ["bare"]);
    let (text, _) = run("list --json --grep ^twice$")?;
    let listed: Value = serde_json::from_str(&text)?;
    assert_eq!(
        (
            &listed["total"],
            &listed["matching"],
            &listed["letters"][0]["redriven"]
        ),
        (&json!(9), &json!(1), &json!(true))
    );
    let (text, _) = run("list --limit 1")?;
    ensure!(text.len() < 2_000 && text.contains("and 8 more"), "{text}");
    let (text, _) = run("show 0:5")?;
    ensure!(text.len() > 8_000_000, "the value is not shown");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_that_the_topic_does_not_take_is_left_and_the_others_are_sent() -> Result<()> {
    let kafka = Kafka::shared()?;
    let log = connect(kafka).await?;
    make_topic(&*log, "narrow-dead", 1).await?;
    kafka.create_topic("narrow", 1, &["max.message.bytes=2000"])?;
    // Does not get smaller by compression.
    let large: String = (0..20_000).map(|_| fastrand::alphanumeric()).collect();
    let values_of = ["a", &large, "b"];
    let letters = values_of.map(|value| letter("narrow-dead", "narrow", value, &[]));
    write(&*log, letters.into()).await?;
    let command = "dlq redrive --topic narrow-dead --all";
    let output = sluice(kafka, command).output()?;
    let (text, succeeded) = said(&output);
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(
        !succeeded && text.contains("2 sent, 0 sent before, 1 left"),
        "{text}{stderr}"
    );
    ensure!(text.contains("0:1 left: "), "{text}");
    assert_eq!(values(&read_all(&*log, "narrow", 2).await?), ["a", "b"]);
    let (text, _) = said(&sluice(kafka, command).output()?);
    ensure!(text.contains("0 sent, 2 sent before, 1 left"), "{text}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_done_is_refused_with_the_way_out() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let kafka = Kafka::shared()?;
    let log = connect(kafka).await?;
    make_topic(&*log, "empty-dead", 1).await?;
    let worker = WorkerProcess::start(folder.path(), None)?;
    let config = json!({
        "connector.class": "FileStreamSink", "topics": "any", "file": folder.path().join("any.txt"),
    });
    worker.put_config("without-queue", &config).await?;
    let mut queued = config.clone();
    queued["errors.deadletterqueue.topic.name"] = json!("any-dead");
    queued["errors.deadletterqueue.topic.replication.factor"] = json!("1");
    worker.put_config("with-queue", &queued).await?;
    let url = worker.url("");
    for (arguments, expected) in [
        ("list absent", "there is no connector absent"),
        (
            "list without-queue",
            "without-queue has no dead letter queue",
        ),
        ("list", "which queue?"),
        ("list --topic not-there", "there is no topic not-there"),
        (
            "show --topic empty-dead 0:0",
            "empty-dead has no record at 0:0",
        ),
        ("show --topic empty-dead 0-0", "0-0 is not PARTITION:OFFSET"),
        ("redrive --topic empty-dead", "which dead letters?"),
        (
            "redrive --topic empty-dead --all --stage X",
            "which dead letters?",
        ),
        (
            "redrive --topic empty-dead --all --to empty-dead",
            "that is the queue itself",
        ),
        ("list --topic empty-dead --grep (", "regex parse error"),
        ("list --topic empty-dead --since soon", "is neither a time"),
    ] {
        let error = error_of(&mut sluice(kafka, &format!("dlq --url {url} {arguments}")))?;
        ensure!(error.contains(expected), "{arguments}: {error}");
    }
    let mut elsewhere = sluice(kafka, &format!("dlq --url {url} list with-queue"));
    let error = error_of(elsewhere.env_remove("KAFKA_BOOTSTRAP_SERVERS"))?;
    ensure!(
        error.contains("stop the worker, then give --data-dir"),
        "{error}"
    );
    let data = folder.path().join("data");
    let arguments = format!("dlq --data-dir {} --topic any-dead list", data.display());
    let error = error_of(&mut sluice(kafka, &arguments))?;
    ensure!(error.contains("another worker has it open"), "{error}");
    for (arguments, expected) in [
        ("list --topic empty-dead", "0 dead letters"),
        (
            "redrive --topic empty-dead --all",
            "0 sent, 0 sent before, 0 left",
        ),
    ] {
        let (text, succeeded) = said(&sluice(kafka, &format!("dlq {arguments}")).output()?);
        ensure!(succeeded && text.contains(expected), "{arguments}: {text}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_of_a_stopped_worker_without_kafka_is_sent_again() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("log");
    let log = EmbeddedLog::open(&path).await?;
    for topic in ["local", "local-dead"] {
        let topic = NewTopic {
            name: topic.to_owned(),
            partitions: Some(1),
            replication_factor: None,
            settings: BTreeMap::new(),
        };
        log.admin().create_topic(&topic).await?;
    }
    let letters = ["a", "b", "c"].map(|value| letter("local-dead", "local", value, &[]));
    write(&*log, letters.into()).await?;
    drop(log);
    let run = |arguments: &str| -> Result<String> {
        let mut command = Command::new(SLUICE);
        command
            .arg("dlq")
            .args(["--data-dir".as_ref(), folder.path().as_os_str()]);
        command
            .args(["--topic", "local-dead"])
            .args(arguments.split_whitespace());
        let output = command.output()?;
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "{stderr}");
        Ok(said(&output).0)
    };
    // This process may still be closing the log.
    wait_until("the log is free", SOON, || async {
        Ok(run("list")?.contains("local-dead: 3 of 3 dead letters"))
    })
    .await?;
    let text = run("redrive 0:1")?;
    ensure!(text.contains("1 sent, 0 sent before"), "{text}");
    let text = run("redrive --all")?;
    ensure!(text.contains("2 sent, 1 sent before"), "{text}");
    let log = EmbeddedLog::open(&path).await?;
    assert_eq!(values(&read(&*log, "local").await?), ["b", "a", "c"]);
    Ok(())
}
