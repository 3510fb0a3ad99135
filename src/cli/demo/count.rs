//! What arrived where, counted anew each time: from the log's ends and from what the target holds.

use anyhow::Result;

use super::target::Target;
use crate::cli::log_topics;
use crate::kafka::Log;

/// Events at each stage.
#[derive(Debug)]
pub(super) struct Counts {
    in_log: i64,
    in_target: i64,
    things: usize,
}

impl Counts {
    pub(super) async fn take(log: &dyn Log, topic: &str, target: &Target) -> Result<Self> {
        let in_log = log_topics::records(log, topic).await?;
        let arrived = target.arrived().await?;
        Ok(Self {
            in_log,
            in_target: arrived.events,
            things: arrived.things.len(),
        })
    }

    pub(super) fn agree(&self) -> bool {
        self.in_log == self.in_target
    }

    pub(super) fn table(&self, target: &Target) -> String {
        let verdict = if self.agree() {
            "every event has arrived once"
        } else {
            "NOT ALL HAVE ARRIVED"
        };
        let (in_log, in_target) = (self.in_log, self.in_target);
        let there = match target {
            Target::S3(_) => format!(
                "lines in S3        {in_target:>8}  in {} objects",
                self.things
            ),
            Target::Snowflake(_) => format!("rows in the table  {in_target:>8}"),
        };
        format!("\nevents in the log  {in_log:>8}\n{there}\n{verdict}\n")
    }
}
