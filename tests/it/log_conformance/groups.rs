//! Consumer groups: who reads what, what is committed, what happens when members come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Result, ensure};
use connect_core::ErrorKind;
use connect_core::data::{OffsetAndMetadata, Offsets};
use sluice::kafka::{Consumer, ConsumerOptions, ProducerRecord, Subscription};

use super::home::{
    DEADLINE, Home, POLL, map, offset, offsets, options, partition, read, record, unique, values,
};
use super::member::{Journal, Member, Seen, Told, locked, seen_in_all};
use crate::support::wait_until;

/// How to read a topic as a member of a group; a dead member is missed soon.
pub(super) fn group_options(group: &str, topic: &Arc<str>) -> ConsumerOptions {
    ConsumerOptions {
        group: Some(group.to_owned()),
        overrides: map(&[
            ("session.timeout.ms", "3000"),
            ("heartbeat.interval.ms", "500"),
        ]),
        ..options(Subscription::Topics(vec![topic.to_string()]))
    }
}

async fn member<H: Home>(home: &H, group: &str, topic: &Arc<str>) -> Result<Arc<dyn Consumer>> {
    Ok(home.log().consumer(group_options(group, topic)).await?)
}

fn at(topic: &Arc<str>, next: i64, note: &str) -> Offsets {
    let committed = OffsetAndMetadata {
        offset: offset(next),
        metadata: note.to_owned(),
    };
    [(partition(topic, 0), committed)].into()
}

pub(super) async fn a_restarted_group_goes_on_where_it_committed<H: Home>(home: &H) -> Result<()> {
    let topic = home.topic("resumed", 1).await?;
    home.write_values(&topic, &["a", "b", "c", "d"]).await?;
    let group = unique("resumed");
    let first = member(home, &group, &topic).await?;
    ensure!(values(&read(&*first, 4).await?) == ["a", "b", "c", "d"]);
    first.commit(&at(&topic, 2, "")).await?;
    first.close().await?;
    let second = member(home, &group, &topic).await?;
    ensure!(values(&read(&*second, 2).await?) == ["c", "d"]);
    // Committing backwards is allowed: a sink that failed begins again.
    second.commit(&at(&topic, 1, "")).await?;
    second.close().await?;
    let third = member(home, &group, &topic).await?;
    ensure!(offsets(&read(&*third, 3).await?) == [1, 2, 3]);
    third.close().await?;
    Ok(())
}

pub(super) async fn what_was_not_committed_is_read_again<H: Home>(home: &H) -> Result<()> {
    let topic = home.topic("again", 1).await?;
    home.write_values(&topic, &["a", "b"]).await?;
    let group = unique("again");
    for _ in 0..2 {
        let consumer = member(home, &group, &topic).await?;
        ensure!(values(&read(&*consumer, 2).await?) == ["a", "b"]);
        consumer.close().await?;
    }
    Ok(())
}

pub(super) async fn a_commit_keeps_its_note<H: Home>(home: &H) -> Result<()> {
    let topic = home.topic("notes", 2).await?;
    home.write_values(&topic, &["a", "b", "c"]).await?;
    let group = unique("notes");
    let consumer = member(home, &group, &topic).await?;
    read(&*consumer, 3).await?;
    let note = format!(
        "{{\"end\": 3, \"text\": \"Grüße \\\"{}\"}}",
        "x".repeat(3000)
    );
    let committed = at(&topic, 1, &note);
    consumer.commit(&committed).await?;
    let both = [partition(&topic, 0), partition(&topic, 1)];
    ensure!(consumer.committed(&both).await? == committed);
    ensure!(home.log().admin().group_offsets(&group).await? == committed);
    // The next commit replaces the note.
    consumer.commit(&at(&topic, 3, "")).await?;
    ensure!(consumer.committed(&both).await? == at(&topic, 3, ""));
    consumer.close().await?;
    ensure!(home.log().admin().group_offsets(&group).await? == at(&topic, 3, ""));
    Ok(())
}

pub(super) async fn two_groups_read_the_same_records<H: Home>(home: &H) -> Result<()> {
    let topic = home.topic("shared", 1).await?;
    home.write_values(&topic, &["a", "b"]).await?;
    for group in [unique("shared"), unique("shared")] {
        let consumer = member(home, &group, &topic).await?;
        ensure!(values(&read(&*consumer, 2).await?) == ["a", "b"]);
        consumer.commit(&at(&topic, 2, "")).await?;
        consumer.close().await?;
    }
    Ok(())
}

/// Writes `count` records, numbered from `first`, over four partitions.
async fn write_round<H: Home>(home: &H, topic: &Arc<str>, first: i32, count: i32) -> Result<()> {
    let numbered = |number: i32| ProducerRecord {
        partition: Some(number % 4),
        ..record(topic, &number.to_string())
    };
    home.write((first..first + count).map(numbered).collect())
        .await?;
    Ok(())
}

/// How often each value was seen.
fn times(seen: &Seen) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for (_, record) in &*locked(seen) {
        let value = values(std::slice::from_ref(record)).concat();
        *times.entry(value).or_default() += 1;
    }
    times
}

fn ensure_each_once(seen: &Seen, count: usize) -> Result<()> {
    let times = times(seen);
    let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
    ensure!(twice.is_empty(), "seen more than once: {twice:?}");
    ensure!(times.len() == count, "{} of {count} were seen", times.len());
    Ok(())
}

pub(super) async fn members_that_come_and_go_read_each_record_once<H: Home>(
    home: &H,
) -> Result<()> {
    let topic = home.topic("members", 4).await?;
    let group = unique("members");
    // Few records a poll: partitions move while there is still much to read.
    let options = ConsumerOptions {
        max_poll_records: 20,
        ..group_options(&group, &topic)
    };
    let seen = Seen::default();
    let log = home.log();
    let first = Member::join("first", &log, options.clone(), &seen)?;
    first.owns(4).await?;
    write_round(home, &topic, 0, 1000).await?;
    let second = Member::join("second", &log, options, &seen)?;
    first.owns(2).await?;
    second.owns(2).await?;
    write_round(home, &topic, 1000, 1000).await?;
    seen_in_all(&seen, 2000).await?;
    let readers: BTreeSet<_> = locked(&seen).iter().map(|(name, _)| name.clone()).collect();
    ensure!(readers.len() == 2, "only {readers:?} read");
    write_round(home, &topic, 2000, 1000).await?;
    second.leave().await?;
    first.owns(4).await?;
    write_round(home, &topic, 3000, 1000).await?;
    seen_in_all(&seen, 4000).await?;
    ensure_each_once(&seen, 4000)?;
    let told = first.journal.told();
    ensure!(
        told.iter().any(|told| matches!(told, Told::Revoked(_))),
        "no partition was revoked: {told:?}"
    );
    ensure!(
        !told.iter().any(|told| matches!(told, Told::Lost(_))),
        "partitions were lost: {told:?}"
    );
    first.leave().await?;
    let committed = home.log().admin().group_offsets(&group).await?;
    let ends: Vec<_> = committed.values().map(|next| next.offset.value()).collect();
    ensure!(ends == [1000; 4], "committed are {ends:?}");
    Ok(())
}

pub(super) async fn a_dead_members_partitions_go_to_the_others<H: Home>(home: &H) -> Result<()> {
    let topic = home.topic("dead", 4).await?;
    let options = group_options(&unique("dead"), &topic);
    let seen = Seen::default();
    let log = home.log();
    let lasting = Member::join("lasting", &log, options.clone(), &seen)?;
    let dying = Member::join("dying", &log, options, &seen)?;
    lasting.owns(2).await?;
    dying.owns(2).await?;
    write_round(home, &topic, 0, 400).await?;
    seen_in_all(&seen, 400).await?;
    dying.die();
    write_round(home, &topic, 400, 400).await?;
    lasting.owns(4).await?;
    // It had not committed: its records come again.
    seen_in_all(&seen, 1000).await?;
    let times = times(&seen);
    ensure!(times.len() == 800, "{} of 800 were seen", times.len());
    let twice = times.values().filter(|times| **times == 2).count();
    ensure!(twice == 200, "{twice} came again");
    lasting.leave().await
}

pub(super) async fn new_partitions_of_a_topic_are_taken_up<H: Home>(home: &H) -> Result<()> {
    let topic = home.topic("growing", 1).await?;
    let group = unique("growing");
    let seen = Seen::default();
    let log = home.log();
    let members = ["first", "second"]
        .map(|name| Member::join(name, &log, group_options(&group, &topic), &seen));
    write_round(home, &topic, 0, 1).await?;
    seen_in_all(&seen, 1).await?;
    log.admin().grow_topic(&topic, 4).await?;
    wait_until("all partitions are there", DEADLINE, || async {
        Ok(log
            .admin()
            .describe_topic(&topic)
            .await?
            .is_some_and(|topic| topic.partitions == 4))
    })
    .await?;
    write_round(home, &topic, 1, 400).await?;
    // A member may lose its partitions in the midst of this: at least once.
    wait_until("all records are seen", DEADLINE, || async {
        Ok(times(&seen).len() == 401)
    })
    .await?;
    let [first, second] = members;
    let (first, second) = (first?, second?);
    first.owns(2).await?;
    second.owns(2).await?;
    first.leave().await?;
    second.leave().await?;
    Ok(())
}

pub(super) async fn a_stalled_member_loses_its_partitions_and_cannot_commit<H: Home>(
    home: &H,
) -> Result<()> {
    let topic = home.topic("stalled", 1).await?;
    let group = unique("stalled");
    home.write_values(&topic, &["a", "b"]).await?;
    let journal = Arc::new(Journal::default());
    let mut options = group_options(&group, &topic);
    options.listener = Some(journal.clone());
    let impatient = ("max.poll.interval.ms".to_owned(), "3000".to_owned());
    options.overrides.extend([impatient]);
    let stalled = home.log().consumer(options).await?;
    read(&*stalled, 2).await?;
    stalled.commit(&at(&topic, 1, "")).await?;
    // It does not poll any more.
    let other = member(home, &group, &topic).await?;
    ensure!(values(&read(&*other, 1).await?) == ["b"]);
    other.commit(&at(&topic, 2, "")).await?;
    let refused = stalled.commit(&at(&topic, 1, "")).await;
    let kind = refused.err().map(|error| error.kind());
    ensure!(
        kind == Some(ErrorKind::Conflict),
        "the commit gave {kind:?}"
    );
    ensure!(home.log().admin().group_offsets(&group).await? == at(&topic, 2, ""));
    wait_until("the stalled member is told", DEADLINE, || async {
        other.poll(POLL).await?;
        stalled.poll(POLL).await?;
        Ok(journal
            .told()
            .contains(&Told::Lost(vec![partition(&topic, 0)])))
    })
    .await?;
    stalled.close().await?;
    other.close().await?;
    Ok(())
}
