//! Offsets of connectors of a worker alone.
//!
//! Holds always: offsets are changed only while a connector is stopped and its tasks have ended.

use std::sync::Arc;
use std::time::Duration;

use connect_core::config::ConfigMap;
use tokio::sync::{OwnedMutexGuard, oneshot};

use super::StandaloneHerder;
use crate::runtime::connector_actor::Command;
use crate::runtime::desk::{Answer, not_found, not_stopped};
use crate::runtime::herder::HerderError;
use crate::runtime::info::{ConnectorOffset, ConnectorOffsets, TargetState};

/// How long tasks may take to end once their connector is stopped.
const STOP_DEADLINE: Duration = Duration::from_secs(60);

/// A stopped connector, which stays so as long as this is held.
struct Stopped {
    _held: Option<OwnedMutexGuard<()>>,
    config: Arc<ConfigMap>,
}

impl StandaloneHerder {
    pub(super) async fn read_offsets(&self, name: &str) -> Answer<ConnectorOffsets> {
        let config = {
            let connectors = self.connectors.lock().await;
            let managed = connectors.get(name).ok_or_else(|| not_found(name))?;
            managed.config.clone()
        };
        self.desk.read_offsets(name, &config).await
    }

    pub(super) async fn change_offsets(
        &self,
        name: &str,
        offsets: &[ConnectorOffset],
    ) -> Answer<String> {
        let _stage = self.desk.modifying_offsets(name);
        let stopped = self.stopped(name).await?;
        let desk = &self.desk;
        desk.change_offsets(name, &stopped.config, offsets).await
    }

    pub(super) async fn remove_offsets(&self, name: &str) -> Answer<String> {
        let _stage = self.desk.modifying_offsets(name);
        let stopped = self.stopped(name).await?;
        self.desk.remove_offsets(name, &stopped.config).await
    }

    /// Waits until nobody changes offsets of a connector, and keeps others from it; `None` if there is no such connector.
    pub(super) async fn no_offsets_change(&self, name: &str) -> Option<OwnedMutexGuard<()>> {
        let changes = self.connectors.lock().await.get(name)?.offsets.clone();
        Some(changes.lock_owned().await)
    }

    /// The connector if it is stopped and nothing of it runs any more.
    async fn stopped(&self, name: &str) -> Answer<Stopped> {
        let held = self.no_offsets_change(name).await;
        let (done, settled) = oneshot::channel();
        let config = {
            let connectors = self.to_change().await?;
            let managed = connectors.get(name).ok_or_else(|| not_found(name))?;
            if managed.target != TargetState::Stopped {
                return Err(not_stopped(name));
            }
            managed.tell(Command::Settled(done)).await?;
            managed.config.clone()
        };
        let waited = tokio::time::timeout(STOP_DEADLINE, settled).await;
        let _actor_left = waited.map_err(|_| still_running(name))?;
        Ok(Stopped {
            _held: held,
            config,
        })
    }
}

fn still_running(name: &str) -> HerderError {
    HerderError::Internal(format!(
        "The tasks of connector {name} have not ended within {STOP_DEADLINE:?}: try again"
    ))
}
