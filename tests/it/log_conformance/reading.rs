//! How a reader moves: polls, seeks, pauses, patterns, where it begins.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use connect_core::ErrorKind;
use sluice::kafka::{
    AutoOffsetReset, ConsumerOptions, ProducerOptions, ProducerRecord, Subscription,
};

use super::home::{
    DEADLINE, Home, POLL, map, new_topic, offset, offsets, options, partition, read, record,
    unique, values,
};
use super::member::{Member, Seen, locked, seen_in_all};

pub(super) async fn a_poll_returns_no_more_records_than_asked_for<H: Home>(home: &H) -> Result<()> {
    let topic = home.topic("polls", 1).await?;
    home.write_values(&topic, &["a"; 100]).await?;
    let limited = ConsumerOptions {
        max_poll_records: 7,
        ..options(Subscription::Partitions(vec![partition(&topic, 0)]))
    };
    let consumer = home.log().consumer(limited).await?;
    let until = Instant::now() + DEADLINE;
    let mut count = 0;
    while count < 100 {
        ensure!(Instant::now() < until, "only {count} records came");
        let records = consumer.poll(POLL).await?;
        ensure!(records.len() <= 7, "{} records in one poll", records.len());
        count += records.len();
    }
    ensure!(count == 100);
    Ok(())
}

pub(super) async fn a_seek_goes_back_and_forth<H: Home>(home: &H) -> Result<()> {
    let topic = home.topic("seeks", 1).await?;
    home.write_values(&topic, &["a", "b", "c", "d", "e"])
        .await?;
    let consumer = home.reader(&topic).await?;
    let only = partition(&topic, 0);
    ensure!(offsets(&read(&*consumer, 5).await?) == [0, 1, 2, 3, 4]);
    ensure!(consumer.position(&only).await? == offset(5));
    consumer.seek(&only, offset(1)).await?;
    ensure!(consumer.position(&only).await? == offset(1));
    ensure!(offsets(&read(&*consumer, 4).await?) == [1, 2, 3, 4]);
    consumer.seek(&only, offset(0)).await?;
    consumer.seek(&only, offset(3)).await?;
    ensure!(values(&read(&*consumer, 2).await?) == ["d", "e"]);
    Ok(())
}

pub(super) async fn a_seek_behind_the_end_comes_back_between_the_ends<H: Home>(
    home: &H,
) -> Result<()> {
    let topic = home.topic("too-far", 1).await?;
    home.write_values(&topic, &["a", "b"]).await?;
    let consumer = home.reader(&topic).await?;
    read(&*consumer, 2).await?;
    consumer.seek(&partition(&topic, 0), offset(1000)).await?;
    // A broker may take it for a log that was cut, and go on at the end; otherwise the reset policy says where.
    let mut seen = values(&consumer.poll(POLL).await?);
    home.write_values(&topic, &["c"]).await?;
    let until = Instant::now() + DEADLINE;
    while seen.last().map(String::as_str) != Some("c") {
        ensure!(Instant::now() < until, "only {seen:?} came");
        seen.extend(values(&consumer.poll(POLL).await?));
    }
    Ok(())
}

pub(super) async fn paused_partitions_stay_owned_and_silent<H: Home>(home: &H) -> Result<()> {
    let topic = home.topic("paused", 2).await?;
    let (first, second) = (partition(&topic, 0), partition(&topic, 1));
    let both = vec![first.clone(), second];
    let first = [first];
    let consumer = home
        .log()
        .consumer(options(Subscription::Partitions(both.clone())))
        .await?;
    consumer.poll(POLL).await?;
    consumer.pause(&first).await;
    let to = |number: i32| ProducerRecord {
        partition: Some(number),
        ..record(&topic, &format!("to {number}"))
    };
    home.write(vec![to(0), to(1)]).await?;
    ensure!(values(&read(&*consumer, 1).await?) == ["to 1"]);
    ensure!(consumer.poll(Duration::from_secs(1)).await?.is_empty());
    let mut owned = consumer.assignment().await;
    owned.sort();
    ensure!(owned == both, "owned are {owned:?}");
    consumer.resume(&first).await;
    ensure!(values(&read(&*consumer, 1).await?) == ["to 0"]);
    Ok(())
}

pub(super) async fn a_wakeup_ends_a_waiting_poll<H: Home>(home: &H) -> Result<()> {
    let topic = home.topic("woken", 1).await?;
    let consumer = home.reader(&topic).await?;
    consumer.poll(POLL).await?;
    let begun = Instant::now();
    let waiting = consumer.poll(Duration::from_secs(60));
    let (records, ()) = tokio::join!(waiting, async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        consumer.wakeup();
    });
    ensure!(records?.is_empty());
    ensure!(
        begun.elapsed() < Duration::from_secs(20),
        "woken after {:?}",
        begun.elapsed()
    );
    home.write_values(&topic, &["after"]).await?;
    ensure!(values(&read(&*consumer, 1).await?) == ["after"]);
    Ok(())
}

pub(super) async fn latest_begins_behind_what_is_there<H: Home>(home: &H) -> Result<()> {
    let topic = home.topic("latest", 1).await?;
    home.write_values(&topic, &["old"]).await?;
    let only = partition(&topic, 0);
    let latest = ConsumerOptions {
        auto_offset_reset: AutoOffsetReset::Latest,
        ..options(Subscription::Partitions(vec![only.clone()]))
    };
    let consumer = home.log().consumer(latest).await?;
    let until = Instant::now() + DEADLINE;
    while consumer.position(&only).await.ok() != Some(offset(1)) {
        ensure!(Instant::now() < until, "no position");
        ensure!(consumer.poll(POLL).await?.is_empty());
    }
    home.write_values(&topic, &["new"]).await?;
    ensure!(values(&read(&*consumer, 1).await?) == ["new"]);
    Ok(())
}

pub(super) async fn without_a_committed_offset_and_without_a_reset_policy_reading_fails<H: Home>(
    home: &H,
) -> Result<()> {
    let topic = home.topic("no-reset", 1).await?;
    home.write_values(&topic, &["a"]).await?;
    let strict = ConsumerOptions {
        group: Some(unique("no-reset")),
        auto_offset_reset: AutoOffsetReset::None,
        ..options(Subscription::Topics(vec![topic.to_string()]))
    };
    let consumer = home.log().consumer(strict).await?;
    let until = Instant::now() + DEADLINE;
    loop {
        ensure!(Instant::now() < until, "no error came");
        match consumer.poll(POLL).await {
            Ok(records) => ensure!(records.is_empty()),
            Err(error) if error.kind() == ErrorKind::Config => return Ok(()),
            Err(error) => bail!("another error: {}", error.trace()),
        }
    }
}

pub(super) async fn a_pattern_takes_up_topics_as_they_come<H: Home>(home: &H) -> Result<()> {
    let prefix = unique("pattern");
    let matching = |name: &str| new_topic(&format!("{prefix}.{name}"), 1, &[]);
    let admin = home.log().admin();
    for name in ["one", "two"] {
        admin.create_topic(&matching(name)).await?;
    }
    let other = new_topic(&format!("not-{prefix}.one"), 1, &[]);
    admin.create_topic(&other).await?;
    let by_pattern = ConsumerOptions {
        group: Some(prefix.clone()),
        ..options(Subscription::Pattern(format!(r"{prefix}\.(one|two|three)")))
    };
    let seen = Seen::default();
    let member = Member::join("member", &home.log(), by_pattern, &seen)?;
    let write = async |name: &str| {
        let topic = format!("{prefix}.{name}").into();
        home.write_values(&topic, &[name]).await
    };
    write("one").await?;
    write("two").await?;
    home.write_values(&other.name.as_str().into(), &["other"])
        .await?;
    seen_in_all(&seen, 2).await?;
    admin.create_topic(&matching("three")).await?;
    write("three").await?;
    seen_in_all(&seen, 3).await?;
    member.leave().await?;
    let records: Vec<_> = locked(&seen).iter().map(|(_, seen)| seen.clone()).collect();
    let mut seen = values(&records);
    seen.sort();
    ensure!(seen == ["one", "three", "two"], "seen: {seen:?}");
    Ok(())
}

pub(super) async fn watermarks_tell_both_ends<H: Home>(home: &H) -> Result<()> {
    let topic = home.topic("watermarks", 1).await?;
    let consumer = home.reader(&topic).await?;
    let only = partition(&topic, 0);
    let ends = consumer.watermarks(&only).await?;
    ensure!((ends.low, ends.high) == (offset(0), offset(0)));
    home.write_values(&topic, &["a", "b", "c"]).await?;
    let ends = consumer.watermarks(&only).await?;
    ensure!((ends.low, ends.high) == (offset(0), offset(3)));
    Ok(())
}

pub(super) async fn client_settings_that_are_not_supported_are_refused_by_name<H: Home>(
    home: &H,
) -> Result<()> {
    let topic = home.topic("overrides", 1).await?;
    for (key, value) in [("no.such.key", "1"), ("max.poll.records", "many")] {
        let wrong = ConsumerOptions {
            overrides: map(&[(key, value)]),
            ..options(Subscription::Partitions(vec![partition(&topic, 0)]))
        };
        let refused = home.log().consumer(wrong).await.err();
        let refused = refused.map(|error| error.to_string()).unwrap_or_default();
        ensure!(
            refused.contains(key),
            "a consumer with {key} gave: {refused}"
        );
    }
    for (key, value) in [("no.such.key", "1"), ("linger.ms", "long"), ("acks", "1")] {
        let wrong = ProducerOptions {
            overrides: map(&[(key, value)]),
            ..ProducerOptions::default()
        };
        let refused = home.log().producer(wrong).await.err();
        let refused = refused.map(|error| error.to_string()).unwrap_or_default();
        ensure!(
            refused.contains(key),
            "a producer with {key} gave: {refused}"
        );
    }
    Ok(())
}
