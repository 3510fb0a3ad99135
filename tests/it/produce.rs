//! `sluice produce` on a real Kafka, read by kcat.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sluice_services::{Kafka, KafkaOptions, Service};

use crate::support::{SLUICE, kcat, wait_until};

/// A line of arguments; nothing of this process's environment decides.
fn produce(kafka: &Kafka, line: &str) -> Command {
    let mut command = Command::new(SLUICE);
    command.arg("produce").args(line.split_whitespace());
    for variable in ["KAFKA_TOPIC", "PRODUCER_INTERVAL", "LOG_LEVEL"] {
        command.env_remove(variable);
    }
    command.env("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap());
    command
}

fn said(output: &Output) -> Result<String> {
    let (out, err) = (&output.stdout, &output.stderr);
    let text = String::from_utf8_lossy(out).into_owned();
    ensure!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(err)
    );
    Ok(text)
}

/// Runs to the end; what was printed.
fn run(kafka: &Kafka, line: &str) -> Result<String> {
    said(&produce(kafka, line).output()?).context(line.to_owned())
}

/// A record as kcat prints it.
#[derive(Debug)]
struct Read {
    partition: i32,
    offset: i64,
    key: String,
    event: Value,
}

impl Read {
    fn text(&self, field: &str) -> &str {
        self.event[field].as_str().unwrap_or_default()
    }
}

/// All committed records of a topic.
fn read(kafka: &Kafka, topic: &str) -> Result<Vec<Read>> {
    let lines = kcat::lines(&kafka.bootstrap(), topic, "%p %o %k %s")?;
    lines.iter().map(|line| parse(line)).collect()
}

fn parse(line: &str) -> Result<Read> {
    let mut parts = line.splitn(4, ' ');
    let mut next = || parts.next().context("four parts");
    Ok(Read {
        partition: next()?.parse()?,
        offset: next()?.parse()?,
        key: next()?.to_owned(),
        event: serde_json::from_str(next()?)?,
    })
}

fn ids<'a>(records: &'a [Read], field: &str) -> BTreeSet<&'a str> {
    records.iter().map(|record| record.text(field)).collect()
}

/// The minute of the day of `2024-01-15T10:30:00.123Z`.
fn minutes(time: &str) -> Result<i64> {
    let digits = |range| time.get(range).context("a time");
    Ok(digits(11..13)?.parse::<i64>()? * 60 + digits(14..16)?.parse::<i64>()?)
}

#[test]
fn orders_are_announced_line_by_line_as_users_know_it() -> Result<()> {
    let kafka = Kafka::shared()?;
    let said = run(
        kafka,
        "orders --events 3 --interval 0.01 --topic lines_of_orders",
    )?;
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(
        lines[0],
        format!("Connected to Kafka broker: {}", kafka.bootstrap())
    );
    assert_eq!(lines[1], "Event 1/3 produced - Order ID: ORD-100000");
    assert_eq!(lines[3], "Event 3/3 produced - Order ID: ORD-100002");
    let records = read(kafka, "lines_of_orders")?;
    assert_eq!(ids(&records, "order_id").len(), 3);
    let partitions: BTreeSet<_> = records.iter().map(|record| record.partition).collect();
    assert_eq!(partitions.len(), 3, "without a key, partitions take turns");
    Ok(())
}

#[test]
fn the_dealers_six_systems_go_to_a_topic_each_and_tell_one_story() -> Result<()> {
    let kafka = Kafka::shared()?;
    let said = run(
        kafka,
        "dealer --type all --count 100 --interval 0.005 --key customer_id",
    )?;
    let mut topics = BTreeMap::new();
    for name in [
        "sales",
        "payments",
        "interactions",
        "inventory",
        "procurement",
        "telemetry",
    ] {
        let records = read(kafka, &format!("{name}_topic"))?;
        assert_eq!(ids(&records, "event_id").len(), 100, "{name}");
        assert_eq!(records.len(), 100, "{name}");
        ensure!(
            records
                .iter()
                .all(|record| record.text("event_type") == name)
        );
        for number in [1, 100] {
            let start = format!("Published {name}_#{number}: ");
            let line = said.lines().find_map(|line| line.strip_prefix(&start));
            let id = line.with_context(|| format!("no line {start}"))?;
            ensure!(ids(&records, "event_id").contains(id), "{start}{id}");
        }
        topics.insert(name, records);
    }
    let sales = ids(&topics["sales"], "event_id");
    assert_eq!(ids(&topics["payments"], "sale_id"), sales);
    for record in &topics["sales"] {
        assert_eq!(record.key, record.text("customer_id"));
    }
    let sold = topics["inventory"]
        .iter()
        .filter(|record| record.text("movement") == "sold");
    let sold: Vec<_> = sold.map(|record| record.text("reference_id")).collect();
    ensure!(
        sold.len() > 80 && sold.iter().all(|sale| sales.contains(sale)),
        "{sold:?}"
    );
    Ok(())
}

#[test]
fn six_producers_with_one_seed_tell_the_same_story_as_one() -> Result<()> {
    let kafka = Kafka::shared()?;
    for name in ["sales", "payments"] {
        run(
            kafka,
            &format!("dealer --type {name} --topic alone_{name} --seed 9 --count 50 --burst"),
        )?;
    }
    let (sales, payments) = (read(kafka, "alone_sales")?, read(kafka, "alone_payments")?);
    assert_eq!(sales.len(), 50);
    assert_eq!(ids(&payments, "sale_id"), ids(&sales, "event_id"));
    Ok(())
}

#[test]
fn flags_win_over_the_file_and_the_file_over_the_environment() -> Result<()> {
    let kafka = Kafka::shared()?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("producer.json");
    std::fs::write(
        &path,
        r#"{"topic": "of_the_file", "interval": 0.001, "count": 5}"#,
    )?;
    let config = format!("sales --config {}", path.display());
    let with_environment = |line: &str| -> Result<String> {
        let mut command = produce(kafka, line);
        command.env("KAFKA_TOPIC", "of_the_environment");
        command
            .env("PRODUCER_INTERVAL", "3600")
            .env("LOG_LEVEL", "WARNING");
        said(&command.output()?)
    };
    assert_eq!(
        with_environment(&config)?,
        "",
        "LOG_LEVEL=WARNING says nothing"
    );
    with_environment(&format!("{config} --topic of_the_flag --count 2"))?;
    with_environment("sales --count 1 --duration 1")?;
    for (topic, count) in [
        ("of_the_file", 5),
        ("of_the_flag", 2),
        ("of_the_environment", 1),
    ] {
        assert_eq!(read(kafka, topic)?.len(), count, "{topic}");
    }
    Ok(())
}

#[test]
fn late_and_doubled_events_arrive_as_asked_for() -> Result<()> {
    let kafka = Kafka::shared()?;
    let line = "transactions --num-transactions 2000 --burst --late 20 --duplicates 10 --topic disorder --seed 4";
    let said = run(kafka, line)?;
    let records = read(kafka, "disorder")?;
    assert_eq!(ids(&records, "transaction_id").len(), 2_000);
    let doubled = records.len() - 2_000;
    ensure!((140..260).contains(&doubled), "{doubled} doubled");
    ensure!(
        said.contains(&format!("2000 events, {doubled} of them twice")),
        "{said}"
    );
    let newest = records
        .iter()
        .map(|record| record.text("transaction_timestamp"))
        .max();
    let newest = minutes(newest.context("some")?)?;
    let mut late = 0;
    for record in &records {
        let back = (newest - minutes(record.text("transaction_timestamp"))?).rem_euclid(24 * 60);
        ensure!(
            back <= 1 || (10..=61).contains(&back),
            "{back} minutes late"
        );
        late += usize::from(back > 1);
    }
    ensure!((340..560).contains(&late), "{late} late");
    Ok(())
}

#[test]
fn events_of_transactions_are_there_once_and_in_committed_transactions() -> Result<()> {
    let kafka = Kafka::shared()?;
    let line = "transactions --num-transactions 5000 --burst --exactly-once --topic exactly_once";
    run(kafka, line)?;
    let records = read(kafka, "exactly_once")?;
    assert_eq!(records.len(), 5_000);
    assert_eq!(ids(&records, "transaction_id").len(), 5_000);
    // A transaction's marker takes an offset: without transactions there would be no gap.
    let mut last: BTreeMap<i32, i64> = BTreeMap::new();
    let mut gaps = 0;
    for record in &records {
        let before = last.insert(record.partition, record.offset);
        gaps += i64::from(before.is_some_and(|before| before + 1 < record.offset));
    }
    ensure!(gaps > 0, "no transaction has left a marker");
    Ok(())
}

#[tokio::test]
async fn exactly_once_holds_while_the_broker_is_killed() -> Result<()> {
    let mut kafka = Kafka::start(&KafkaOptions::default())?;
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("log");
    let line = "orders --events 3000 --interval 0.003 --exactly-once --topic killed --seed 1";
    let mut producer = Service::start(&produce(&kafka, line), &log)?;
    let printed = || std::fs::read_to_string(&log).unwrap_or_default();
    wait_until("events flow", Duration::from_secs(40), || async {
        Ok(printed().contains("Event 500/"))
    })
    .await?;
    kafka.kill9()?;
    kafka.restart()?;
    let deadline = Duration::from_secs(120);
    let mut running = move || producer.is_running();
    let ended = wait_until("the producer ends", deadline, || {
        let is_running = running();
        async move { Ok(!is_running) }
    });
    ended.await.with_context(printed)?;
    let records = read(&kafka, "killed")?;
    let distinct = ids(&records, "order_id");
    assert_eq!(records.len(), distinct.len(), "an event is there twice");
    // Either all are there, or the run has ended saying that it does not know about its last transaction.
    let confessed = printed().contains("it is not known");
    ensure!(
        distinct.len() == 3_000 || confessed,
        "{} events: {}",
        distinct.len(),
        printed()
    );
    Ok(())
}

#[tokio::test]
async fn a_signal_ends_the_run_with_every_announced_event_written() -> Result<()> {
    let kafka = Kafka::shared()?;
    for (topic, more) in [("stopped", ""), ("stopped_once", "--exactly-once")] {
        let folder = tempfile::tempdir()?;
        let log = folder.path().join("log");
        let line = format!("sales --interval 0.002 --topic {topic} {more}");
        let producer = Service::start(&produce(kafka, &line), &log)?;
        let printed = || std::fs::read_to_string(&log).unwrap_or_default();
        wait_until("events flow", Duration::from_secs(40), || async {
            Ok(printed().contains("Event 200 "))
        })
        .await
        .with_context(printed)?;
        producer.stop(Duration::from_secs(20))?;
        let announced: BTreeSet<_> = printed()
            .lines()
            .filter_map(|line| Some(line.split_once("Order ID: ")?.1.to_owned()))
            .collect();
        let records = read(kafka, topic)?;
        let written: BTreeSet<_> = ids(&records, "order_id")
            .into_iter()
            .map(str::to_owned)
            .collect();
        assert_eq!(announced, written);
        ensure!(printed().contains("Done: "), "{}", printed());
    }
    Ok(())
}

#[tokio::test]
async fn a_run_with_the_same_transactional_id_ends_an_older_one() -> Result<()> {
    let kafka = Kafka::shared()?;
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("log");
    let line = "sales --interval 0.01 --topic fenced --exactly-once --transactional-id the-one";
    let mut older = Service::start(&produce(kafka, line), &log)?;
    let printed = || std::fs::read_to_string(&log).unwrap_or_default();
    wait_until("events flow", Duration::from_secs(40), || async {
        Ok(printed().contains("Event 20 "))
    })
    .await
    .with_context(printed)?;
    run(kafka, &format!("{line} --count 5"))?;
    wait_until("the older one ends", Duration::from_secs(40), || {
        let is_running = older.is_running();
        async move { Ok(!is_running) }
    })
    .await
    .with_context(printed)?;
    ensure!(printed().contains("sluice: "), "it says why: {}", printed());
    Ok(())
}

#[test]
fn a_kafka_that_is_not_there_is_named_soon() -> Result<()> {
    for more in ["", "--exactly-once"] {
        let mut command = Command::new(SLUICE);
        let line = format!("produce sales --count 1 --brokers 127.0.0.1:1 {more}");
        let output = command.args(line.split_whitespace()).output()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(!output.status.success());
        ensure!(text.contains("127.0.0.1:1"), "{text}");
    }
    Ok(())
}
