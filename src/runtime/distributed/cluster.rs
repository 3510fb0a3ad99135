//! The cluster as this worker knows it: what there is, and who leads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use connect_core::clock::Clock;
use connect_core::config::ConfigMap;
use connect_core::plugin::TaskId;
use connect_core::retry::RetryPolicy;
use connect_core::{Error, ErrorKind, Result};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::fellow::FellowClient;
use super::protocol::{ConnectProtocol, Work};
use super::signature::{MacAlgorithm, RequestSignature, SessionKey};
use super::signing_options::SigningOptions;
use crate::kafka::{GroupSession, Log};
use crate::runtime::connector_actor::TaskCommitter;
use crate::runtime::exactly_once::{TaskGate, ZombieFence};
use crate::runtime::herder::HerderError;
use crate::runtime::info::TargetState;
use crate::runtime::plugin_catalog::task_class;
use crate::storage::{ClusterConfig, ClusterConnector, ConfigTopic, TASK_CLASS, are_told};

/// Pauses between tries to read the config topic.
const PAUSES: RetryPolicy = RetryPolicy {
    initial: Duration::from_millis(200),
    max: Duration::from_secs(10),
};

/// What this worker is to the others.
#[derive(Debug, Clone)]
pub(super) enum Role {
    /// The group is being shared anew, or was not yet joined.
    Unsettled,
    Leader(Arc<Owners>),
    Follower {
        leader_url: String,
    },
}

/// Where the REST APIs are of the workers that run the parts of connectors.
#[derive(Debug, Default)]
pub(super) struct Owners {
    pub(super) connectors: BTreeMap<Arc<str>, String>,
    pub(super) tasks: BTreeMap<TaskId, String>,
    /// The ids of all workers, those that run nothing included: `host:port` of their REST APIs.
    pub(super) workers: BTreeSet<String>,
}

impl Owners {
    pub(super) fn add(&mut self, url: &str, work: &Work) {
        let id = url.split_once("://").map_or(url, |(_, rest)| rest);
        let id = id.split('/').next().unwrap_or(id);
        self.workers.insert(id.to_owned());
        let connectors = work.connectors.iter();
        self.connectors
            .extend(connectors.map(|name| (name.clone(), url.to_owned())));
        let tasks = work.tasks.iter();
        self.tasks
            .extend(tasks.map(|task| (task.clone(), url.to_owned())));
    }
}

/// What a cluster is made of beside its config topic.
pub(in crate::runtime) struct ClusterParts {
    pub(in crate::runtime) log: Arc<dyn Log>,
    pub(in crate::runtime) clock: Arc<dyn Clock>,
    pub(in crate::runtime) fellows: FellowClient,
    pub(in crate::runtime) signing: SigningOptions,
    /// Its `group.id`.
    pub(in crate::runtime) group: String,
    /// What the worker's producers are set to.
    pub(in crate::runtime) producer_settings: ConfigMap,
    /// How long a request waits for the group to be shared.
    pub(in crate::runtime) patience: Duration,
}

/// The cluster.
pub(in crate::runtime) struct Cluster {
    pub(super) config: Arc<ConfigTopic>,
    /// Held while something is changed that must not change in between.
    pub(super) changing: tokio::sync::Mutex<()>,
    role: watch::Sender<Role>,
    /// Whether the group has agreed on signed requests.
    is_sessioned: AtomicBool,
    fence: ZombieFence,
    held: Mutex<Held>,
    parts: ClusterParts,
}

/// What this worker has in the group.
#[derive(Default)]
struct Held {
    session: Option<Arc<dyn GroupSession>>,
    work: Work,
}

impl Held {
    /// Makes sure that this worker is in the group now.
    fn check_member(&self) -> Result<()> {
        match &self.session {
            Some(session) if session.is_alive() => Ok(()),
            _ => Err(Error::external(
                "this worker is not in its group at the moment",
            )),
        }
    }

    fn check_task(&self, task: &TaskId) -> Result<()> {
        self.check_member()?;
        if self.work.tasks.contains(task) {
            return Ok(());
        }
        Err(Error::external("the task is no longer given to this worker").target(task.to_string()))
    }
}

impl Cluster {
    pub(in crate::runtime) fn new(config: ConfigTopic, parts: ClusterParts) -> Arc<Self> {
        let config = Arc::new(config);
        Arc::new(Self {
            fence: ZombieFence::new(
                parts.log.clone(),
                config.clone(),
                parts.group.clone(),
                parts.producer_settings.clone(),
            ),
            config,
            changing: tokio::sync::Mutex::default(),
            role: watch::Sender::new(Role::Unsettled),
            is_sessioned: AtomicBool::default(),
            held: Mutex::default(),
            parts,
        })
    }

    /// The protocol that the group has agreed on.
    pub(super) fn set_protocol(&self, protocol: ConnectProtocol) {
        let is_sessioned = protocol == ConnectProtocol::Sessioned;
        self.is_sessioned.store(is_sessioned, Ordering::Release);
    }

    /// The key that signs requests between workers; `None` if there is none that can be read.
    fn session_key(&self) -> Option<SessionKey> {
        let view = self.view();
        let read = SessionKey::from_record(view.session_key.as_ref()?);
        let warned = read.inspect_err(|failure| warn!(error = failure.trace(), "session key"));
        warned.ok()
    }

    /// As the leader, makes a session key if there is none or if it is too old.
    pub(super) async fn renew_session_key(&self) -> Result<()> {
        let options = &self.parts.signing;
        let (algorithm, now) = (options.key_generation, self.parts.clock.now());
        let is_due = |key: &SessionKey| key.is_due(now, options.key_lifetime, algorithm);
        let is_needed = self.is_sessioned.load(Ordering::Acquire);
        if !is_needed || self.session_key().is_some_and(|key| !is_due(&key)) {
            return Ok(());
        }
        let key = SessionKey::generate(algorithm, options.key_bits, now)?;
        self.config.put_session_key(key.to_record()).await
    }

    /// How a request to another worker is signed: not at all unless the group has agreed on it.
    fn signed(&self) -> Result<Option<(SessionKey, MacAlgorithm)>> {
        if !self.is_sessioned.load(Ordering::Acquire) {
            return Ok(None);
        }
        let missing = || Error::external("the leader has not made a session key yet");
        let key = self.session_key().ok_or_else(missing)?;
        Ok(Some((key, self.parts.signing.signature)))
    }

    /// Checks the signature of a request of another worker.
    ///
    /// # Errors
    /// It is refused.
    pub(super) fn check_signature(
        &self,
        signature: Option<&RequestSignature>,
    ) -> Result<(), HerderError> {
        if !self.is_sessioned.load(Ordering::Acquire) {
            return Ok(());
        }
        let key = self.session_key();
        RequestSignature::check(signature, &self.parts.signing.accepted, key.as_ref())
    }

    /// Whether this worker is in its group now.
    pub(super) fn is_member(&self) -> bool {
        self.held().check_member().is_ok()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// By this it is known whether the worker is in the group.
    pub(super) fn set_session(&self, session: Arc<dyn GroupSession>) {
        self.held().session = Some(session);
    }

    /// The worker has this, and nothing else.
    pub(super) fn hold(&self, work: Work) {
        self.held().work = work;
    }

    /// A leader that was fenced out of the config topic, though it leads, takes its place back.
    ///
    /// # Errors
    /// What the log says.
    pub(super) async fn take_lead_back(&self) -> Result<()> {
        if !self.config.is_fenced() {
            return Ok(());
        }
        self.held().check_member()?;
        self.config.lead().await
    }

    pub(super) fn set_role(&self, role: Role) {
        self.role.send_replace(role);
    }

    pub(super) fn view(&self) -> Arc<ClusterConfig> {
        self.config.view()
    }

    /// What this worker is, once the group is shared.
    ///
    /// # Errors
    /// It takes too long: nobody knows who leads.
    pub(super) async fn role(&self) -> Result<Role, HerderError> {
        let mut role = self.role.subscribe();
        let settled = role.wait_for(|role| !matches!(role, Role::Unsettled));
        match tokio::time::timeout(self.parts.patience, settled).await {
            Ok(Ok(role)) => Ok(role.clone()),
            _ => Err(HerderError::Forward { url: None }),
        }
    }

    /// Whether this worker leads now.
    pub(super) fn leads(&self) -> bool {
        matches!(*self.role.borrow(), Role::Leader(_))
    }

    /// Makes sure that this worker leads.
    ///
    /// # Errors
    /// Another does: it must be asked.
    pub(super) async fn must_lead(&self) -> Result<(), HerderError> {
        match self.role().await? {
            Role::Follower { leader_url } => Err(HerderError::Forward {
                url: Some(leader_url),
            }),
            Role::Leader(_) | Role::Unsettled => Ok(()),
        }
    }
}

/// Reads the config topic as long as the worker runs.
pub(super) async fn follow(cluster: Arc<Cluster>, stop: CancellationToken) {
    let mut failures = 0;
    while !stop.is_cancelled() {
        match cluster.config.follow().await {
            Ok(()) => failures = 0,
            Err(failure) => {
                failures += 1;
                warn!(
                    error = failure.trace(),
                    "the config topic could not be read"
                );
                let pause = tokio::time::sleep(PAUSES.pause(failures, &failure));
                let _stopped = stop.run_until_cancelled(pause).await;
            }
        }
    }
}

/// All connectors and tasks that there are.
pub(super) fn configured(view: &ClusterConfig) -> Work {
    let mut work = Work::default();
    for (name, connector) in &view.connectors {
        let name: Arc<str> = name.as_str().into();
        let tasks = (0..connector.task_count()).map(|task| TaskId {
            connector: name.clone(),
            task,
        });
        work.tasks.extend(tasks);
        work.connectors.insert(name);
    }
    work
}

#[async_trait]
impl TaskCommitter for Cluster {
    async fn commit(&self, name: &str, config: &ConfigMap, count: u32) -> Result<()> {
        let role = self.role_for_work().await?;
        let _nothing_else = match role {
            Role::Follower { .. } => None,
            Role::Leader(_) | Role::Unsettled => Some(self.changing.lock().await),
        };
        self.config.refresh().await?;
        let view = self.view();
        let due = view.connectors.get(name);
        let Some(tasks) = due.and_then(|known| due_tasks(known, config, count)) else {
            return Ok(());
        };
        match role {
            Role::Follower { leader_url } => {
                self.ask_leader(&leader_url, name, Asked::PutTasks(&tasks))
                    .await
            }
            Role::Leader(_) | Role::Unsettled if self.leads() => {
                self.config.put_tasks(name, &tasks).await
            }
            Role::Leader(_) | Role::Unsettled => {
                Err(Error::external("the group has been shared anew meanwhile"))
            }
        }
    }
}

impl Cluster {
    /// What this worker is, for its own work.
    async fn role_for_work(&self) -> Result<Role> {
        let role = self.role().await;
        role.map_err(|error| Error::external(error.to_string()))
    }

    /// Asks the leader; once more if the key signed with may have been replaced on the way.
    async fn ask_leader(&self, url: &str, connector: &str, asked: Asked<'_>) -> Result<()> {
        let mut newer_keys = NEWER_KEYS;
        loop {
            let signed = self.signed()?;
            let signing = signed.as_ref().map(|(key, algorithm)| (key, *algorithm));
            let fellows = &self.parts.fellows;
            let answer = match asked {
                Asked::PutTasks(tasks) => {
                    let put = fellows.put_task_configs(url, connector, tasks, signing);
                    put.await
                }
                Asked::Fence => fellows.fence_zombies(url, connector, signing).await,
            };
            match answer {
                Err(refusal) if is_about_key(&refusal) && newer_keys > 0 => newer_keys -= 1,
                answer => return answer,
            }
            self.config.refresh().await?;
        }
    }
}

/// What is asked of the leader for a connector.
#[derive(Clone, Copy)]
enum Asked<'a> {
    PutTasks(&'a [ConfigMap]),
    Fence,
}

/// How often a request is signed again because the group may have a newer key.
const NEWER_KEYS: u32 = 2;

/// Whether a signature was refused that the next key may make good.
fn is_about_key(refusal: &Error) -> bool {
    refusal.kind() == ErrorKind::Auth && refusal.is_retriable()
}

#[async_trait]
impl TaskGate for Cluster {
    /// The leader fences: a worker that is not asks it.
    async fn fence(&self, connector: &str, config: &ConfigMap) -> Result<()> {
        match self.role_for_work().await? {
            Role::Follower { leader_url } => {
                self.ask_leader(&leader_url, connector, Asked::Fence).await
            }
            Role::Leader(_) | Role::Unsettled => {
                self.held().check_member()?;
                self.fence.fence(connector, config).await
            }
        }
    }

    async fn generation(&self, connector: &str) -> Result<i64> {
        self.fence.generation(connector).await
    }

    fn check_held(&self, task: &TaskId) -> Result<()> {
        self.held().check_task(task)
    }
}

/// The tasks to commit of a connector that was started with `config` and has `count` of them; `None` if they are committed,
/// or if it has been changed meanwhile: then it makes its own. Tasks of one that was paused meanwhile are paused.
fn due_tasks(known: &ClusterConnector, config: &ConfigMap, count: u32) -> Option<Vec<ConfigMap>> {
    let is_outdated =
        *known.config != *config || TargetState::of(&known.target_state) == TargetState::Stopped;
    (!is_outdated && tasks_differ(known, count)).then(|| task_configs(known, count))
}

/// Whether a connector with `count` tasks has others than those that are committed. Task configs that a Java worker has made
/// stay as they are as long as config and number of tasks do, unless nobody could tell after compaction that they belong
/// together.
fn tasks_differ(known: &ClusterConnector, count: u32) -> bool {
    known.tasks.as_ref().is_none_or(|tasks| {
        let may_be_lost =
            known.revision > tasks.revision && !are_told(&tasks.configs, &known.config);
        known.task_count() != count || tasks.made_from != known.config || may_be_lost
    })
}

/// Whether the tasks that another worker has made of a connector are not committed yet.
///
/// # Errors
/// It is stopped: it has none.
pub(super) fn are_due(known: &ClusterConnector, tasks: &[ConfigMap]) -> Result<bool, HerderError> {
    if TargetState::of(&known.target_state) == TargetState::Stopped && !tasks.is_empty() {
        return Err(HerderError::stale());
    }
    let committed = known.tasks.as_ref();
    let committed = committed.filter(|committed| committed.made_from == known.config);
    Ok(committed.is_none_or(|committed| *committed.configs != tasks))
}

/// What tasks are told: here all that their connector is told, and their class as known from tasks before, or by
/// custom. A Java connector makes its own task configs anew when it starts.
fn task_configs(known: &ClusterConnector, count: u32) -> Vec<ConfigMap> {
    const CONNECTOR: &str = "connector.class";
    let class = known.config.get(CONNECTOR);
    let before = known.tasks.as_ref();
    let before = before.filter(|tasks| tasks.made_from.get(CONNECTOR) == class);
    let task = before.and_then(|tasks| tasks.configs.first()?.get(TASK_CLASS).cloned());
    let task = task.or_else(|| Some(task_class(class?)));
    let mut config = (*known.config).clone();
    config.extend(task.map(|task| (TASK_CLASS.to_owned(), task)));
    (0..count).map(|_| config.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::CommittedTasks;

    fn config(pairs: &[(&str, &str)]) -> Arc<ConfigMap> {
        let pairs = pairs.iter();
        Arc::new(
            pairs
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    fn connector(tasks: Option<&[(&str, &str)]>) -> ClusterConnector {
        let own = config(&[("connector.class", "FileStreamSink"), ("file", "a")]);
        ClusterConnector {
            tasks: tasks.map(|task| CommittedTasks {
                configs: Arc::new(vec![(*config(task)).clone(); 2]),
                revision: 7,
                made_from: own.clone(),
            }),
            config: own,
            revision: 3,
            target_state: "STARTED".to_owned(),
        }
    }

    #[test]
    fn tasks_that_a_java_worker_has_made_stay_as_long_as_their_connector_does() {
        let theirs = [("task.class", "org.example.Task"), ("only", "theirs")];
        let mut known = connector(Some(&theirs));
        assert!(!tasks_differ(&known, 2));
        assert!(tasks_differ(&known, 3));
        known.config = config(&[("connector.class", "FileStreamSink"), ("file", "b")]);
        assert!(tasks_differ(&known, 2));
        let tasks = task_configs(&known, 1);
        assert_eq!(tasks.len(), 1);
        assert_eq!(tasks[0]["task.class"], "org.example.Task");
        assert_eq!(tasks[0]["file"], "b");
        assert!(!tasks[0].contains_key("only"));
    }

    #[test]
    fn tasks_that_compaction_would_part_from_their_connector_are_committed_again() {
        let theirs = [("task.class", "org.example.Task"), ("only", "theirs")];
        let mut known = connector(Some(&theirs));
        known.revision = 8;
        assert!(tasks_differ(&known, 2), "the config was written again");
        let own = [("connector.class", "FileStreamSink"), ("file", "a")];
        let own = [own[0], own[1], ("task.class", "Task")];
        let mut known = connector(Some(&own));
        known.revision = 8;
        assert!(!tasks_differ(&known, 2), "they can be told");
    }

    #[test]
    fn tasks_are_committed_only_for_what_the_connector_was_started_with() {
        let mut known = connector(None);
        let started = known.config.clone();
        let older = config(&[("connector.class", "FileStreamSink")]);
        assert_eq!(due_tasks(&known, &older, 2), None);
        for target in ["STARTED", "PAUSED"] {
            known.target_state = target.to_owned();
            let due = due_tasks(&known, &started, 2).unwrap();
            assert_eq!(are_due(&known, &due), Ok(true), "{target}");
        }
        known.target_state = "STOPPED".to_owned();
        assert_eq!(due_tasks(&known, &started, 2), None);
        let refused = are_due(&known, &[ConfigMap::new()]);
        assert_eq!(refused, Err(HerderError::stale()));
        assert_eq!(are_due(&known, &[]), Ok(true));
    }

    #[test]
    fn tasks_of_another_worker_are_committed_once() {
        let task = [("task.class", "org.example.Task")];
        let mut known = connector(Some(&task));
        let tasks = known.tasks.as_ref().unwrap().configs.clone();
        assert_eq!(are_due(&known, &tasks), Ok(false));
        assert_eq!(are_due(&known, &tasks[1..]), Ok(true));
        known.config = config(&[("connector.class", "FileStreamSource")]);
        assert_eq!(are_due(&known, &tasks), Ok(true));
    }

    #[test]
    fn a_connector_without_tasks_gets_some_of_the_customary_class() {
        let known = connector(None);
        assert!(tasks_differ(&known, 0) && tasks_differ(&known, 1));
        let tasks = task_configs(&known, 2);
        assert_eq!(tasks.len(), 2);
        assert_eq!(
            tasks[1]["task.class"],
            "org.apache.kafka.connect.file.FileStreamSinkTask"
        );
    }

    struct Session(AtomicBool);

    impl GroupSession for Session {
        fn is_alive(&self) -> bool {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn a_task_is_held_while_the_session_lasts_and_it_is_given_to_this_worker() {
        let task = |task| TaskId {
            connector: "a".into(),
            task,
        };
        let mut held = Held::default();
        held.work.tasks.insert(task(1));
        assert!(held.check_task(&task(1)).is_err(), "not joined");
        let session = Arc::new(Session(AtomicBool::new(true)));
        held.session = Some(session.clone());
        assert!(held.check_task(&task(1)).is_ok());
        assert!(held.check_task(&task(0)).is_err(), "another's");
        session.0.store(false, Ordering::Relaxed);
        assert!(held.check_task(&task(1)).is_err(), "expired");
    }

    #[test]
    fn a_worker_that_runs_nothing_is_known_too() {
        let mut owners = Owners::default();
        for url in ["http://a:8083/", "https://b:1", "http://[::1]:2/"] {
            owners.add(url, &Work::default());
        }
        let known: Vec<_> = owners.workers.iter().map(String::as_str).collect();
        assert_eq!(known, ["[::1]:2", "a:8083", "b:1"]);
    }

    #[test]
    fn all_that_is_configured_is_shared() {
        let view = ClusterConfig {
            connectors: BTreeMap::from([
                ("a".to_owned(), connector(Some(&[]))),
                ("b".to_owned(), connector(None)),
            ]),
            ..ClusterConfig::default()
        };
        let work = configured(&view);
        assert_eq!((work.connectors.len(), work.tasks.len()), (2, 2));
    }
}
