//! What is printed at the end: how long events took, and what is where.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Result;

use super::judgement::{Finding, Judgement, Row};
use super::latency::{Batch, Latencies, Rotation, shown};
use super::ledger::{Ledger, Made};
use super::plan::Stream;
use super::setup::Surroundings;
use super::stage::{LogStage, S3Stage, Stage};
use crate::cli::output::{Table, print_text};

/// What the end of a demo looks at.
pub(super) struct Report<'a> {
    pub(super) log: Arc<LogStage>,
    pub(super) streams: &'a [(Stream, Ledger)],
    pub(super) surroundings: &'a Surroundings,
}

impl Report<'_> {
    /// Prints all; true if each event is at each stage once.
    pub(super) async fn print(&self) -> Result<bool> {
        self.latencies().await?;
        let judgement = self.judgement().await?;
        print_text(&format!("\n{}", judgement.table().to_text(false)));
        let agrees = judgement.agrees();
        print_text(if agrees {
            "\nevery event is at every stage once\n"
        } else {
            "\nNOT EVERY EVENT IS AT EVERY STAGE ONCE\n"
        });
        let absent = |target: &&super::setup::Target| target.stage.is_none();
        for target in self.surroundings.targets.iter().filter(absent) {
            print_text(&format!(
                "{} was not part of this run: give its address with --postgres URL\n",
                target.name
            ));
        }
        Ok(agrees)
    }

    async fn judgement(&self) -> Result<Judgement> {
        let targets = &self.surroundings.targets;
        let mut stages = vec![self.log.name().to_owned()];
        stages.extend(targets.iter().map(|target| target.name.to_owned()));
        let mut rows = Vec::new();
        for (stream, ledger) in self.streams {
            let produced = ledger.ids();
            let held = self.log.ids(stream).await?;
            let mut findings = vec![Some(Finding::of(&produced, &held))];
            for target in targets {
                findings.push(match &target.stage {
                    Some(stage) => Some(Finding::of(&produced, &stage.ids(stream).await?)),
                    None => None,
                });
            }
            rows.push(Row {
                name: stream.name.clone(),
                produced: produced.len(),
                findings,
            });
        }
        Ok(Judgement { stages, rows })
    }

    async fn latencies(&self) -> Result<()> {
        let deliveries = self.streams.iter().flat_map(|(_, ledger)| ledger.all());
        let to_log: Latencies = deliveries
            .filter_map(|made| Some(made.delivery?.took))
            .collect();
        let log = self.log.name();
        let mut rows = vec![row(
            &to_log,
            format!("event → {log}"),
            "events: from making one to its acknowledgement",
        )];
        if let Some(s3) = &self.surroundings.s3 {
            let Times { due, made } = self.times(s3).await?;
            let of_batches = "objects: from when a batch is due to its object";
            let of_events = "events: from making one to its object";
            rows.push(row(&due, format!("{log} → S3"), of_batches));
            rows.push(row(&made, "event → S3".to_owned(), of_events));
        }
        let mut table = Table::new(&["LATENCY", "P50", "P99", "MAX", "MEASURED"]);
        let rows: Vec<_> = rows.into_iter().flatten().collect();
        if rows.is_empty() {
            return Ok(());
        }
        rows.into_iter().for_each(|row| table.row(row));
        print_text(&format!("\n{}", table.to_text(false)));
        Ok(())
    }

    /// The times of all objects, and of the events in them.
    async fn times(&self, s3: &S3Stage) -> Result<Times> {
        let sinks = self.surroundings.connectors.sinks.iter();
        let rotation = sinks.map(Rotation::of).find(Rotation::is_timed);
        let (mut due, mut waited) = (Vec::new(), Vec::new());
        for (stream, ledger) in self.streams {
            let made: HashMap<_, _> = ledger
                .all()
                .into_iter()
                .map(|made| (made.id.clone(), made))
                .collect();
            for object in s3.objects(stream).await? {
                let events: Vec<_> = object.ids.iter().filter_map(|id| made.get(id)).collect();
                let since = |time| object.appeared.duration_since(time).unwrap_or_default();
                waited.extend(events.iter().map(|made| since(made.made)));
                let due_at = batch(&events).and_then(|batch| rotation.as_ref()?.due(&batch));
                due.extend(due_at.map(since));
            }
        }
        Ok(Times {
            due: due.into_iter().collect(),
            made: waited.into_iter().collect(),
        })
    }
}

/// How long it took until objects were there.
struct Times {
    /// Since their batch was due.
    due: Latencies,
    /// Since each event in them was made.
    made: Latencies,
}

fn row(latencies: &Latencies, name: String, of: &str) -> Option<Vec<String>> {
    let at = |percent| latencies.percentile(percent).map(shown);
    let count = latencies.len();
    Some(vec![
        name,
        at(50)?,
        at(99)?,
        at(100)?,
        format!("{count} {of}"),
    ])
}

/// The batch of these events; `None` if there are none, or one is not known to be acknowledged.
fn batch(events: &[&Made]) -> Option<Batch> {
    let acknowledged: Option<Vec<SystemTime>> = events
        .iter()
        .map(|made| Some(made.delivery?.acknowledged))
        .collect();
    let acknowledged = acknowledged?;
    Some(Batch {
        events: events.len(),
        first_acknowledged: acknowledged.iter().copied().min()?,
        last_made: events.iter().map(|made| made.made).max()?,
        last_acknowledged: acknowledged.iter().copied().max()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::pipeline::demo::ledger::Delivery;
    use std::time::{Duration, UNIX_EPOCH};

    fn made(at: u64, took: u64) -> Made {
        let made = UNIX_EPOCH + Duration::from_millis(at);
        let took = Duration::from_millis(took);
        let acknowledged = made + took;
        Made {
            id: at.to_string(),
            made,
            delivery: Some(Delivery { acknowledged, took }),
        }
    }

    #[test]
    fn a_batch_has_the_first_and_last_times_of_its_events_in_any_order() {
        let (first, slow) = (made(100, 5), made(90, 50));
        let batch = batch(&[&first, &slow]).unwrap();
        let millis = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap().as_millis();
        assert_eq!(batch.events, 2);
        assert_eq!(millis(batch.first_acknowledged), 105);
        assert_eq!(millis(batch.last_acknowledged), 140);
        assert_eq!(millis(batch.last_made), 100);
        assert!(super::batch(&[]).is_none());
    }
}
