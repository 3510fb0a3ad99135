//! What is told to the actors of what runs here, and what becomes of those that do not obey.

use connect_core::clock::SystemClock;
use connect_core::config::{ConfigDef, ConfigMap};
use connect_core::plugin::{ConnectorType, TaskId};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::runtime::healing::Healer;
use crate::runtime::metrics::Startups;
use crate::runtime::status::{BoardOwner, StatusBoard};
use crate::runtime::status_writer::StatusWriter;
use crate::storage::CommittedTasks;

fn connector(target: &str, tasks: Option<usize>) -> ClusterConnector {
    let config = Arc::new(ConfigMap::new());
    ClusterConnector {
        tasks: tasks.map(|count| CommittedTasks {
            configs: Arc::new(vec![ConfigMap::new(); count]),
            revision: 9,
            made_from: config.clone(),
        }),
        config,
        revision: 4,
        target_state: target.to_owned(),
    }
}

fn work(connectors: &[&str], tasks: &[(&str, u32)]) -> Work {
    let task = |&(connector, task): &(&str, u32)| TaskId {
        connector: connector.into(),
        task,
    };
    Work {
        connectors: connectors.iter().map(|name| Arc::from(*name)).collect(),
        tasks: tasks.iter().map(task).collect(),
    }
}

#[test]
fn what_was_given_runs_here_as_far_as_it_is_there() {
    let given = work(&["a"], &[("a", 1), ("a", 7), ("b", 0)]);
    let wanted = desired("a", &connector("PAUSED", Some(3)), &given).unwrap();
    let parts = Parts {
        connector: true,
        tasks: BTreeSet::from([1]),
        count: 3,
        commit: 9,
        made_from: Arc::default(),
    };
    assert_eq!(wanted.share, Share::Parts(parts));
    assert_eq!((wanted.target, wanted.revision), (TargetState::Paused, 4));
    let other = desired("b", &connector("STARTED", None), &given);
    assert_eq!(other, None, "its tasks are not committed");
    assert_eq!(desired("c", &connector("STARTED", Some(1)), &given), None);
}

static PLUGINS: [ConnectorPlugin; 2] = [plugin("One"), plugin("Other")];

const fn plugin(class: &'static str) -> ConnectorPlugin {
    ConnectorPlugin {
        class,
        aliases: &[],
        kind: ConnectorType::Sink,
        version: "1",
        definition: ConfigDef::default,
    }
}

fn actor() -> (ActorHandle, mpsc::Receiver<Command>) {
    let (commands, received) = mpsc::channel(1);
    let clock = Arc::new(SystemClock);
    let status = StatusBoard::new(BoardOwner {
        name: "a".to_owned(),
        plugin: &PLUGINS[0],
        worker_id: "here".to_owned(),
        clock: clock.clone(),
        startups: Startups::default(),
        healer: Healer::new(None, commands.downgrade(), clock),
        statuses: StatusWriter::default(),
    });
    let cut_off = CancellationToken::new();
    let actor = ActorHandle {
        commands,
        status,
        cut_off,
    };
    (actor, received)
}

fn wanted(target: &str) -> Desired {
    let given = work(&["a"], &[]);
    desired("a", &connector(target, None), &given).unwrap()
}

fn locals(actor: &ActorHandle) -> Locals {
    let locals = Locals::default();
    let local = Local {
        plugin: &PLUGINS[0],
        actor: actor.clone(),
        desired: wanted("STARTED"),
    };
    locals.lock().insert("a".to_owned(), local);
    locals
}

#[test]
fn a_connector_is_told_what_is_new_and_one_of_another_class_takes_its_place() {
    let (actor, _received) = actor();
    let locals = locals(&actor);
    let change = |plugin, target| locals.change("a", plugin, &wanted(target));
    assert!(matches!(change(&PLUGINS[0], "STARTED"), Change::None));
    assert!(matches!(change(&PLUGINS[0], "PAUSED"), Change::Become(_)));
    assert!(matches!(change(&PLUGINS[1], "PAUSED"), Change::Replace(_)));
    // Until the one before has ended there is none.
    assert!(locals.get("a").is_none());
    assert!(matches!(change(&PLUGINS[1], "PAUSED"), Change::Start));
}

#[test]
fn an_actor_that_ended_by_a_defect_is_started_anew_though_nothing_else_is_wanted() {
    let (actor, received) = actor();
    let locals = locals(&actor);
    drop(received);
    let change = locals.change("a", &PLUGINS[0], &wanted("STARTED"));
    assert!(matches!(change, Change::Start));
    assert!(actor.cut_off.is_cancelled());
}

#[tokio::test]
async fn what_takes_too_long_to_stop_is_cut_off_and_is_there_no_more() {
    let (actor, received) = actor();
    let locals = locals(&actor);
    let (_done, end) = oneshot::channel();
    let ending = Ending {
        name: "a".to_owned(),
        actor: actor.clone(),
        end,
    };
    drop(received);
    locals.ended(vec![ending], Instant::now()).await;
    assert!(actor.cut_off.is_cancelled() && locals.get("a").is_none());
    let change = locals.change("a", &PLUGINS[0], &wanted("STARTED"));
    assert!(matches!(change, Change::Start));
}

#[test]
fn all_is_cut_off_at_once() {
    let (actor, _received) = actor();
    let locals = locals(&actor);
    assert_eq!(locals.cut_off().len(), 1);
    assert!(actor.cut_off.is_cancelled() && locals.actors().is_empty());
}
