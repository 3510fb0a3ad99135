//! Topics and partitions that are not there.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use connect_core::ErrorKind;
use sluice::kafka::{ProducerRecord, Subscription};

use super::groups::group_options;
use super::home::{Home, POLL, new_topic, options, partition, read, record, unique, values};

pub(super) async fn writing_to_a_topic_that_is_not_there_makes_it<H: Home>(home: &H) -> Result<()> {
    let topic: Arc<str> = unique("made-by-writing").into();
    home.write_values(&topic, &["first"]).await?;
    let described = home.log().admin().describe_topic(&topic).await?;
    ensure!(described.map(|topic| topic.partitions) == Some(1));
    ensure!(values(&home.read_all(&topic).await?) == ["first"]);
    Ok(())
}

pub(super) async fn a_group_waits_for_a_topic_that_is_not_there<H: Home>(home: &H) -> Result<()> {
    let topic: Arc<str> = unique("awaited").into();
    let consumer = home.log().consumer(group_options(&topic, &topic)).await?;
    for _ in 0..3 {
        ensure!(consumer.poll(POLL).await?.is_empty());
    }
    // Made by the subscription or not: both are fine.
    home.log()
        .admin()
        .create_topic(&new_topic(&topic, 1, &[]))
        .await?;
    home.write_values(&topic, &["first"]).await?;
    ensure!(values(&read(&*consumer, 1).await?) == ["first"]);
    consumer.close().await?;
    Ok(())
}

pub(super) async fn reading_a_partition_that_is_not_there_is_refused_by_name<H: Home>(
    home: &H,
) -> Result<()> {
    let topic = home.topic("two-partitions", 2).await?;
    let third = vec![partition(&topic, 2)];
    let error = match home
        .log()
        .consumer(options(Subscription::Partitions(third)))
        .await
    {
        Err(error) => error,
        Ok(consumer) => consumer
            .poll(POLL)
            .await
            .err()
            .context("nothing was refused")?,
    };
    ensure!(error.kind() == ErrorKind::Config, "gave {}", error.trace());
    ensure!(
        error.to_string().contains(&*topic),
        "does not name it: {error}"
    );
    Ok(())
}

pub(super) async fn writing_to_a_partition_that_is_not_there_is_refused_by_name<H: Home>(
    home: &H,
) -> Result<()> {
    let topic = home.topic("one-partition", 1).await?;
    let beyond = ProducerRecord {
        partition: Some(1),
        ..record(&topic, "lost")
    };
    let producer = home.producer().await?;
    let error = match producer.send(vec![beyond]).await {
        Err(error) => error,
        Ok(results) => {
            let outcome = results.into_iter().next().context("no result")?;
            outcome.err().context("nothing was refused")?
        }
    };
    ensure!(error.kind() == ErrorKind::Config, "gave {}", error.trace());
    ensure!(
        error.trace().contains(&*topic),
        "does not name it: {}",
        error.trace()
    );
    // The next record is written all the same.
    home.write_values(&topic, &["kept"]).await?;
    Ok(())
}
