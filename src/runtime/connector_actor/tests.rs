//! A connector whose start does not end: its store takes connections and says nothing.

use std::time::Duration;

use async_trait::async_trait;
use connect_core::clock::SystemClock;
use connect_core::config::find_connector_plugin;
use connect_core::plugin::MemoryBudget;
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::*;
use crate::kafka::embedded::EmbeddedLog;
use crate::runtime::WorkerSettings;
use crate::runtime::active_topics::ActiveTopics;
use crate::runtime::dry_run::DryRuns;
use crate::runtime::metrics::Startups;
use crate::runtime::status_writer::StatusWriter;
use crate::storage::{FileStore, OffsetStorage};

const SOON: Duration = Duration::from_secs(20);

/// Commits nothing.
struct Nobody;

#[async_trait]
impl TaskCommitter for Nobody {
    async fn commit(&self, _connector: &str, _config: &ConfigMap, _count: u32) -> Result<()> {
        Ok(())
    }
}

struct Stage {
    folder: TempDir,
    silent: TcpListener,
}

impl Stage {
    async fn set() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            silent: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        }
    }

    async fn environment(&self) -> Arc<Environment> {
        let folder = self.folder.path();
        let settings = WorkerSettings::read(&ConfigMap::new()).unwrap();
        let offsets = FileStore::open(&folder.join("offsets.json")).await.unwrap();
        let statuses = StatusWriter::default();
        Arc::new(Environment {
            log: EmbeddedLog::open(&folder.join("log")).await.unwrap(),
            memory: MemoryBudget::new(settings.memory_budget()),
            providers: settings.providers.clone(),
            settings,
            clock: Arc::new(SystemClock),
            offsets: OffsetStorage::open(Arc::new(offsets)).await.unwrap(),
            gate: None,
            active_topics: ActiveTopics::kept_in(statuses.clone()),
            statuses,
            connector_startups: Startups::default(),
            task_startups: Startups::default(),
            dry_runs: DryRuns::default(),
            worker_id: "here".to_owned(),
        })
    }

    fn desired(&self) -> Desired {
        let url = format!("http://{}", self.silent.local_addr().unwrap());
        let config = [
            ("name", "slow"),
            ("connector.class", "S3SinkConnector"),
            ("topics", "there"),
            ("s3.bucket.name", "bucket"),
            ("s3.region", "us-east-1"),
            ("storage.class", "io.confluent.connect.s3.storage.S3Storage"),
            ("store.url", &url),
            ("aws.access.key.id", "key"),
            ("aws.secret.access.key", "secret"),
            (
                "format.class",
                "io.confluent.connect.s3.format.json.JsonFormat",
            ),
            ("flush.size", "1"),
            ("tasks.max", "3"),
        ];
        let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        let config: Arc<ConfigMap> = Arc::new(config.into_iter().map(own).collect());
        Desired {
            config: config.clone(),
            revision: 1,
            target: TargetState::Started,
            share: Share::Parts(Parts {
                connector: true,
                count: 3,
                commit: 1,
                made_from: config,
                ..Parts::default()
            }),
        }
    }

    /// An actor that is in the start of its connector.
    async fn starting(&self) -> ActorHandle {
        let start = Start {
            name: "slow",
            desired: self.desired(),
            had_tasks: false,
            after: None,
            committer: Some(Arc::new(Nobody)),
        };
        let plugin = find_connector_plugin("S3SinkConnector").unwrap();
        let actor = spawn(self.environment().await, plugin, start);
        let asked = tokio::time::timeout(SOON, self.silent.accept()).await;
        let asked = asked.unwrap_or_else(|_| panic!("not asked: {:?}", actor.status.info()));
        let _never_answered = std::mem::ManuallyDrop::new(asked.unwrap());
        actor
    }
}

async fn told(actor: &ActorHandle, command: impl FnOnce(oneshot::Sender<()>) -> Command) {
    let (done, answered) = oneshot::channel();
    assert!(actor.commands.send(command(done)).await.is_ok());
    let answered = tokio::time::timeout(SOON, answered).await;
    answered.expect("the actor hears what it is told").unwrap();
}

#[tokio::test]
async fn a_start_that_hangs_gives_way_to_another_configuration_and_to_the_end() {
    let stage = Stage::set().await;
    let actor = stage.starting().await;
    let mut desired = stage.desired();
    desired.revision = 2;
    told(&actor, |done| Command::Become(desired.clone(), done)).await;
    // It starts with that one now.
    let again = tokio::time::timeout(SOON, stage.silent.accept()).await;
    let _never_answered = again.unwrap().unwrap();
    desired.target = TargetState::Paused;
    told(&actor, |done| Command::Become(desired, done)).await;
    told(&actor, Command::Settled).await;
    assert_eq!(actor.status.connector_state(), State::Paused);
    told(&actor, Command::Shutdown).await;
}

#[tokio::test]
async fn tasks_are_given_while_their_connector_starts() {
    let stage = Stage::set().await;
    let actor = stage.starting().await;
    let mut desired = stage.desired();
    if let Share::Parts(parts) = &mut desired.share {
        parts.tasks.insert(2);
    }
    told(&actor, |done| Command::Become(desired, done)).await;
    let given = async {
        while actor.status.task_numbers() != [2] {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, given).await.unwrap();
    assert_eq!(actor.status.connector_state(), State::Unassigned);
    told(&actor, Command::Shutdown).await;
}

#[tokio::test]
async fn an_actor_that_is_cut_off_in_a_start_ends_and_says_nothing_of_it() {
    let stage = Stage::set().await;
    let actor = stage.starting().await;
    actor.status.connector(State::Restarting);
    actor.cut_off.cancel();
    let ended = tokio::time::timeout(SOON, actor.commands.closed()).await;
    ended.unwrap();
    assert_eq!(actor.status.connector_state(), State::Restarting);
}
