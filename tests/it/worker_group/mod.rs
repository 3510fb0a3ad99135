//! Members of one group over Kafka Connect's own protocol: among themselves, and beside a real worker of Kafka Connect,
//! which they follow and lead.

mod java;
mod signing;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use connect_core::plugin::TaskId;
use sluice::kafka::cluster::ClusterLog;
use sluice::kafka::{Generation, GroupMemberOptions, GroupObserver, Log};
use sluice::runtime::distributed::protocol::Work;
use sluice_services::{Kafka, KafkaOptions};
use tokio::task::block_in_place;

use crate::support::wait_until;
use worker::{Script, Seen, Worker};

const SOON: Duration = Duration::from_secs(60);

fn work(connectors: &[&str], tasks: &[(&str, u32)]) -> Work {
    let task = |&(connector, task): &(&str, u32)| TaskId {
        connector: connector.into(),
        task,
    };
    Work {
        connectors: connectors.iter().map(|&name| name.into()).collect(),
        tasks: tasks.iter().map(task).collect(),
    }
}

async fn log(kafka: &Kafka) -> Result<ClusterLog> {
    let properties = [("bootstrap.servers".to_owned(), kafka.bootstrap())].into();
    Ok(ClusterLog::connect(&properties).await?)
}

fn kafka() -> Result<Kafka> {
    block_in_place(|| Kafka::start(&KafkaOptions::default()))
}

/// Joins a group of no others, and leaves it.
pub(crate) async fn join_alone(log: &ClusterLog, group: &str) -> Result<()> {
    let all = work(&["a"], &[("a", 0)]);
    let mut worker = Worker::start(log, group, "alone", all.clone()).await?;
    worker.expect_work(&all).await?;
    worker.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn members_share_work_and_take_over_from_one_that_leaves_or_dies() -> Result<()> {
    let log = log(block_in_place(Kafka::shared)?).await?;
    let group = "worker-group-shared";
    let all = work(&["a", "b"], &[("a", 0), ("a", 1), ("b", 0), ("b", 1)]);
    let mut first = Worker::start(&log, group, "first", all.clone()).await?;
    let alone = first.expect_work(&all).await?;
    ensure!(alone.is_leader && alone.protocol == "sessioned");
    let mut second = Worker::start(&log, group, "second", all.clone()).await?;
    let half = |seen: &Seen| seen.work.connectors.len() == 1 && seen.work.tasks.len() == 2;
    let follower = second.expect("half of it", half).await?;
    ensure!(!follower.is_leader && follower.leader_url == "http://first:8083/");
    let leader = first.expect("the other half", half).await?;
    let mut both = leader.work.clone();
    both.add(&follower.work);
    ensure!(both == all, "{both:?}");
    // The leader dies without a word: after its session the other leads, and nothing that it ran was stopped.
    first.die();
    let heir = second.expect_work(&all).await?;
    ensure!(heir.is_leader && heir.losses.is_empty(), "{heir:?}");
    // One that leaves is not waited for.
    let mut third = Worker::start(&log, group, "third", all.clone()).await?;
    third.expect("half of it", half).await?;
    let left_at = Instant::now();
    second.leave().await?;
    third.expect_work(&all).await?;
    ensure!(left_at.elapsed() < Duration::from_secs(5));
    third.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_takes_its_time_keeps_its_place_and_so_do_those_that_wait_for_it()
-> Result<()> {
    let log = log(block_in_place(Kafka::shared)?).await?;
    let group = "worker-group-slow";
    let all = work(&["a", "b", "c"], &[]);
    let session = Duration::from_secs(2);
    let start = |name| Worker::with_session(&log, group, name, all.clone(), session);
    let mut slow = start("slow").await?;
    slow.expect_work(&all).await?;
    let mut waiting = start("waiting").await?;
    waiting
        .expect("a share", |seen| !seen.work.is_empty())
        .await?;
    slow.expect("the rest", |seen| seen.work.connectors.len() < 3)
        .await?;
    // As if stopping tasks took longer than a session; meanwhile the others' joins are held by the broker.
    slow.script.dawdle(session * 3);
    let mut newcomer = start("newcomer").await?;
    newcomer
        .expect("a share", |seen| seen.work.connectors.len() == 1)
        .await?;
    for worker in [&mut slow, &mut waiting] {
        let seen = worker
            .expect("a third", |seen| seen.work.connectors.len() == 1)
            .await?;
        ensure!(seen.losses.is_empty(), "{seen:?}");
    }
    for worker in [slow, waiting, newcomer] {
        worker.leave().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_that_restarts_finds_its_members_again() -> Result<()> {
    let mut kafka = kafka()?;
    let log = log(&kafka).await?;
    let all = work(&["a", "b"], &[]);
    let session = Duration::from_secs(60);
    let start = |name| Worker::with_session(&log, "restarted", name, all.clone(), session);
    let mut first = start("first").await?;
    first.expect_work(&all).await?;
    let mut second = start("second").await?;
    let half = |seen: &Seen| seen.work.connectors.len() == 1;
    second.expect("half of it", half).await?;
    first.expect("half of it", half).await?;
    block_in_place(|| {
        kafka.kill9()?;
        kafka.restart()
    })?;
    // The group goes on: one that comes is served by those that were there.
    let mut third = start("third").await?;
    third
        .expect("is led", |seen| !seen.leader_url.is_empty())
        .await?;
    for worker in [&mut first, &mut second] {
        let seen = worker
            .expect("three of them", |seen| seen.generation > 2)
            .await?;
        ensure!(seen.losses.is_empty(), "{seen:?}");
    }
    for worker in [first, second, third] {
        worker.leave().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_cut_off_knows_in_time_that_it_is_none_any_more() -> Result<()> {
    let mut kafka = kafka()?;
    let log = log(&kafka).await?;
    let all = work(&["a"], &[("a", 0)]);
    let session = Duration::from_secs(3);
    let mut worker = Worker::with_session(&log, "cut-off", "w", all.clone(), session).await?;
    worker.expect_work(&all).await?;
    let cut = Instant::now();
    block_in_place(|| kafka.kill9())?;
    let seen = worker
        .expect("is lost", |seen| seen.work.is_empty())
        .await?;
    ensure!(
        cut.elapsed() < session + Duration::from_millis(500),
        "{:?}",
        cut.elapsed()
    );
    ensure!(seen.losses.len() == 1, "{seen:?}");
    block_in_place(|| kafka.restart())?;
    worker.expect_work(&all).await?;
    worker.leave().await
}

/// Panics at the first answer.
#[derive(Default)]
struct Startled(AtomicU32);

impl GroupObserver for Startled {
    fn heartbeat_answered(&self, _took: Duration) {
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        assert!(before > 0, "an observer that panics");
    }

    fn join_started(&self) {}

    fn joined(&self, _generation: &Generation, _took: Duration) {}

    fn join_failed(&self) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_go_on_after_one_has_panicked() -> Result<()> {
    let log = log(block_in_place(Kafka::shared)?).await?;
    let mut member = log
        .group_member(GroupMemberOptions {
            group: "worker-group-startled".to_owned(),
            protocol_type: "connect".to_owned(),
            client_id: "startled".to_owned(),
            session_timeout: Duration::from_secs(6),
            heartbeat_interval: Duration::from_millis(200),
            rebalance_timeout: Duration::from_secs(10),
        })
        .await?;
    let observer = Arc::new(Startled::default());
    member.observe(observer.clone());
    let script = Script::new("startled", Work::default());
    member.join(&*script).await?;
    wait_until("more heartbeats", SOON, || async {
        Ok(observer.0.load(Ordering::Relaxed) >= 3)
    })
    .await?;
    ensure!(member.session().is_alive());
    member.leave().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_another_kind_is_refused_with_a_reason() -> Result<()> {
    let kafka = block_in_place(Kafka::shared)?;
    let log = log(kafka).await?;
    let group = "worker-group-other-kind";
    let all = work(&["a"], &[]);
    let mut worker = Worker::start(&log, group, "w", all.clone()).await?;
    worker.expect_work(&all).await?;
    let mut other = log
        .group_member(GroupMemberOptions {
            group: group.to_owned(),
            protocol_type: "something-else".to_owned(),
            client_id: "other".to_owned(),
            session_timeout: Duration::from_secs(6),
            heartbeat_interval: Duration::from_secs(1),
            rebalance_timeout: Duration::from_secs(10),
        })
        .await?;
    let script = Script::new("other", Work::default());
    let refused = other.join(&*script).await.err().context("it joined")?;
    ensure!(
        refused.kind() == connect_core::ErrorKind::Conflict,
        "{}",
        refused.trace()
    );
    ensure!(!refused.is_retriable() && refused.to_string().contains(group));
    other.leave().await?;
    worker.leave().await
}
