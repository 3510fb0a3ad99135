//! A converter of any format: the frame, the caches, and when the registry is asked.
//!
//! Holds always: an entry that was fetched for a record is there when the record is converted. What the registry does not
//! know or refuses is remembered for a time, so that many bad records do not ask it each.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use connect_core::config::OptionError;
use connect_core::data::{Datum, RawHeaders, Schema};
use connect_core::plugin::{Converter, ConverterRole, SchemaLookup};
use connect_core::{Error, ErrorKind, Result};
use lru::LruCache;

use crate::client::{Client, Proposal};
use crate::format::{Derived, Format};
use crate::options::{RegistryOptions, SchemaOptions};
use crate::registry::{Resolved, resolve};
use crate::wire::{self, SchemaId};

/// What is known, or why it is not.
struct Cached<T> {
    known: Result<Arc<T>, String>,
    /// When it is to be asked for again; `None`: never.
    until: Option<Instant>,
}

impl<T> Cached<T> {
    /// True if it need not be asked for again.
    fn is_current(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    fn get(&self) -> Result<Arc<T>> {
        self.known.clone().map_err(Error::data)
    }
}

/// What a value of one schema is written with.
struct Writer<S> {
    id: SchemaId,
    schema: S,
}

/// Data of one Connect schema for one topic. Schemas are told apart by where they stand; they are kept as long as this is.
#[derive(PartialEq, Eq, Hash)]
struct WriterKey {
    topic: String,
    schema: usize,
}

impl WriterKey {
    fn of(topic: &str, schema: &Arc<Schema>) -> Self {
        Self {
            topic: topic.to_owned(),
            schema: Arc::as_ptr(schema).addr(),
        }
    }
}

/// Writers by subject and text of the schema.
type BySubject<S> = LruCache<(String, String), Arc<Writer<S>>>;

struct WriterEntry<S> {
    /// Keeps the place from being used again.
    _schema: Arc<Schema>,
    writer: Cached<Writer<S>>,
}

/// A converter with a registry.
pub(crate) struct RegistryConverter<F: Format> {
    format: F,
    client: Client,
    options: SchemaOptions,
    role: ConverterRole,
    readers: Mutex<LruCache<SchemaId, Cached<F::Schema>>>,
    writers: Mutex<LruCache<WriterKey, WriterEntry<F::Schema>>>,
    /// What was asked for, by subject and text: equal schemas may stand in several places.
    subjects: Mutex<BySubject<F::Schema>>,
}

impl<F: Format> RegistryConverter<F> {
    pub(crate) fn new(
        format: F,
        options: RegistryOptions,
        role: ConverterRole,
    ) -> Result<Self, Vec<OptionError>> {
        let capacity = usize::try_from(options.schemas.capacity).unwrap_or(usize::MAX);
        let capacity = NonZeroUsize::new(capacity).unwrap_or(NonZeroUsize::MIN);
        Ok(Self {
            format,
            client: Client::new(&options.connection).map_err(|error| vec![error])?,
            options: options.schemas,
            role,
            readers: Mutex::new(LruCache::new(capacity)),
            writers: Mutex::new(LruCache::new(capacity)),
            subjects: Mutex::new(LruCache::new(capacity)),
        })
    }

    async fn fetched(&self, id: SchemaId) -> Result<F::Schema> {
        let stored = self.client.by_id(id).await?;
        let resolved = resolve(&self.client, F::NAME, stored).await?;
        self.format.parse(&resolved)
    }

    /// A schema as the registry is given it, with its subject.
    fn derived(&self, topic: &str, schema: &Schema) -> Result<(String, Derived)> {
        let derived = self.format.derive(schema)?;
        let strategy = match self.role {
            ConverterRole::Key => self.options.key_strategy,
            ConverterRole::Value | ConverterRole::Header => self.options.value_strategy,
        };
        let subject = strategy.subject(topic, self.role, derived.record.as_deref())?;
        Ok((subject, derived))
    }

    /// Where a schema stands that would be registered if the registry did not have it; the subject and the schema if it
    /// does not.
    async fn registered(
        &self,
        topic: &str,
        schema: &Schema,
    ) -> Result<Result<Writer<F::Schema>, String>> {
        let (subject, derived) = self.derived(topic, schema)?;
        match self.client.find(&subject, self.proposal(&derived)).await {
            Ok(id) => {
                let schema = self.format.parse(&Resolved::alone(derived.text))?;
                Ok(Ok(Writer { id, schema }))
            }
            Err(error) if error.kind() == ErrorKind::Data => Ok(Err(format!(
                "subject {subject} does not have this schema: a run registers it, if the registry takes it: {}",
                derived.text
            ))),
            Err(error) => Err(error),
        }
    }

    /// The writer for a schema: registered, found, or the subject's latest.
    async fn writer(&self, topic: &str, schema: &Schema) -> Result<Arc<Writer<F::Schema>>> {
        let (subject, derived) = self.derived(topic, schema)?;
        let key = (subject, derived.text.clone());
        let is_latest = self.options.use_latest && !self.options.auto_register;
        if !is_latest && let Some(known) = locked(&self.subjects).get(&key) {
            return Ok(known.clone());
        }
        let writer = Arc::new(if is_latest {
            self.latest(&key.0, &derived).await?
        } else {
            self.own(&key.0, &derived).await?
        });
        locked(&self.subjects).put(key, writer.clone());
        Ok(writer)
    }

    /// The data's own schema.
    async fn own(&self, subject: &str, derived: &Derived) -> Result<Writer<F::Schema>> {
        let schema = self.format.parse(&Resolved::alone(derived.text.clone()))?;
        let proposal = self.proposal(derived);
        let id = if self.options.auto_register {
            self.client.register(subject, proposal).await?
        } else {
            self.client.find(subject, proposal).await?
        };
        Ok(Writer { id, schema })
    }

    async fn latest(&self, subject: &str, derived: &Derived) -> Result<Writer<F::Schema>> {
        let stored = self.client.version(subject, "latest").await?;
        let id = stored.id.map(SchemaId).ok_or_else(|| {
            Error::config("the registry's answer does not say the id of the latest version")
        })?;
        if self.options.latest_strict {
            let proposal = self.proposal(derived);
            if !self.client.is_compatible(subject, proposal).await? {
                return Err(Error::data(format!(
                    "the data's schema is not compatible with the latest of subject {subject}: {}",
                    derived.text
                )));
            }
        }
        let resolved = resolve(&self.client, F::NAME, stored).await?;
        let schema = self.format.parse(&resolved)?;
        Ok(Writer { id, schema })
    }

    fn proposal<'a>(&self, derived: &'a Derived) -> Proposal<'a> {
        Proposal {
            kind: F::NAME,
            text: &derived.text,
            normalize: self.options.normalize,
        }
    }

    fn read(&self, bytes: &Bytes) -> Result<Datum> {
        let (id, payload) = wire::split(bytes)?;
        let known = locked(&self.readers).get(&id).map(Cached::get);
        let schema = known.ok_or_else(|| {
            Error::internal(format!(
                "schema {} was not fetched before it was used",
                id.0
            ))
        })??;
        self.format.read(&schema, payload)
    }

    fn write(&self, topic: &str, schema: &Arc<Schema>, datum: &Datum) -> Result<Option<Bytes>> {
        let key = WriterKey::of(topic, schema);
        let known = locked(&self.writers)
            .get(&key)
            .map(|entry| entry.writer.get());
        let writer = known
            .ok_or_else(|| Error::internal("a schema was not registered before it was used"))??;
        let mut frame = wire::head(writer.id);
        self.format
            .write(&writer.schema, schema, datum, &mut frame)?;
        Ok(Some(Bytes::from(frame)))
    }

    /// When a writer is to be asked for again: only the latest version may become another.
    fn expiry(&self) -> Option<Instant> {
        let is_latest = self.options.use_latest && !self.options.auto_register;
        let seconds = u64::try_from(self.options.latest_ttl).ok();
        in_seconds(seconds.filter(|_| is_latest)?)
    }
}

/// The moment so many seconds from now; `None` if that is beyond all time.
fn in_seconds(seconds: u64) -> Option<Instant> {
    Instant::now().checked_add(Duration::from_secs(seconds))
}

/// What is to be remembered of a question to the registry; what may pass is not. A refusal is there for the record that asked,
/// however short its time.
fn remembered<T>(
    outcome: Result<Arc<T>>,
    expiry: Option<Instant>,
    refusals: u64,
) -> Result<Cached<T>> {
    match outcome {
        Ok(known) => Ok(Cached {
            known: Ok(known),
            until: expiry,
        }),
        Err(error) if error.kind() == ErrorKind::Data => Ok(Cached {
            known: Err(whole(&error)),
            until: in_seconds(refusals),
        }),
        Err(error) => Err(error),
    }
}

/// The message with its causes, on one line.
fn whole(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<F: Format> Converter for RegistryConverter<F> {
    fn to_connect(&self, topic: &str, _: &RawHeaders, bytes: Option<&Bytes>) -> Result<Datum> {
        let Some(bytes) = bytes else {
            return Ok(Datum::null());
        };
        self.read(bytes).map_err(|cause| {
            Error::new(
                cause.kind(),
                format!("Converting byte[] to Kafka Connect data failed due to serialization error of topic {topic}"),
            )
            .source(cause)
        })
    }

    fn to_bytes(&self, topic: &str, datum: &Datum) -> Result<Option<Bytes>> {
        let written = match datum.schema() {
            _ if datum.is_null() && (!F::WRITES_NULL || datum.schema().is_none()) => {
                return Ok(None);
            }
            Some(schema) => self.write(topic, schema, datum),
            None => Err(Error::data(
                "the value has no schema: a converter with a registry needs one",
            )),
        };
        written.map_err(|cause| {
            Error::new(
                cause.kind(),
                format!("Converting Kafka Connect data to byte[] failed due to serialization error of topic {topic}"),
            )
            .source(cause)
        })
    }

    fn schema_lookup(&self) -> Option<&dyn SchemaLookup> {
        Some(self)
    }
}

#[async_trait]
impl<F: Format> SchemaLookup for RegistryConverter<F> {
    fn can_read(&self, _topic: &str, bytes: &Bytes) -> bool {
        let Ok((id, _)) = wire::split(bytes) else {
            return true; // refused when it is read
        };
        let readers = locked(&self.readers);
        readers
            .peek(&id)
            .is_some_and(|entry| entry.is_current(Instant::now()))
    }

    async fn fetch_for_reading(&self, _topic: &str, bytes: &Bytes) -> Result<()> {
        let Ok((id, _)) = wire::split(bytes) else {
            return Ok(());
        };
        let fetched = self.fetched(id).await.map(Arc::new);
        let entry = remembered(fetched, None, self.options.missing_id_ttl)?;
        locked(&self.readers).put(id, entry);
        Ok(())
    }

    fn can_write(&self, topic: &str, datum: &Datum) -> bool {
        let Some(schema) = datum
            .schema()
            .filter(|_| F::WRITES_NULL || !datum.is_null())
        else {
            return true; // nothing to be written, or refused when it is written
        };
        let key = WriterKey::of(topic, schema);
        let writers = locked(&self.writers);
        writers
            .peek(&key)
            .is_some_and(|entry| entry.writer.is_current(Instant::now()))
    }

    async fn fetch_for_writing(&self, topic: &str, datum: &Datum) -> Result<()> {
        let Some(schema) = datum.schema() else {
            return Ok(());
        };
        let writer = self.writer(topic, schema).await;
        let entry = WriterEntry {
            _schema: schema.clone(),
            writer: remembered(writer, self.expiry(), self.options.missing_schema_ttl)?,
        };
        locked(&self.writers).put(WriterKey::of(topic, schema), entry);
        Ok(())
    }

    async fn find_for_writing(&self, topic: &str, datum: &Datum) -> Result<Option<String>> {
        let Some(schema) = datum.schema().filter(|_| self.options.auto_register) else {
            self.fetch_for_writing(topic, datum).await?;
            return Ok(None);
        };
        let found = match self.registered(topic, schema).await {
            Ok(Ok(writer)) => Ok(Arc::new(writer)),
            Ok(Err(missing)) => return Ok(Some(missing)),
            Err(error) => Err(error),
        };
        let entry = WriterEntry {
            _schema: schema.clone(),
            writer: remembered(found, None, self.options.missing_schema_ttl)?,
        };
        locked(&self.writers).put(WriterKey::of(topic, schema), entry);
        Ok(None)
    }
}
