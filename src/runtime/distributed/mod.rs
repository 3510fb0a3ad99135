//! Several workers in one `group.id` share its connectors and tasks, over Kafka Connect's own group protocol.
//!
//! [`protocol`] is what the members tell each other, [`assignor`] how the leader shares the work, [`signature`] how
//! requests between them are signed: all pure. [`fellow`] asks other workers' REST APIs.
//!
//! The config topic says what there is ([`cluster`]): every worker reads it, and what REST changes is written to it before
//! anything happens. One loop a worker ([`membership`]) joins the group, makes what runs here ([`running`]) what it was
//! given, and joins again when connectors or tasks come and go. REST ([`requests`]) is answered from the topics by every
//! worker; what only the leader or the owner of a part may do is forwarded.

pub mod assignor;
mod cluster;
pub mod fellow;
mod group;
mod membership;
pub mod protocol;
mod requests;
mod running;
pub mod signature;
pub mod signing_options;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use connect_core::Error;
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(super) use self::cluster::{Cluster, ClusterParts};
use self::membership::Membership;
use self::running::Locals;
use super::cluster_options::ClusterOptions;
use super::desk::Desk;
use super::environment::Environment;
use super::log_levels::LogLevels;
use super::metrics::Rebalances;

/// The herder of a worker of a cluster.
pub(super) struct DistributedHerder {
    desk: Desk,
    cluster: Arc<Cluster>,
    rebalances: Rebalances,
    /// What runs here.
    locals: Locals,
    ready: Arc<AtomicBool>,
    stop: CancellationToken,
    /// Why the worker cannot be in its group.
    failure: Mutex<oneshot::Receiver<Error>>,
    member: Mutex<Option<JoinHandle<()>>>,
}

/// What a member of a cluster is known by, and what it is told.
pub(super) struct MemberOptions {
    pub(super) cluster: ClusterOptions,
    /// Where its REST API is: `http://host:port/`.
    pub(super) url: String,
    pub(super) levels: Arc<LogLevels>,
}

impl DistributedHerder {
    /// Joins the group and goes on by itself.
    pub(super) fn start(
        environment: Arc<Environment>,
        cluster: Arc<Cluster>,
        options: MemberOptions,
    ) -> Self {
        let (locals, ready) = (Locals::default(), Arc::new(AtomicBool::new(false)));
        let stop = CancellationToken::new();
        let (failed, failure) = oneshot::channel();
        let rebalances = Rebalances::new(&options.cluster.client_id);
        let membership = Membership::new(membership::Parts {
            environment: environment.clone(),
            cluster: cluster.clone(),
            locals: locals.clone(),
            ready: ready.clone(),
            rebalances: rebalances.clone(),
            stop: stop.clone(),
            options,
        });
        let living = live(membership, failed, cluster.clone(), stop.clone());
        Self {
            desk: Desk::new(environment),
            cluster,
            rebalances,
            locals,
            ready,
            stop,
            failure: Mutex::new(failure),
            member: Mutex::new(Some(tokio::spawn(living))),
        }
    }

    /// Waits until the worker cannot be in its group: for ever, if all is well.
    pub(super) async fn lost(&self) -> Error {
        match (&mut *self.failure.lock().await).await {
            Ok(failure) => failure,
            Err(_ended) if self.stop.is_cancelled() => std::future::pending().await,
            Err(_ended) => Error::internal(
                "the membership in the group panicked: a defect in Sluice, see the log",
            ),
        }
    }

    /// Stops all that runs here in good order, leaves the group and ends the stores.
    pub(super) async fn shutdown(&self) {
        self.ready.store(false, Ordering::Release);
        self.stop.cancel();
        if let Some(member) = self.member.lock().await.take() {
            let _ended = member.await;
        }
        self.cluster.config.close().await;
        self.desk.environment.offsets.close().await;
    }
}

/// The membership, which reads the config topic beside: if one of the two panics, both end, and the worker hears of it.
async fn live(
    membership: Membership,
    failed: oneshot::Sender<Error>,
    cluster: Arc<Cluster>,
    stop: CancellationToken,
) {
    let following = async {
        cluster::follow(cluster, stop).await;
        // The group is left in good order first.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = membership.run(failed) => {}
        () = following => {}
    }
}
