//! The file source's task: the files' blocking work on the blocking pool, offsets and waiting on the runtime.
//!
//! A poll may be dropped at any await: work under way is kept in the task and its outcome taken by the next poll.

use std::path::Path;

use async_trait::async_trait;
use connect_core::plugin::{Polled, SourceTask, SourceTaskContext};
use connect_core::{Error, Result};
use tokio::task::JoinHandle;

use crate::config::{FileOptions, FileSourceConfig};
use crate::discover::{Share, Stamp};
use crate::files::{Files, Next};
use crate::stored::{Stored, keys};

pub(crate) struct FileSourceTask {
    options: FileOptions,
    context: SourceTaskContext,
    /// Here between two steps; away while one is under way.
    files: Option<Box<Files>>,
    under_way: Option<JoinHandle<(Box<Files>, Result<Next>)>>,
    /// Messages whose offsets are stored.
    acknowledged: u64,
}

impl FileSourceTask {
    pub(crate) fn new(config: FileSourceConfig, context: SourceTaskContext) -> Self {
        let share = Share {
            task: context.task.task,
            tasks: context.task_count,
        };
        let options = config.files.clone();
        let files = Files::new(config, share, &context.task.connector);
        Self {
            options,
            context,
            files: Some(Box::new(files)),
            under_way: None,
            acknowledged: 0,
        }
    }

    /// One step of the files; goes on with the one a dropped poll has left.
    async fn next(&mut self) -> Result<Next> {
        let step = match self.under_way.take() {
            Some(step) => step,
            None => self.step()?,
        };
        let (files, next) = self.under_way.insert(step).await.map_err(|cause| {
            Error::internal("reading files broke off: a defect in Sluice").source(cause)
        })?;
        self.under_way = None;
        self.files = Some(files);
        next
    }

    fn step(&mut self) -> Result<JoinHandle<(Box<Files>, Result<Next>)>> {
        let lost = || Error::internal("the files were lost in a step that broke off");
        let mut files = self.files.take().ok_or_else(lost)?;
        let (now, acknowledged) = (self.context.clock.now(), self.acknowledged);
        Ok(tokio::task::spawn_blocking(move || {
            let next = files.next(now, acknowledged);
            (files, next)
        }))
    }

    /// What is stored of the file at `path`, if it is that one's.
    async fn stored(&self, path: &Path, seen: Stamp) -> Result<Option<Stored>> {
        for key in keys(self.options.identity, path, seen.id.inode) {
            let offset = self.context.offsets.offset(&key).await?;
            let stored = offset.as_ref().and_then(Stored::from_offset);
            let stored = stored.filter(|stored| stored.is_of(path, seen, &self.options));
            if stored.is_some() {
                return Ok(stored);
            }
        }
        Ok(None)
    }
}

#[async_trait]
impl SourceTask for FileSourceTask {
    async fn start(&mut self) -> Result<()> {
        Ok(())
    }

    async fn poll(&mut self) -> Result<Polled> {
        loop {
            match self.next().await? {
                Next::Messages(messages) => return Ok(Polled::Records(messages)),
                Next::Nothing(wait) => tokio::time::sleep(wait).await,
                Next::Unknown(found) => {
                    for (path, seen) in found {
                        let stored = self.stored(&path, seen).await?;
                        let now = self.context.clock.now();
                        if let Some(files) = &mut self.files {
                            files.adopt(path, seen, stored, now);
                        }
                    }
                }
            }
        }
    }

    async fn acked(&mut self, count: usize) -> Result<()> {
        self.acknowledged += u64::try_from(count).unwrap_or(u64::MAX);
        Ok(())
    }

    /// A step under way ends by itself: it reads one batch at the most.
    async fn stop(&mut self) -> Result<()> {
        self.under_way = None;
        Ok(())
    }
}
