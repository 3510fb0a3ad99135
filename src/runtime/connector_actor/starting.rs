//! The start of a connector, which may take long.
//!
//! Holds always: a start that is for nothing (something else is wanted of the connector, or it is cut off) is given up at
//! once and says nothing of the connector.

use std::sync::Arc;
use std::time::Duration;

use connect_core::config::{ConfigMap, connector_from_map};
use connect_core::plugin::{Connector, ConnectorType};
use connect_core::{Error, Result};

use super::{Command, ConnectorActor, Started, WAITING_COMMANDS};
use crate::runtime::topic_creation::TopicCreation;

/// How long a connector may take to look at the outside world before it counts as failed.
const START_DEADLINE: Duration = Duration::from_secs(60);

impl ConnectorActor {
    /// Starts the connector and keeps it.
    ///
    /// # Errors
    /// It cannot be started, or [is superseded](Self::is_superseded).
    pub(super) async fn start_connector(
        &mut self,
        config: &ConfigMap,
    ) -> Result<Arc<dyn Connector>> {
        let makes_topics = self.environment.settings.config.topic_creation;
        let outcome = match self.plugin.kind {
            ConnectorType::Source if makes_topics => TopicCreation::of(config).map(|_checked| ()),
            _ => Ok(()),
        };
        let outcome = match outcome {
            Ok(()) => self.try_to_start(config).await,
            Err(wrong) => Err(wrong),
        };
        match &outcome {
            _ if self.is_superseded() => {}
            Ok(_) => self.environment.connector_startups.succeeded(),
            Err(_) => self.environment.connector_startups.failed(),
        }
        let connector = outcome?;
        self.connector = Some(Started {
            connector: connector.clone(),
            config: config.clone(),
        });
        Ok(connector)
    }

    /// What is told meanwhile waits, except for what its tasks are to be here.
    async fn try_to_start(&mut self, config: &ConfigMap) -> Result<Arc<dyn Connector>> {
        let starting = try_to_start(config);
        tokio::pin!(starting);
        while !self.is_superseded() {
            tokio::select! {
                biased;
                () = self.cut_off.cancelled() => {}
                outcome = &mut starting => return outcome,
                command = self.commands.recv(), if self.waiting.len() < WAITING_COMMANDS => {
                    match command {
                        Some(command) => self.hear_while_starting(command).await,
                        None => break,
                    }
                }
            }
        }
        Err(Error::external("given up: something else is wanted").operation("start connector"))
    }

    async fn hear_while_starting(&mut self, command: Command) {
        match command {
            Command::Become(desired, done) if self.desired.has_connector_of(&desired) => {
                self.replace_desired(desired, done).await;
                self.settle_tasks();
            }
            command => self.waiting.push_back(command),
        }
    }

    /// Whether what the actor is doing is for nothing: what it was told, or that it is cut off, says what follows.
    pub(super) fn is_superseded(&self) -> bool {
        let supersedes =
            |command: &Command| matches!(command, Command::Become(..) | Command::Shutdown(_));
        self.cut_off.is_cancelled() || self.waiting.iter().any(supersedes)
    }
}

async fn try_to_start(config: &ConfigMap) -> Result<Arc<dyn Connector>> {
    let connector: Arc<dyn Connector> = connector_from_map(config)?.into();
    tokio::time::timeout(START_DEADLINE, connector.start())
        .await
        .map_err(|_| {
            Error::external(format!("no end after {START_DEADLINE:?}")).operation("start connector")
        })??;
    Ok(connector)
}
