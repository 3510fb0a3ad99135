//! Records between the log and the task: what was read is converted in its order, and waits for its schemas.
//!
//! Called by the loop of the sink task, before it hands records over.

use std::time::Instant;

use connect_core::Result;
use connect_core::data::TopicPartition;

use super::{Position, SinkSession};
use crate::kafka::ConsumedRecord;
use crate::runtime::errors::RecordFailure;
use crate::runtime::pipeline::Pipeline;

impl SinkSession {
    /// Takes records just read.
    pub(in crate::runtime) fn accept(&mut self, records: Vec<ConsumedRecord>) {
        if self.unconverted.is_empty() {
            self.unconverted = records.into(); // as it nearly always is: nothing is moved
        } else {
            self.unconverted.extend(records);
        }
    }

    /// Converts what was read. A record whose schema cannot be fetched stays first in line.
    pub(in crate::runtime) async fn convert(&mut self, pipeline: &mut Pipeline) -> Result<()> {
        while let Some(record) = self.unconverted.front() {
            let partition = TopicPartition::new(record.topic.clone(), record.partition);
            let offset = record.offset;
            match self.owned.get_mut(&partition) {
                Some(first @ None) => *first = Some(offset),
                Some(Some(_)) => {}
                None => {
                    // Given up between fetch and now: whoever has it reads it.
                    self.unconverted.pop_front();
                    continue;
                }
            }
            let position = (partition.clone(), offset);
            let is_out = self.left_out.contains(&position) || self.refused.contains_key(&position);
            let fetched = match !self.stale && !is_out && pipeline.looks_up() {
                true => pipeline.fetch_for_sink(record).await,
                false => Ok(()),
            };
            let fetched = self.judge_lookup(fetched)?;
            let Some(record) = self.unconverted.pop_front() else {
                break;
            };
            if self.stale {
                continue; // read again from the committed offset
            }
            if let Err(failure) = fetched {
                self.fail((partition, offset), &record, failure)?;
                continue;
            }
            self.convert_one((partition, offset), record, pipeline)?;
        }
        Ok(())
    }

    fn convert_one(
        &mut self,
        position: Position,
        record: ConsumedRecord,
        pipeline: &mut Pipeline,
    ) -> Result<()> {
        let before = self.pending.len();
        if let Some(error) = self.refused.remove(&position) {
            self.leave_out(&record, position.clone(), error)?;
        } else if !self.left_out.contains(&position)
            && let Err(failure) = pipeline.push_for_sink(&record, &mut self.pending)
        {
            self.pending.truncate(before);
            self.fail(position.clone(), &record, failure)?;
        }
        if self.pending.len() == before {
            self.skipped.insert(position.0, position.1.next());
            return Ok(());
        }
        if !self.skipped.is_empty() {
            self.skipped.remove(&position.0);
        }
        if self.report.tolerates() {
            self.originals.insert(position, record);
        }
        Ok(())
    }

    /// Whether a record whose schema could not be fetched is to wait, which is an error, or counts as failed.
    fn judge_lookup(
        &mut self,
        fetched: Result<(), RecordFailure>,
    ) -> Result<Result<(), RecordFailure>> {
        match fetched {
            Err(failure) if failure.error.is_retriable() => {
                let since = *self.waits_since.get_or_insert_with(Instant::now);
                if !self.report.handling.gives_up(since.elapsed()) {
                    return Err(*failure.error);
                }
                self.waits_since = None;
                Ok(Err(failure.given_up()))
            }
            ended => {
                self.waits_since = None;
                Ok(ended)
            }
        }
    }
}
