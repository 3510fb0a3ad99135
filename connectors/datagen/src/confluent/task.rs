//! The task: record after record, each from a seed of its own.
//!
//! Before each record the generator is seeded anew, and the seed of the next one is stored with the offset: what comes after a
//! restart is what would have come without it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use connect_core::data::{
    Datum, Header, Headers, Schema, SourceOffset, SourcePartition, SourceRecord, Struct, Type,
    Value,
};
use connect_core::plugin::{Polled, SourceTask, SourceTaskContext};
use connect_core::{Error, Result};
use fastrand::Rng;
use serde_json::json;

use super::avro::Maker;
use super::config::{Chosen, DatagenConnectorConfig};

/// Records made at once if no pause is asked for.
const BATCH: u64 = 1_000;

/// Keys of the source offset, of which some are headers too.
const TASK_ID: &str = "task.id";
const GENERATION: &str = "task.generation";
const ITERATION: &str = "current.iteration";
const SEED: &str = "random.seed";

pub(super) struct DatagenTask {
    context: SourceTaskContext,
    topic: Arc<str>,
    pause: Option<Duration>,
    /// Records in all; `None` without end.
    iterations: Option<u64>,
    timeout: Option<Duration>,
    chosen: Option<Chosen>,
    /// Made at the start, when it is known how many records there were before.
    maker: Option<Maker>,
    key: Option<usize>,
    key_schema: Arc<Schema>,
    header_schema: Arc<Schema>,
    partition: Arc<SourcePartition>,
    state: State,
}

/// What the next record depends on; stored after each.
#[derive(Debug, Clone, Copy)]
struct State {
    /// How often the task was started before.
    generation: i64,
    made: u64,
    seed: i64,
}

impl DatagenTask {
    pub(super) fn new(
        config: &DatagenConnectorConfig,
        chosen: Chosen,
        context: SourceTaskContext,
    ) -> Self {
        let millis = |number: i64| u64::try_from(number).ok().map(Duration::from_millis);
        let partition = [(TASK_ID.to_owned(), json!(context.task.task))];
        let seed = config.seed.unwrap_or_else(|| fastrand::i64(..));
        let iterations = u64::try_from(config.iterations).ok();
        Self {
            topic: config.topic.as_str().into(),
            pause: millis(config.max_interval).filter(|pause| !pause.is_zero()),
            iterations: iterations.filter(|iterations| *iterations > 0),
            timeout: config.timeout.and_then(millis),
            key: chosen.key,
            key_schema: key_schema(&chosen),
            chosen: Some(chosen),
            maker: None,
            header_schema: Arc::new(Schema::new(Type::Int64)),
            partition: Arc::new(partition.into()),
            state: State {
                generation: 0,
                made: 0,
                seed: seed_of(seed, context.task.task),
            },
            context,
        }
    }

    /// How many records to make at once.
    fn due(&self) -> u64 {
        let batch = if self.pause.is_some() { 1 } else { BATCH };
        let left = self
            .iterations
            .map(|all| all.saturating_sub(self.state.made));
        left.map_or(batch, |left| left.min(batch))
    }

    fn record(&mut self) -> Result<SourceRecord> {
        let begun = Instant::now();
        let not_started = || Error::internal("a poll before the start");
        let maker = self.maker.as_mut().ok_or_else(not_started)?;
        let mut rng = Rng::with_seed(self.state.seed.cast_unsigned());
        let value = maker.make(&mut rng);
        if self
            .timeout
            .is_some_and(|timeout| begun.elapsed() > timeout)
        {
            return Err(Error::config(
                "making a record took longer than generate.timeout",
            ));
        }
        let schema = maker.plan().schema.clone();
        let headers = self.headers();
        self.state.made += 1;
        self.state.seed = rng.i64(..);
        Ok(SourceRecord {
            source_partition: self.partition.clone(),
            source_offset: Some(self.state.stored()),
            topic: self.topic.clone(),
            partition: None,
            timestamp: None,
            headers,
            key: self.key_of(&value),
            value: Datum::with_schema(schema, value),
        })
    }

    fn headers(&self) -> Headers {
        let header = |key: &str, number: i64| Header {
            key: key.into(),
            value: Datum::with_schema(self.header_schema.clone(), Value::Int64(number)),
        };
        let made = i64::try_from(self.state.made).unwrap_or(i64::MAX);
        vec![
            header(GENERATION, self.state.generation),
            header(TASK_ID, self.context.task.task.into()),
            header(ITERATION, made),
        ]
    }

    fn key_of(&self, value: &Value) -> Datum {
        let key = match (value, self.key) {
            (Value::Struct(Struct { values, .. }), Some(place)) => values.get(place).cloned(),
            _ => None,
        };
        Datum::with_schema(self.key_schema.clone(), key.unwrap_or(Value::Null))
    }
}

impl State {
    /// What the next start goes on from.
    fn stored(&self) -> SourceOffset {
        [
            (GENERATION.to_owned(), json!(self.generation + 1)),
            (ITERATION.to_owned(), json!(self.made)),
            (SEED.to_owned(), json!(self.seed)),
        ]
        .into()
    }

    fn from_stored(stored: &SourceOffset) -> Option<Self> {
        let number = |key: &str| stored.get(key)?.as_i64();
        Some(Self {
            generation: number(GENERATION)?,
            made: u64::try_from(number(ITERATION)?).ok()?,
            seed: number(SEED)?,
        })
    }
}

/// The key field's own schema; that of an optional text, which no key is of, without one.
fn key_schema(chosen: &Chosen) -> Arc<Schema> {
    let field = match (&chosen.plan.schema.kind, chosen.key) {
        (Type::Struct(fields), Some(place)) => fields.get(place),
        _ => None,
    };
    field.map_or_else(
        || Arc::new(Schema::new(Type::String).optional()),
        |field| field.schema.clone(),
    )
}

/// The seed a task begins with: another one for each.
fn seed_of(seed: i64, task: u32) -> i64 {
    (0..task).fold(seed, |seed, _| Rng::with_seed(seed.cast_unsigned()).i64(..))
}

#[async_trait]
impl SourceTask for DatagenTask {
    async fn start(&mut self) -> Result<()> {
        let stored = self.context.offsets.offset(&self.partition).await?;
        if let Some(state) = stored.as_ref().and_then(State::from_stored) {
            self.state = state;
        }
        if let Some(chosen) = self.chosen.take() {
            self.maker = Some(Maker::new(chosen.plan, chosen.counters, self.state.made));
        }
        Ok(())
    }

    async fn poll(&mut self) -> Result<Polled> {
        if let Some(pause) = self.pause {
            tokio::time::sleep(pause.mul_f64(fastrand::f64())).await;
        }
        let due = self.due();
        if due == 0 {
            let made = self.state.made;
            return Err(Error::config(format!(
                "Stopping connector: generated the configured {made} number of messages"
            )));
        }
        let records = (0..due).map(|_| self.record());
        Ok(Polled::Records(records.collect::<Result<_>>()?))
    }

    async fn stop(&mut self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
