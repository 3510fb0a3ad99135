//! One object on its way to S3.
//!
//! Parts may be sent while records still come, for nobody sees them; the object appears only by [`Object::publish`], which
//! the task calls after its plan is committed. `publish` may be called again after a failure: it goes on where it was.

use std::sync::Arc;

use aws_sdk_s3::types::CompletedPart;
use bytes::Bytes;
use connect_core::data::SinkRecord;
use connect_core::{Error, Result};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tracing::warn;

use crate::client::{Bucket, Destination};
use crate::csv::Added;
use crate::encoder::{Encoder, Encoding};

/// S3 takes no smaller part but the last.
pub(crate) const SMALLEST_PART: usize = 5 * 1024 * 1024;
/// After this many parts, parts become larger, so that S3's 10,000 suffice for its largest object.
const PARTS_OF_ONE_SIZE: usize = 1_000;

#[derive(Debug)]
enum PartState {
    Waiting,
    Sending(JoinHandle<Result<CompletedPart>>),
    Sent(Box<CompletedPart>),
}

#[derive(Debug)]
struct Part {
    number: i32,
    /// Empty once sent.
    body: Bytes,
    state: PartState,
}

/// One object on its way to S3.
#[derive(Debug)]
pub(crate) struct Object {
    /// The topic of its records, as transforms have named it.
    topic: Arc<str>,
    path: Arc<str>,
    pub(crate) destination: Destination,
    pub(crate) records: u64,
    encoder: Encoder,
    upload: Option<String>,
    parts: Vec<Part>,
    /// Bytes of all parts so far.
    size: u64,
    /// The whole object, if it is finished and small.
    whole: Option<Bytes>,
    finished: bool,
    published: bool,
}

impl Object {
    pub(crate) fn new(
        topic: Arc<str>,
        path: Arc<str>,
        destination: Destination,
        encoder: Encoder,
    ) -> Self {
        Self {
            topic,
            path,
            destination,
            records: 0,
            encoder,
            upload: None,
            parts: Vec::new(),
            size: 0,
            whole: None,
            finished: false,
            published: false,
        }
    }

    /// True if records of this topic and path belong here.
    pub(crate) fn is_for(&self, topic: &Arc<str>, path: &Arc<str>) -> bool {
        same(&self.path, path) && same(&self.topic, topic)
    }

    pub(crate) fn append(&mut self, encoding: &Encoding, record: &SinkRecord) -> Result<Added> {
        let added = self.encoder.append(encoding, record)?;
        self.records += u64::from(added == Added::Yes);
        Ok(added)
    }

    /// The encoder of the object that takes what this one's header is too narrow for.
    pub(crate) fn wider(&self, encoding: &Encoding) -> Encoder {
        self.encoder.wider(encoding)
    }

    /// Bytes in memory.
    pub(crate) fn buffered(&self) -> usize {
        let parts: usize = self.parts.iter().map(|part| part.body.len()).sum();
        self.encoder.buffered() + parts + self.whole.as_ref().map_or(0, Bytes::len)
    }

    /// True if enough has come for a part.
    pub(crate) fn has_part(&self, largest: usize) -> bool {
        let grown = SMALLEST_PART * (1 + self.parts.len() / PARTS_OF_ONE_SIZE);
        self.encoder.len() >= grown.min(largest.max(SMALLEST_PART))
    }

    /// Sends what has come as a part, in the background; waits while too many are under way.
    pub(crate) async fn send_part(
        &mut self,
        bucket: &Bucket,
        permits: &Arc<Semaphore>,
    ) -> Result<()> {
        if self.upload.is_none() {
            self.upload = Some(bucket.begin(&self.destination).await?);
        }
        let body = self.encoder.take();
        self.add_part(body);
        self.start_waiting(bucket, permits).await
    }

    fn add_part(&mut self, body: Bytes) {
        self.size += body.len() as u64;
        self.parts.push(Part {
            number: i32::try_from(self.parts.len() + 1).unwrap_or(i32::MAX),
            body,
            state: PartState::Waiting,
        });
    }

    async fn start_waiting(&mut self, bucket: &Bucket, permits: &Arc<Semaphore>) -> Result<()> {
        let Some(upload) = &self.upload else {
            return Ok(());
        };
        for part in &mut self.parts {
            if matches!(part.state, PartState::Waiting) {
                let permit = permits.clone().acquire_owned().await;
                let permit =
                    permit.map_err(|cause| Error::internal("uploads are closed").source(cause))?;
                let (bucket, key, upload) =
                    (bucket.clone(), self.destination.key.clone(), upload.clone());
                let (number, body) = (part.number, part.body.clone());
                part.state = PartState::Sending(tokio::spawn(async move {
                    let sent = bucket.part(&key, &upload, number, body).await;
                    drop(permit);
                    sent
                }));
            }
        }
        Ok(())
    }

    /// Frees the memory of parts that have arrived meanwhile.
    pub(crate) async fn reap(&mut self) -> Result<()> {
        for part in &mut self.parts {
            if matches!(&part.state, PartState::Sending(sending) if sending.is_finished()) {
                part.settle().await?;
            }
        }
        Ok(())
    }

    /// Closes the content: no record comes any more.
    pub(crate) fn finish(&mut self) -> Result<()> {
        if self.finished {
            return Ok(());
        }
        let rest = self.encoder.finish()?;
        self.finished = true;
        if self.upload.is_none() {
            self.whole = Some(rest);
        } else if !rest.is_empty() {
            self.add_part(rest);
        }
        Ok(())
    }

    /// The object as it would be sent, if it is finished and nothing of it was sent.
    pub(crate) fn whole(&self) -> Option<&Bytes> {
        self.whole.as_ref()
    }

    /// Makes the object appear. After an error it may be called again.
    pub(crate) async fn publish(
        &mut self,
        bucket: &Bucket,
        permits: &Arc<Semaphore>,
    ) -> Result<()> {
        if self.published {
            return Ok(());
        }
        if let Some(whole) = &self.whole {
            bucket.put(&self.destination, whole.clone()).await?;
            self.whole = None;
        } else {
            self.start_waiting(bucket, permits).await?;
            for part in &mut self.parts {
                part.settle().await?;
            }
            let sent = self.parts.iter().filter_map(Part::sent).collect();
            if let Some(upload) = &self.upload {
                bucket
                    .complete(&self.destination, upload, sent, self.size)
                    .await?;
            }
        }
        self.published = true;
        Ok(())
    }

    /// Drops what was sent.
    pub(crate) async fn discard(self, bucket: &Bucket) {
        for part in &self.parts {
            if let PartState::Sending(sending) = &part.state {
                sending.abort();
            }
        }
        if let Some(upload) = self.upload.filter(|_| !self.published)
            && let Err(error) = bucket.abort(&self.destination.key, &upload).await
        {
            warn!(
                key = self.destination.key,
                error = error.trace(),
                "an unfinished upload stays behind in the bucket"
            );
        }
    }
}

/// Texts mostly are the very same.
pub(crate) fn same(one: &Arc<str>, other: &Arc<str>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}

impl Part {
    /// Waits for a part under way; a failed one waits to be sent again.
    async fn settle(&mut self) -> Result<()> {
        let PartState::Sending(sending) = &mut self.state else {
            return Ok(());
        };
        let outcome = sending
            .await
            .map_err(|cause| Error::internal("an upload panicked").source(cause));
        match outcome.and_then(|sent| sent) {
            Ok(sent) => {
                self.body = Bytes::new();
                self.state = PartState::Sent(Box::new(sent));
                Ok(())
            }
            Err(error) => {
                self.state = PartState::Waiting;
                Err(error)
            }
        }
    }

    fn sent(&self) -> Option<CompletedPart> {
        match &self.state {
            PartState::Sent(sent) => Some(CompletedPart::clone(sent)),
            _ => None,
        }
    }
}
