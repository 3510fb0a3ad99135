//! Members of one group over Kafka Connect's own protocol: among themselves, and beside a real worker of Kafka Connect,
//! which they follow and lead.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use bytes::Bytes;
use connect_core::plugin::TaskId;
use serde_json::{Value, json};
use sluice::kafka::cluster::ClusterLog;
use sluice::kafka::{
    Generation, GroupMember, GroupMemberOptions, GroupProtocol, Log, MemberMetadata, Rebalance,
};
use sluice::runtime::distributed::assignor::{Assignor, Plan, Round};
use sluice::runtime::distributed::protocol::{
    Assignment, ConnectProtocol, PROTOCOL_TYPE, Work, WorkerState,
};
use sluice_services::{Connect, ConnectOptions, Kafka, KafkaOptions};
use tokio::sync::watch;
use tokio::task::{JoinHandle, block_in_place};
use tokio_util::sync::CancellationToken;

use crate::support::wait_until;

const SOON: Duration = Duration::from_secs(60);

/// What a worker of the test knows, and what it assigns when it leads.
struct Script {
    url: String,
    configured: Work,
    held: Mutex<Option<Assignment>>,
    assignor: Mutex<Assignor>,
    fellows: Mutex<BTreeMap<String, WorkerState>>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Script {
    fn new(name: &str, configured: Work) -> Arc<Self> {
        Arc::new(Self {
            url: format!("http://{name}:8083/"),
            configured,
            held: Mutex::new(None),
            assignor: Mutex::new(Assignor::new(Duration::ZERO)),
            fellows: Mutex::default(),
        })
    }

    fn work(&self) -> Work {
        locked(&self.held)
            .as_ref()
            .map(|held| held.work.clone())
            .unwrap_or_default()
    }

    /// Takes up what was assigned; true if the group must be joined again because something was given up.
    fn take(&self, generation: &Generation) -> Result<bool> {
        let mut assignment = Assignment::decode(&generation.assignment)?;
        let mut work = self.work().without(&assignment.revoked);
        work.add(&assignment.work);
        assignment.work = work;
        let again = !assignment.revoked.is_empty();
        *locked(&self.held) = Some(assignment);
        locked(&self.assignor).joined(generation.is_leader);
        Ok(again)
    }

    fn share(&self, states: &BTreeMap<String, WorkerState>) -> Plan {
        let work = |state: &WorkerState| state.assignment.clone().unwrap_or_default().work;
        let members = states.iter();
        locked(&self.assignor).assign(&Round {
            now: Instant::now(),
            configured: self.configured.clone(),
            members: members
                .map(|(id, state)| (id.clone(), work(state)))
                .collect(),
        })
    }
}

#[async_trait]
impl GroupProtocol for Script {
    fn offers(&self) -> Vec<(String, Bytes)> {
        let state = WorkerState {
            url: self.url.clone(),
            config_offset: -1,
            assignment: locked(&self.held).clone(),
        };
        let offered = ConnectProtocol::Sessioned.offered();
        offered
            .map(|protocol| (protocol.group_name().to_owned(), state.encode(protocol)))
            .collect()
    }

    async fn assign(
        &self,
        protocol: &str,
        leader: &str,
        members: Vec<MemberMetadata>,
    ) -> connect_core::Result<Vec<(String, Bytes)>> {
        let protocol = ConnectProtocol::of_group(protocol)?;
        let decoded = members.into_iter().map(|member| {
            let state = WorkerState::decode(&member.metadata)?;
            Ok((member.member_id, state))
        });
        let states: BTreeMap<_, _> = decoded.collect::<connect_core::Result<_>>()?;
        let config_offset = states.values().map(|state| state.config_offset).max();
        let plan = self.share(&states);
        *locked(&self.fellows) = states;
        let shares = plan.shares.into_iter().map(|(member, share)| {
            let assignment = Assignment {
                leader: leader.to_owned(),
                leader_url: self.url.clone(),
                config_offset: config_offset.unwrap_or(-1),
                work: share.added,
                revoked: share.revoked,
                delay: plan.delay,
                ..Assignment::default()
            };
            (member, assignment.encode(protocol))
        });
        Ok(shares.collect())
    }
}

/// What is seen of a worker from outside.
#[derive(Debug, Clone, Default)]
struct Seen {
    generation: i32,
    member: String,
    is_leader: bool,
    protocol: String,
    work: Work,
    leader_url: String,
    losses: Vec<String>,
}

/// A worker of the test: it joins when it must, until it is stopped.
struct Worker {
    script: Arc<Script>,
    seen: watch::Receiver<Seen>,
    leave: CancellationToken,
    task: JoinHandle<Result<()>>,
}

impl Worker {
    async fn start(log: &ClusterLog, group: &str, name: &str, work: Work) -> Result<Self> {
        Self::with_session(log, group, name, work, Duration::from_secs(6)).await
    }

    async fn with_session(
        log: &ClusterLog,
        group: &str,
        name: &str,
        work: Work,
        session_timeout: Duration,
    ) -> Result<Self> {
        let member = log.group_member(GroupMemberOptions {
            group: group.to_owned(),
            protocol_type: PROTOCOL_TYPE.to_owned(),
            client_id: name.to_owned(),
            session_timeout,
            heartbeat_interval: Duration::from_millis(300),
            rebalance_timeout: Duration::from_secs(30),
        });
        let script = Script::new(name, work);
        let leave = CancellationToken::new();
        let (tell, seen) = watch::channel(Seen::default());
        let running = run(member.await?, script.clone(), tell, leave.clone());
        Ok(Self {
            script,
            seen,
            leave,
            task: tokio::spawn(running),
        })
    }

    async fn expect(&mut self, what: &str, wanted: impl Fn(&Seen) -> bool) -> Result<Seen> {
        let found = tokio::time::timeout(SOON, self.seen.wait_for(|seen| wanted(seen))).await;
        let found = found.ok().and_then(|found| Some(found.ok()?.clone()));
        if let Some(seen) = found {
            return Ok(seen);
        }
        let seen = self.seen.borrow().clone();
        let ended = match self.task.is_finished() {
            true => format!("{:?}", (&mut self.task).await),
            false => "it runs".to_owned(),
        };
        anyhow::bail!("{what}: {seen:?}; {ended}")
    }

    async fn expect_work(&mut self, work: &Work) -> Result<Seen> {
        self.expect(&format!("has {work:?}"), |seen| seen.work == *work)
            .await
    }

    async fn leave(self) -> Result<()> {
        self.leave.cancel();
        self.task.await?
    }

    /// As if its process had died: nobody says good-bye.
    fn die(self) {
        self.task.abort();
    }
}

async fn run(
    mut member: Box<dyn GroupMember>,
    script: Arc<Script>,
    tell: watch::Sender<Seen>,
    leave: CancellationToken,
) -> Result<()> {
    while !leave.is_cancelled() {
        let joined = tokio::select! {
            joined = member.join(&*script) => joined,
            () = leave.cancelled() => break,
        };
        match joined {
            Err(failure) => lost(&script, &tell, failure.trace()),
            Ok(generation) => {
                let again = script.take(&generation)?;
                show(&script, &tell, &generation);
                if again {
                    continue;
                }
                tokio::select! {
                    rebalance = member.rebalance_needed() => {
                        if let Rebalance::Lost(failure) = rebalance {
                            lost(&script, &tell, failure.trace());
                        }
                    }
                    () = leave.cancelled() => break,
                }
            }
        }
    }
    Ok(member.leave().await?)
}

fn show(script: &Script, tell: &watch::Sender<Seen>, generation: &Generation) {
    let leader = locked(&script.held).clone().unwrap_or_default().leader_url;
    tell.send_modify(|seen| {
        seen.generation = generation.id;
        seen.member.clone_from(&generation.member_id);
        seen.is_leader = generation.is_leader;
        seen.protocol.clone_from(&generation.protocol);
        seen.work = script.work();
        seen.leader_url = leader;
    });
}

/// All that ran is stopped.
fn lost(script: &Script, tell: &watch::Sender<Seen>, why: String) {
    *locked(&script.held) = None;
    tell.send_modify(|seen| {
        seen.work = Work::default();
        seen.losses.push(why);
    });
}

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

fn java(kafka: &Kafka, protocol: &str) -> Result<Connect> {
    let properties = [
        ("connect.protocol", protocol),
        ("scheduled.rebalance.max.delay.ms", "0"),
        ("session.timeout.ms", "6000"),
        ("heartbeat.interval.ms", "500"),
    ];
    let properties = properties.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let options = ConnectOptions {
        properties: properties.into(),
    };
    block_in_place(|| Connect::start(kafka, &options))
}

async fn get(connect: &Connect, path: &str) -> Result<Value> {
    let url = format!("http://{}{path}", connect.address());
    Ok(reqwest::get(url).await?.json().await?)
}

/// Makes a source of as many tasks as its class allows: one.
async fn make_source(connect: &Connect, name: &str) -> Result<()> {
    let config = json!({
        "connector.class": "FileStreamSource", "tasks.max": "1", "file": "/dev/null", "topic": "lines",
    });
    let url = format!("http://{}/connectors/{name}/config", connect.address());
    let made = reqwest::Client::new().put(url).json(&config).send().await?;
    ensure!(made.status().is_success(), "{}", made.text().await?);
    Ok(())
}

async fn expect_states(connect: &Connect, name: &str, wanted: &str) -> Result<()> {
    let url = format!("http://{}", connect.address());
    let probe = || async {
        let found = crate::support::states_at(&url, name).await?;
        ensure!(found == wanted, "{found}");
        Ok(true)
    };
    wait_until(&format!("{name}: {wanted}"), SOON, probe).await
}

/// The group's name in services/connect.
const JAVA_GROUP: &str = "connect-jvm";

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_kafka_connect_is_followed_and_led() -> Result<()> {
    let kafka = kafka()?;
    let log = log(&kafka).await?;
    let connect = java(&kafka, "sessioned")?;
    make_source(&connect, "one").await?;
    make_source(&connect, "two").await?;
    expect_states(&connect, "two", "RUNNING [RUNNING]").await?;
    let all = work(&["one", "two"], &[("one", 0), ("two", 0)]);
    // It leads: we get half of what it runs.
    let mut worker = Worker::start(&log, JAVA_GROUP, "ours", all.clone()).await?;
    let half = |seen: &Seen| seen.work.connectors.len() == 1 && seen.work.tasks.len() == 1;
    let follower = worker.expect("half of it", half).await?;
    let url = format!("http://{}/", connect.address());
    ensure!(follower.leader_url == url, "{follower:?}");
    ensure!(!follower.is_leader && follower.protocol == "sessioned");
    // It goes: we lead, and have all that it ran.
    block_in_place(|| connect.stop())?;
    let leader = worker.expect_work(&all).await?;
    ensure!(leader.is_leader);
    // Another comes: we give it half, and it runs that.
    let connect = java(&kafka, "sessioned")?;
    let leader = worker.expect("gives half away", half).await?;
    ensure!(leader.is_leader);
    let given = all.without(&leader.work);
    let fellow = given.connectors.first().context("a connector")?;
    let status = format!("/connectors/{fellow}/status");
    let runs_it = || async {
        let found = get(&connect, &status).await?;
        let worker_id = found["connector"]["worker_id"].clone();
        ensure!(worker_id == connect.address(), "{found}");
        ensure!(found["connector"]["state"] == "RUNNING", "{found}");
        Ok(true)
    };
    wait_until("it runs what we gave it", SOON, runs_it).await?;
    let states = locked(&worker.script.fellows).clone();
    let state = states
        .values()
        .find(|state| state.url.contains(&connect.address()));
    let state = state.with_context(|| format!("{states:?}"))?;
    ensure!(state.config_offset > 0, "{state:?}");
    worker.leave().await?;
    block_in_place(|| connect.stop())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_with_an_eager_worker_agrees_on_the_eager_protocol() -> Result<()> {
    let kafka = kafka()?;
    let log = log(&kafka).await?;
    let connect = java(&kafka, "eager")?;
    make_source(&connect, "one").await?;
    expect_states(&connect, "one", "RUNNING [RUNNING]").await?;
    let mut worker = Worker::start(&log, JAVA_GROUP, "ours", Work::default()).await?;
    let seen = worker
        .expect("something", |seen| !seen.work.is_empty())
        .await?;
    ensure!(seen.protocol == "default" && !seen.is_leader, "{seen:?}");
    worker.leave().await?;
    block_in_place(|| connect.stop())
}
