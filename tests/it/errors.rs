//! Records that cannot be processed, in the middle of many that can: every good one arrives once, every bad one is in the dead
//! letter queue once.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sluice_services::{Kafka, Postgres, PostgresOptions};
use sluice_stand_in_s3::{S3StandIn, list_objects};

use crate::support::{BUCKET, WorkerProcess, changed, kcat, s3_server, s3_sink, wait_until};

const RECORDS: usize = 100_000;

/// Not JSON.
fn is_broken(id: usize) -> bool {
    id % 5_000 == 4_999
}

/// JSON that the transform refuses.
fn is_no_number(id: usize) -> bool {
    id % 7_001 == 7_000 && !is_broken(id)
}

fn value(id: usize) -> String {
    if is_broken(id) {
        format!("{{\"id\": broken {id}")
    } else if is_no_number(id) {
        format!("{{\"id\": \"no number {id}\"}}")
    } else {
        format!("{{\"id\": {id}}}")
    }
}

fn sink_config(name: &str, s3: &S3StandIn, more: &[(&str, &str)]) -> Value {
    let queue = format!("{name}-dead");
    let own = [
        ("flush.size", "1000"),
        ("rotate.schedule.interval.ms", "1000"),
        ("timezone", "UTC"),
        ("transforms", "number"),
        (
            "transforms.number.type",
            "org.apache.kafka.connect.transforms.Cast$Value",
        ),
        ("transforms.number.spec", "id:int32"),
        ("errors.deadletterqueue.topic.name", queue.as_str()),
        ("errors.deadletterqueue.topic.replication.factor", "1"),
        ("errors.deadletterqueue.context.headers.enable", "true"),
        ("errors.log.enable", "true"),
    ];
    changed(s3_sink(name, s3, &own), more)
}

/// The ids in S3, each as often as it is there.
fn ids_in_s3(folder: &Path) -> Result<Vec<usize>> {
    let mut ids = Vec::new();
    for (key, _) in list_objects(folder, BUCKET)? {
        let text = std::fs::read_to_string(folder.join(BUCKET).join(&key))?;
        for line in text.lines() {
            let value: Value = serde_json::from_str(line)?;
            ids.push(usize::try_from(value["id"].as_u64().context("id")?)?);
        }
    }
    Ok(ids)
}

async fn wait_for_ids(s3: &S3StandIn, wanted: &BTreeSet<usize>) -> Result<()> {
    wait_until(
        "all good records in S3",
        Duration::from_secs(180),
        || async { Ok(ids_in_s3(s3.folder())?.len() >= wanted.len()) },
    )
    .await?;
    let ids = ids_in_s3(s3.folder())?;
    assert_eq!(ids.len(), wanted.len(), "some are doubled");
    assert_eq!(&ids.into_iter().collect::<BTreeSet<_>>(), wanted);
    Ok(())
}

fn good() -> BTreeSet<usize> {
    (0..RECORDS)
        .filter(|id| !is_broken(*id) && !is_no_number(*id))
        .collect()
}

/// Checks that the queue has each bad record once, as it was, with what happened to it.
fn check_queue(kafka: &Kafka, name: &str) -> Result<()> {
    let letters = kcat::records(&kafka.bootstrap(), &format!("{name}-dead"))?;
    let mut values: Vec<_> = letters.iter().map(|letter| letter.value.clone()).collect();
    values.sort();
    let mut wanted: Vec<_> = (0..RECORDS)
        .filter(|id| is_broken(*id) || is_no_number(*id))
        .map(value)
        .collect();
    wanted.sort();
    assert_eq!(values, wanted);
    for letter in letters {
        let broken = letter.value.contains("broken");
        let (stage, class) = match broken {
            true => (
                "VALUE_CONVERTER",
                "org.apache.kafka.connect.json.JsonConverter",
            ),
            false => (
                "TRANSFORMATION",
                "org.apache.kafka.connect.transforms.Cast$Value",
            ),
        };
        assert_eq!(
            (letter.error("stage"), letter.error("class.name")),
            (stage, class)
        );
        assert_eq!(letter.error("topic"), name);
        assert_eq!(letter.error("connector.name"), name);
        assert_eq!(
            letter.error("exception.class.name"),
            "org.apache.kafka.connect.errors.DataException"
        );
        ensure!(
            letter.error("offset").parse::<u64>().is_ok()
                && letter.error("partition").parse::<u32>().is_ok()
        );
        let message = letter.error("exception.message");
        let cause = match broken {
            true => "Converting byte[] to Kafka Connect data failed due to serialization error",
            false => "transform number: failed: ",
        };
        ensure!(message.starts_with(cause), "{message}");
        ensure!(
            letter.error("exception.stacktrace").contains("caused by"),
            "{}",
            letter.error("exception.stacktrace")
        );
        assert_eq!(letter.headers["made-by"], "kcat");
    }
    Ok(())
}

#[tokio::test]
async fn tolerated_errors_leave_out_the_bad_and_nothing_else() -> Result<()> {
    let (folder, name) = (tempfile::tempdir()?, "tolerated");
    let kafka = Kafka::shared()?;
    kafka.create_topic(name, 3, &[])?;
    kcat::produce(&kafka.bootstrap(), name, (0..RECORDS).map(value))?;
    let s3 = s3_server(folder.path()).await?;
    let mut worker = WorkerProcess::start(folder.path(), Some(kafka.bootstrap()))?;
    let config = sink_config(
        name,
        &s3,
        &[("errors.tolerance", "all"), ("tasks.max", "2")],
    );
    worker.put_config(name, &config).await?;
    wait_for_ids(&s3, &good()).await?;
    check_queue(kafka, name)?;
    assert_eq!(worker.states(name).await?, "RUNNING [RUNNING, RUNNING]");
    let log = worker.log();
    ensure!(
        log.contains("a record cannot be processed") && log.contains("VALUE_CONVERTER"),
        "{log}"
    );
    ensure!(
        !log.contains("broken 4999"),
        "content was logged without being asked for"
    );
    let metrics = reqwest::get(worker.url("/metrics")).await?.text().await?;
    let skipped: f64 = metrics
        .lines()
        .filter(|line| line.starts_with("kafka_connect_task_error_metrics_total_records_skipped{"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum();
    assert_eq!(skipped as usize, RECORDS - good().len());
    // Nothing more comes of what was on its way.
    worker.stop()?;
    wait_for_ids(&s3, &good()).await?;
    check_queue(kafka, name)
}

#[tokio::test]
async fn an_error_that_is_not_tolerated_fails_the_task_and_nothing_is_lost_once_it_is() -> Result<()>
{
    let (folder, name) = (tempfile::tempdir()?, "not-tolerated");
    let kafka = Kafka::shared()?;
    kafka.create_topic(name, 1, &[])?;
    kcat::produce(&kafka.bootstrap(), name, (0..RECORDS).map(value))?;
    let s3 = s3_server(folder.path()).await?;
    let worker = WorkerProcess::start(folder.path(), Some(kafka.bootstrap()))?;
    worker
        .put_config(name, &sink_config(name, &s3, &[]))
        .await?;
    worker
        .await_states(name, "RUNNING [FAILED]", Duration::from_secs(60))
        .await?;
    let status = worker.get(&format!("/connectors/{name}/status")).await?;
    let trace = status["tasks"][0]["trace"].as_str().context("a trace")?;
    ensure!(
        trace.contains("record not-tolerated-0 at offset 4999"),
        "{trace}"
    );
    let letters = kcat::records(&kafka.bootstrap(), &format!("{name}-dead"))?;
    assert_eq!(
        letters
            .iter()
            .map(|letter| letter.value.as_str())
            .collect::<Vec<_>>(),
        [value(4_999)]
    );

    // Once it is tolerated, the rest follows. The letter of the first failure is there already.
    let config = sink_config(
        name,
        &s3,
        &[
            ("errors.tolerance", "all"),
            (
                "errors.deadletterqueue.topic.name",
                "not-tolerated-later-dead",
            ),
        ],
    );
    worker.put_config(name, &config).await?;
    wait_for_ids(&s3, &good()).await?;
    let later = kcat::records(&kafka.bootstrap(), "not-tolerated-later-dead")?;
    assert_eq!(later.len(), RECORDS - good().len());
    Ok(())
}

#[tokio::test]
async fn rows_that_the_database_refuses_are_left_out_one_by_one() -> Result<()> {
    // The last of all is refused too: the group must not stay behind for it.
    const ROWS: usize = 10 * 1_999;
    let is_refused = |id: usize| id % 1_999 == 1_998;
    let (folder, name) = (tempfile::tempdir()?, "refused-rows");
    let kafka = Kafka::shared()?;
    kafka.create_topic(name, 2, &[])?;
    let amount = |id| if is_refused(id) { -1 } else { 1 };
    kcat::produce(
        &kafka.bootstrap(),
        name,
        (0..ROWS).map(|id| format!("{{\"id\": {id}, \"amount\": {}}}", amount(id))),
    )?;
    let postgres = Postgres::start(&PostgresOptions::default())?;
    postgres.sql(
        "postgres",
        "CREATE TABLE rows (id bigint NOT NULL, amount bigint CHECK (amount > 0))",
    )?;
    let worker = WorkerProcess::start(folder.path(), Some(kafka.bootstrap()))?;
    let config = json!({
        "name": name,
        "connector.class": "io.confluent.connect.jdbc.JdbcSinkConnector",
        "topics": name,
        "connection.url": postgres.jdbc_url("postgres"),
        "connection.user": Postgres::USER,
        "connection.password": Postgres::PASSWORD,
        "table.name.format": "rows",
        "insert.mode": "insert",
        "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": "refused-rows-dead",
        "errors.deadletterqueue.topic.replication.factor": "1",
        "errors.deadletterqueue.context.headers.enable": "true",
    });
    worker.put_config(name, &config).await?;
    let refused = (0..ROWS).filter(|id| is_refused(*id)).count();
    let wanted = (ROWS - refused).to_string();
    wait_until("all good rows", Duration::from_secs(120), || async {
        let count = postgres.sql("postgres", "SELECT count(*) FROM rows")?;
        ensure!(
            count.trim().parse::<usize>()? <= ROWS - refused,
            "rows are doubled: {count}"
        );
        Ok(count.trim() == wanted)
    })
    .await
    .map_err(|e| e.context(worker.log()))?;
    let distinct = postgres.sql("postgres", "SELECT count(DISTINCT id) FROM rows")?;
    assert_eq!(distinct.trim(), wanted);
    let letters = kcat::records(&kafka.bootstrap(), "refused-rows-dead")?;
    let values: BTreeSet<_> = letters.iter().map(|letter| letter.value.clone()).collect();
    let expected: BTreeSet<_> = (0..ROWS)
        .filter(|id| is_refused(*id))
        .map(|id| format!("{{\"id\": {id}, \"amount\": -1}}"))
        .collect();
    assert_eq!((letters.len(), values), (refused, expected));
    ensure!(
        letters
            .iter()
            .all(|letter| letter.error("stage") == "TASK_PUT")
    );
    wait_until("all is committed", Duration::from_secs(30), || async {
        let status = worker.get(&format!("/connectors/{name}/status")).await?;
        Ok(status["tasks"][0]["sluice"]["lag"] == 0)
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_source_leaves_out_what_the_log_does_not_take() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let kafka = Kafka::shared()?;
    kafka.create_topic("small-only", 1, &["max.message.bytes=2000"])?;
    let file = folder.path().join("lines.txt");
    let line = |id: usize| {
        if id == 50 {
            "x".repeat(5_000)
        } else {
            format!("line {id}")
        }
    };
    std::fs::write(
        &file,
        (0..100).map(|id| line(id) + "\n").collect::<String>(),
    )?;
    let worker = WorkerProcess::start(folder.path(), Some(kafka.bootstrap()))?;
    let mut config = json!({
        "name": "large-lines",
        "connector.class": "FileStreamSource",
        "file": file,
        "topic": "small-only",
        "batch.size": "10",
        "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    });
    worker.put_config("large-lines", &config).await?;
    worker
        .await_states("large-lines", "RUNNING [FAILED]", Duration::from_secs(60))
        .await?;
    config["errors.tolerance"] = json!("all");
    worker.put_config("large-lines", &config).await?;
    wait_until("the last line", Duration::from_secs(60), || async {
        Ok(kcat::records(&kafka.bootstrap(), "small-only")?
            .iter()
            .any(|record| record.value == "line 99"))
    })
    .await?;
    let values: BTreeSet<_> = kcat::records(&kafka.bootstrap(), "small-only")?
        .into_iter()
        .map(|record| record.value)
        .collect();
    assert_eq!(values, (0..100).filter(|id| *id != 50).map(line).collect());
    Ok(())
}

#[tokio::test]
async fn what_failed_on_an_outside_cause_is_started_again_and_the_status_says_when() -> Result<()> {
    let (folder, name) = (tempfile::tempdir()?, "healed");
    let s3 = s3_server(folder.path()).await?;
    s3.faults().down(true);
    let worker = WorkerProcess::start(folder.path(), None)?;
    worker
        .put_config(name, &sink_config(name, &s3, &[]))
        .await?;
    wait_until("a planned restart", Duration::from_secs(30), || async {
        let status = worker.get(&format!("/connectors/{name}/status")).await?;
        let restart = &status["connector"]["sluice"]["restart"];
        let is_planned = restart["attempts"]
            .as_u64()
            .is_some_and(|attempts| attempts > 1);
        Ok(status["connector"]["state"] == "FAILED" && is_planned && restart["at"].is_string())
    })
    .await?;
    s3.faults().down(false);
    worker
        .await_states(name, "RUNNING [RUNNING]", Duration::from_secs(60))
        .await
}

#[tokio::test]
async fn without_restarts_what_failed_stays_failed_as_in_kafka_connect() -> Result<()> {
    let (folder, name) = (tempfile::tempdir()?, "not-healed");
    let s3 = s3_server(folder.path()).await?;
    s3.faults().down(true);
    let settings = ["task.restart.backoff.ms=0"];
    let worker = WorkerProcess::start_with(folder.path(), None, &settings)?;
    worker
        .put_config(name, &sink_config(name, &s3, &[]))
        .await?;
    worker
        .await_states(name, "FAILED []", Duration::from_secs(30))
        .await?;
    let status = worker.get(&format!("/connectors/{name}/status")).await?;
    ensure!(status["connector"]["sluice"].is_null(), "{status}");
    Ok(())
}

#[tokio::test]
async fn a_sink_may_not_read_its_own_dead_letters() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let worker = WorkerProcess::start(folder.path(), None)?;
    let s3 = s3_server(folder.path()).await?;
    for topics in [("topics", "other,own-dead"), ("topics.regex", "own.*")] {
        let mut config = sink_config("own", &s3, &[topics]);
        if topics.0 == "topics.regex" {
            config
                .as_object_mut()
                .context("an object")?
                .remove("topics");
        }
        let refused = worker
            .put_config("own", &config)
            .await
            .unwrap_err()
            .to_string();
        ensure!(
            refused.starts_with("400") && refused.contains("The DLQ topic 'own-dead'"),
            "{refused}"
        );
    }
    Ok(())
}

fn alter(kafka: &Kafka, topic: &str, setting: &str) -> Result<()> {
    let bootstrap = kafka.bootstrap();
    let arguments = [
        "--bootstrap-server",
        &bootstrap,
        "--alter",
        "--topic",
        topic,
        "--add-config",
        setting,
    ];
    let output = kafka.tool("kafka.admin.ConfigCommand", &arguments)?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_queue_that_takes_no_letter_any_more_fails_the_task_and_loses_none() -> Result<()> {
    let (folder, name) = (tempfile::tempdir()?, "queue-full");
    let kafka = Kafka::shared()?;
    let queue = format!("{name}-dead");
    kafka.create_topic(name, 1, &[])?;
    kafka.create_topic(&queue, 1, &[])?;
    let s3 = s3_server(folder.path()).await?;
    let worker = WorkerProcess::start(folder.path(), Some(kafka.bootstrap()))?;
    let config = sink_config(name, &s3, &[("errors.tolerance", "all")]);
    worker.put_config(name, &config).await?;
    let broken = |id: usize| format!("broken {id} {}", "x".repeat(500));
    let batch = |from: usize| {
        let value = move |id| match id % 10 {
            9 => broken(id),
            _ => value(id),
        };
        kcat::produce(&kafka.bootstrap(), name, (from..from + 100).map(value))
    };
    let good = |end: usize| (0..end).filter(|id| id % 10 != 9).collect();
    batch(0)?;
    wait_for_ids(&s3, &good(100)).await?;

    alter(kafka, &queue, "max.message.bytes=300")?;
    batch(100)?;
    worker
        .await_states(name, "RUNNING [FAILED]", Duration::from_secs(60))
        .await?;
    let status = worker.get(&format!("/connectors/{name}/status")).await?;
    let trace = status["tasks"][0]["trace"].as_str().unwrap_or_default();
    ensure!(
        trace.contains("max.message.bytes") && trace.contains(&queue),
        "{trace}"
    );

    alter(kafka, &queue, "max.message.bytes=1000000")?;
    let restart = format!("/connectors/{name}/restart?includeTasks=true&onlyFailed=true");
    let restarted = reqwest::Client::new().post(worker.url(&restart));
    ensure!(restarted.send().await?.status().is_success());
    wait_for_ids(&s3, &good(200)).await?;
    wait_until("all is committed", Duration::from_secs(30), || async {
        let status = worker.get(&format!("/connectors/{name}/status")).await?;
        Ok(status["tasks"][0]["sluice"]["lag"] == 0)
    })
    .await?;
    let mut letters: Vec<_> = kcat::records(&kafka.bootstrap(), &queue)?
        .into_iter()
        .map(|letter| letter.value)
        .collect();
    letters.sort();
    let mut wanted: Vec<_> = (0..200).filter(|id| id % 10 == 9).map(broken).collect();
    wanted.sort();
    assert_eq!(letters, wanted);

    // Removed behind its back: made again, by the broker or by the task's restart.
    let bootstrap = kafka.bootstrap();
    let removed = [
        "--bootstrap-server",
        &bootstrap,
        "--delete",
        "--topic",
        &queue,
    ];
    let removed = kafka.tool("org.apache.kafka.tools.TopicCommand", &removed)?;
    ensure!(removed.status.success());
    batch(200)?;
    wait_for_ids(&s3, &good(300)).await?;
    wait_until("its letters", Duration::from_secs(150), || async {
        let letters = kcat::records(&kafka.bootstrap(), &queue).unwrap_or_default();
        Ok(letters.len() == 10)
    })
    .await
    .map_err(|error| error.context(worker.log()))
}
