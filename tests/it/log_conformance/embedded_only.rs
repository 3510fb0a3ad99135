//! What only the log on disk can show: it is there again after its process ended, however it ended.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use connect_core::ErrorKind;
use connect_core::data::{OffsetAndMetadata, Offsets, RecordTimestamp};
use sluice::kafka::embedded::EmbeddedLog;
use sluice::kafka::{Log, ProducerOptions, Subscription};

use super::groups::group_options;
use super::home::{
    EmbeddedHome, Home, all_written, new_topic, offset, offsets, options, partition, read,
    read_to_end, record, values,
};
use super::run;

/// The folder a writing process is to use.
const FOLDER: &str = "SLUICE_TEST_LOG_FOLDER";
/// Batches a writing process has written before it is killed.
const BATCHES: usize = 50;

async fn write(log: &EmbeddedLog, topic: &Arc<str>, texts: &[&str]) -> Result<()> {
    let producer = log.producer(ProducerOptions::default()).await?;
    let records = texts.iter().map(|text| record(topic, text)).collect();
    all_written(producer.send(records).await?)?;
    Ok(())
}

async fn write_transaction(log: &EmbeddedLog, topic: &Arc<str>, text: &str) -> Result<()> {
    let producer = log
        .transactional_producer("reopened", ProducerOptions::default())
        .await?;
    producer.begin().await?;
    producer.send(vec![record(topic, text)]).await?;
    producer.commit().await?;
    Ok(())
}

async fn read_all(log: &EmbeddedLog, topic: &Arc<str>) -> Result<Vec<String>> {
    let only = partition(topic, 0);
    let consumer = log
        .consumer(options(Subscription::Partitions(vec![only.clone()])))
        .await?;
    Ok(values(&read_to_end(&*consumer, &only).await?))
}

#[test]
fn a_reopened_log_has_everything_it_had() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let topic: Arc<str> = "kept".into();
    let settings = [("retention.ms", "-1"), ("cleanup.policy", "delete")];
    let committed = OffsetAndMetadata {
        offset: offset(4),
        metadata: "a note".to_owned(),
    };
    let committed: Offsets = [(partition(&topic, 0), committed)].into();
    run(|| async {
        let log = EmbeddedLog::open(folder.path()).await?;
        log.admin()
            .create_topic(&new_topic(&topic, 2, &settings))
            .await?;
        write(&log, &topic, &["a", "b"]).await?;
        // Its marker takes the last offset.
        write_transaction(&log, &topic, "c").await?;
        let consumer = log.consumer(group_options("kept", &topic)).await?;
        read(&*consumer, 3).await?;
        consumer.commit(&committed).await?;
        consumer.close().await?;
        Ok(())
    })?;
    run(|| async {
        let log = EmbeddedLog::open(folder.path()).await?;
        let admin = log.admin();
        let described = admin.describe_topic(&topic).await?;
        ensure!(described.map(|topic| topic.partitions) == Some(2));
        let shown = admin.topic_settings(&topic).await?;
        ensure!(shown.get("retention.ms").map(String::as_str) == Some("-1"));
        ensure!(admin.group_offsets("kept").await? == committed);
        let ends = admin.end_offsets(&[partition(&topic, 0)]).await?;
        ensure!(
            ends.into_values().collect::<Vec<_>>() == [offset(4)],
            "the marker's offset is given again"
        );
        ensure!(read_all(&log, &topic).await? == ["a", "b", "c"]);
        let consumer = log.consumer(group_options("kept", &topic)).await?;
        ensure!(consumer.poll(super::home::POLL).await?.is_empty());
        write(&log, &topic, &["d"]).await?;
        let records = read(&*consumer, 1).await?;
        ensure!((values(&records), offsets(&records)) == (vec!["d".to_owned()], vec![4]));
        Ok(())
    })
}

#[test]
fn a_folder_that_is_open_is_refused_with_a_clear_word() -> Result<()> {
    let folder = tempfile::tempdir()?;
    run(|| async {
        let first = EmbeddedLog::open(folder.path()).await?;
        let error = EmbeddedLog::open(folder.path())
            .await
            .err()
            .context("it was opened twice")?;
        ensure!(error.kind() == ErrorKind::Config, "{}", error.trace());
        let said = error.to_string();
        ensure!(
            said.contains(&folder.path().display().to_string()),
            "{said}"
        );
        ensure!(said.contains("another worker has it open"), "{said}");
        drop(first);
        Ok(())
    })?;
    run(|| async {
        EmbeddedLog::open(folder.path()).await?;
        Ok(())
    })
}

#[test]
fn a_folder_that_cannot_be_made_is_refused_with_its_name() -> Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    run(|| async {
        let folder = file.path().join("log");
        let error = EmbeddedLog::open(&folder)
            .await
            .err()
            .context("it was opened")?;
        ensure!(error.kind() == ErrorKind::Config, "{}", error.trace());
        ensure!(
            error.to_string().contains(&folder.display().to_string()),
            "{error}"
        );
        Ok(())
    })
}

#[test]
fn on_a_topic_with_log_append_time_the_time_is_that_of_writing() -> Result<()> {
    run(|| async {
        let home = EmbeddedHome::open().await?;
        let settings = [("message.timestamp.type", "LogAppendTime")];
        let topic = home.topic_with("append-time", 1, &settings).await?;
        let mut old = record(&topic, "a");
        old.timestamp = Some(connect_core::data::Timestamp::from_millis(1));
        home.write(vec![old]).await?;
        let records = home.read_all(&topic).await?;
        let kept = records.iter().all(|record| match record.timestamp {
            RecordTimestamp::LogAppendTime(timestamp) => timestamp.as_millis() > 1,
            _ => false,
        });
        ensure!(kept, "{records:?}");
        Ok(())
    })
}

/// Starts this program again as the writer below, and kills it with -9 in the middle of its work. Returns the numbers it
/// said were acknowledged.
fn write_and_kill(folder: &Path) -> Result<Vec<String>> {
    let mut writer = Command::new(std::env::current_exe()?)
        .args(["--exact", "--ignored", "--nocapture"])
        .arg("log_conformance::embedded_only::writer_process")
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()?;
    let output = writer.stdout.take().context("standard output is piped")?;
    let mut lines = BufReader::new(output).lines();
    let mut acknowledged = Vec::new();
    while acknowledged.len() < BATCHES * 10 {
        let line = lines.next().context("the writer ended by itself")??;
        acknowledged.extend(line.strip_prefix("acknowledged ").map(str::to_owned));
    }
    writer.kill()?;
    writer.wait()?;
    for line in lines {
        acknowledged.extend(line?.strip_prefix("acknowledged ").map(str::to_owned));
    }
    Ok(acknowledged)
}

#[test]
fn a_killed_process_loses_no_acknowledged_record() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut acknowledged = Vec::new();
    for _ in 0..3 {
        acknowledged.extend(write_and_kill(folder.path())?);
    }
    run(|| async {
        let log = EmbeddedLog::open(folder.path()).await?;
        let kept = read_all(&log, &"killed".into()).await?;
        let mut rest = kept.iter();
        for number in &acknowledged {
            ensure!(
                rest.any(|kept| kept == number),
                "{number} is lost or out of order"
            );
        }
        let committed = log.admin().group_offsets("killed").await?;
        let committed = committed
            .values()
            .next()
            .context("nothing was committed")?
            .offset;
        ensure!(committed.value() > 0);
        Ok(())
    })
}

/// No test by itself: the process that `a_killed_process_loses_no_acknowledged_record` starts and kills.
#[test]
#[ignore = "started by another test, as a process to be killed"]
fn writer_process() -> Result<()> {
    let folder =
        std::env::var_os(FOLDER).context("only to be started by the test that kills it")?;
    run(|| async {
        let log = EmbeddedLog::open(Path::new(&folder)).await?;
        let topic: Arc<str> = "killed".into();
        let producer = log.producer(ProducerOptions::default()).await?;
        let consumer = log.consumer(group_options("killed", &topic)).await?;
        loop {
            let numbers: Vec<_> = (0..10).map(|_| fastrand::u64(..).to_string()).collect();
            let records = numbers
                .iter()
                .map(|number| record(&topic, number))
                .collect();
            let written = all_written(producer.send(records).await?)?;
            for number in numbers {
                println!("acknowledged {number}");
            }
            consumer.poll(super::home::POLL).await?;
            let next = written.last().map(|last| last.offset.next().into());
            let next = next.map(|next| (partition(&topic, 0), next));
            consumer.commit(&next.into_iter().collect()).await?;
        }
    })
}
