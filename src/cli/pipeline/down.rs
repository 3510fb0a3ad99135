//! `sluice pipeline down`: the sources end, the sinks write what is in the log, then all connectors go.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use reqwest::Method;
use serde_json::Value;

use super::status::lag;
use crate::cli::deployment::{has_failed, status_of, text};
use crate::cli::output::print_text;
use crate::cli::rest_client::{RestClient, connector_path};

/// A worker looks at the ends of the log every five seconds: a lag of zero counts once it has been seen this long.
const SETTLED: Duration = Duration::from_secs(7);

/// How to take a pipeline down.
pub(super) struct Down {
    /// How long the sinks have to write what is in the log.
    pub(super) drain: Duration,
    /// Pause the connectors instead of removing them.
    pub(super) keep: bool,
}

impl Down {
    /// Takes down the connectors with these statuses; those in the state MISSING are passed over.
    pub(super) async fn run(&self, client: &RestClient, statuses: &[Value]) -> Result<ExitCode> {
        let names = |kind: &str| -> Vec<&str> {
            let of_kind = statuses
                .iter()
                .filter(|status| text(status, "/type") == kind);
            of_kind.map(|status| text(status, "/name")).collect()
        };
        let (sources, sinks) = (names("source"), names("sink"));
        if sources.is_empty() && sinks.is_empty() {
            print_text("nothing is deployed\n");
            return Ok(ExitCode::SUCCESS);
        }
        let end = if self.keep { "/pause" } else { "/stop" };
        for name in &sources {
            client
                .call(Method::PUT, &connector_path(name, end), None)
                .await?;
            print_text(&format!(
                "{name}: {}\n",
                if self.keep { "paused" } else { "stopped" }
            ));
        }
        let left = self.drain(client, &sinks).await?;
        for name in sinks.iter().chain(&sources) {
            self.remove(client, name).await?;
        }
        print_text(&left_text(&left));
        Ok(ExitCode::SUCCESS)
    }

    async fn remove(&self, client: &RestClient, name: &str) -> Result<()> {
        let (method, path, done) = if self.keep {
            (Method::PUT, "/pause", "paused")
        } else {
            (Method::DELETE, "", "removed")
        };
        client
            .call(method, &connector_path(name, path), None)
            .await?;
        print_text(&format!("{name}: {done}\n"));
        Ok(())
    }

    /// Waits until no sink has anything left to write, or the time is up; what each has left.
    async fn drain(&self, client: &RestClient, sinks: &[&str]) -> Result<Vec<Left>> {
        let until = Instant::now() + self.drain;
        let mut settled_since = Instant::now();
        let mut last_said = String::new();
        loop {
            let mut left = Vec::new();
            for name in sinks {
                left.extend(Left::of(client, name).await?);
            }
            let busy = left.iter().any(Left::may_go_down);
            if busy {
                settled_since = Instant::now();
            }
            let is_over = settled_since.elapsed() >= SETTLED.min(self.drain);
            if is_over || left.is_empty() || Instant::now() >= until {
                return Ok(left);
            }
            let said = left.iter().filter_map(Left::progress).collect::<String>();
            if said != last_said {
                print_text(&said);
                last_said = said;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

/// What a sink has not written yet.
struct Left {
    name: String,
    /// `None`: the worker does not tell.
    records: Option<u64>,
    /// Why it will not write them now.
    hindrance: Option<&'static str>,
}

impl Left {
    /// `None` if the connector has gone.
    async fn of(client: &RestClient, name: &str) -> Result<Option<Self>> {
        let Some(status) = status_of(client, name).await? else {
            return Ok(None);
        };
        let hindrance = match text(&status, "/connector/state") {
            "PAUSED" | "STOPPED" => Some("it is paused"),
            _ if has_failed(&status) => Some("it has failed"),
            _ => None,
        };
        Ok(Some(Self {
            name: name.to_owned(),
            records: lag(&status),
            hindrance,
        }))
    }

    fn may_go_down(&self) -> bool {
        self.hindrance.is_none() && self.records.is_some_and(|records| records > 0)
    }

    fn progress(&self) -> Option<String> {
        let records = self.records.filter(|records| *records > 0)?;
        Some(format!("{}: {records} records to write\n", self.name))
    }
}

/// What is said at the end of what was not written, and of what is not known.
fn left_text(left: &[Left]) -> String {
    let line = |one: &Left| match (one.records, one.hindrance) {
        (Some(0), _) => None,
        (Some(records), hindrance) => {
            let why = hindrance.map(|why| format!(": {why}")).unwrap_or_default();
            Some(format!(
                "{} has not written {records} records{why}. They stay in the log; it goes on there when it is back\n",
                one.name
            ))
        }
        (None, _) => Some(format!(
            "what {} had left is not known: the worker does not tell its lag\n",
            one.name
        )),
    };
    left.iter().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(records: Option<u64>, hindrance: Option<&'static str>) -> Left {
        let name = "sink".to_owned();
        Left {
            name,
            records,
            hindrance,
        }
    }

    #[test]
    fn only_what_can_still_be_written_is_waited_for() {
        assert!(left(Some(3), None).may_go_down());
        assert!(!left(Some(3), Some("it has failed")).may_go_down());
        assert!(!left(Some(0), None).may_go_down());
        assert!(!left(None, None).may_go_down());
    }

    #[test]
    fn what_is_left_is_said_and_nothing_else() {
        assert_eq!(left_text(&[left(Some(0), None)]), "");
        let said = left_text(&[left(Some(3), Some("it has failed"))]);
        assert!(
            said.contains("not written 3 records: it has failed"),
            "{said}"
        );
        assert!(left_text(&[left(None, None)]).contains("not known"));
    }
}
