//! The HTTP source's task: fetch after fetch, page after page.
//!
//! A poll may be dropped at any await: the request under way is kept in the task, and the position moves only in the
//! same step in which the last records of a page are handed over.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connect_core::data::{Datum, RawJson, SourcePartition, SourceRecord, Timestamp, json};
use connect_core::output::{BatchOrigin, Output, OutputForm};
use connect_core::plugin::{Polled, SourceTask, SourceTaskContext};
use connect_core::{Error, Result, RetryVerdict};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::value::RawValue;
use tracing::{debug, info, warn};

use crate::client::{Answer, Client, PageBody};
use crate::config::{HttpSourceConfig, PaginationMode};
use crate::json::{Document, Pointer, Records, raw, scalar_text};
use crate::mark::{Edge, Mark};
use crate::pagination::{Page, PageAnswer, Step};
use crate::position::{Position, Validators};
use crate::request::{Requests, shown};

/// Rows handed over at once, but for larger envelopes.
const PART: usize = 1000;

/// The clock is looked at this often while waiting: it may be set.
const LOOK: Duration = Duration::from_secs(60);

pub(crate) struct HttpSourceTask {
    config: HttpSourceConfig,
    context: SourceTaskContext,
    pointers: Pointers,
    requests: Requests,
    client: Client,
    output: Output,
    partition: Arc<SourcePartition>,
    position: Position,
    /// The page that is being handed over.
    leaving: Option<Leaving>,
    /// The request under way: a dropped poll does not lose it.
    under_way: Option<BoxFuture<'static, Result<Answer>>>,
    failing_since: Option<Timestamp>,
    /// True until the page that was stored, within a fetch, is there.
    resumed: bool,
}

/// The JSON pointers, parsed.
struct Pointers {
    records: Pointer,
    next: Option<Pointer>,
    since: Option<Pointer>,
}

/// A page looked through.
struct PageRecords {
    records: Records,
    highest: Option<Edge>,
    step: Step,
    validators: Validators,
}

/// A page on its way out, part by part: a great many small records never stand in memory together.
struct Leaving {
    records: Records,
    /// The first row of the next part, so that the last part is known for it.
    ahead: Option<Datum>,
    /// Where to go on after the page.
    after: Position,
    /// When it came.
    now: Timestamp,
}

impl HttpSourceTask {
    pub(crate) fn new(config: &HttpSourceConfig, context: SourceTaskContext) -> Result<Self> {
        let requests = Requests::new(config)?;
        let url = requests.base().to_string();
        Ok(Self {
            pointers: Pointers::of(config)?,
            client: Client::new(config, &requests)?,
            requests,
            output: Output::new(config.output.clone(), &context.task.connector),
            partition: Arc::new([("url".to_owned(), url.into())].into()),
            position: Position::beginning(config),
            config: config.clone(),
            context,
            leaving: None,
            under_way: None,
            failing_since: None,
            resumed: false,
        })
    }

    /// Waits between two fetches; then begins one.
    async fn page_to_read(&mut self) -> Page {
        loop {
            if let Some(page) = &self.position.page {
                return page.clone();
            }
            let wait = self.until_due();
            if wait.is_zero() {
                let now = self.context.clock.now();
                self.position.begin(self.config.pagination.first(), now);
            } else {
                tokio::time::sleep(wait.min(LOOK)).await;
            }
        }
    }

    /// Never longer than the interval, though the clock were set back.
    fn until_due(&self) -> Duration {
        let interval = self.config.request.interval;
        let Some(last) = self.position.fetched_at else {
            return Duration::ZERO;
        };
        let due = last.saturating_add(interval);
        self.context.clock.now().duration_until(due).min(interval)
    }

    /// The answer for `page`; the request goes on where a dropped poll has left it.
    async fn answer(&mut self, page: &Page) -> Result<Answer> {
        let request = match self.under_way.take() {
            Some(request) => request,
            None => self.request(page)?,
        };
        let answer = self.under_way.insert(request).await;
        self.under_way = None;
        match answer {
            Ok(answer) => {
                self.failing_since = None;
                Ok(answer)
            }
            Err(error) => Err(self.failure(error)),
        }
    }

    /// An error that may pass does not, once it has lasted for `http.retry.timeout.ms`.
    fn failure(&mut self, error: Error) -> Error {
        let now = self.context.clock.now();
        let since = *self.failing_since.get_or_insert(now);
        let most = self.config.connection.retry_timeout;
        if most >= 0 && now.as_millis().saturating_sub(since.as_millis()) >= most {
            return error.retry(RetryVerdict::Never);
        }
        error
    }

    fn request(&self, page: &Page) -> Result<BoxFuture<'static, Result<Answer>>> {
        let request = self
            .requests
            .page(page, self.position.since.as_ref().map(Edge::mark))?;
        debug!(url = shown(&request.url), "asking for a page");
        let known = match self.config.pagination.mode {
            PaginationMode::None => self.position.validators.clone(),
            PaginationMode::Link | PaginationMode::Page | PaginationMode::Cursor => {
                Validators::default()
            }
        };
        Ok(self.client.clone().send(request, known).boxed())
    }

    /// Looks through a page; the position does not move yet.
    fn page_records(&self, page: &Page, answer: PageBody) -> Result<PageRecords> {
        let document = Document::parse(answer.body)?;
        let records = document.records(&self.pointers.records)?;
        let mut highest = self.position.highest.clone();
        let mut count = 0;
        let mut all = records.clone();
        while let Some(record) = all.next()? {
            count += 1;
            // A record that is none fails the page before any of it is handed over.
            json::validate(&record)?;
            if let Some(pointer) = &self.pointers.since {
                let record = raw(&record)?;
                highest = Some(Edge::with(highest, Mark::of(pointer.find(record))?, record));
            }
        }
        let named = self.pointers.named_next(document.root()?)?;
        let answered = PageAnswer {
            records: count,
            link: self.next_link(&answer.url, answer.link.or_else(|| named.clone()))?,
            cursor: named,
        };
        let step = self
            .config
            .pagination
            .after(page, self.position.pages + 1, answered)?;
        let validators = answer.validators;
        Ok(PageRecords {
            records,
            highest,
            step,
            validators,
        })
    }

    fn next_link(&self, answered: &reqwest::Url, link: Option<String>) -> Result<Option<String>> {
        if self.config.pagination.mode != PaginationMode::Link {
            return Ok(None);
        }
        link.map(|link| self.requests.storable_link(answered, &link))
            .transpose()
    }

    /// Takes an answer: its page is handed over from now on.
    fn take(&mut self, page: &Page, answer: Answer) -> Result<()> {
        let body = match answer {
            Answer::Page(body) => body,
            Answer::NoPage(error) => return self.begin_anew(error),
            Answer::NotModified => {
                let validators = self.position.validators.clone();
                self.position.advance(Step::Last, validators);
                return Ok(());
            }
        };
        let target = shown(&body.url);
        let read = self
            .page_records(page, body)
            .map_err(|error| named(error, &target))?;
        let mut after = self.position.clone();
        after.highest = read.highest;
        after.advance(read.step, read.validators);
        let mut leaving = Leaving {
            records: read.records,
            ahead: None,
            after,
            now: self.context.clock.now(),
        };
        leaving.ahead = self.next_row(&mut leaving.records)?;
        self.leaving = Some(leaving);
        self.resumed = false;
        Ok(())
    }

    /// A page that was stored may have expired while the worker was down: then the fetch begins again, once.
    fn begin_anew(&mut self, error: Error) -> Result<()> {
        if !std::mem::take(&mut self.resumed) {
            return Err(error);
        }
        warn!(
            error = error.trace(),
            "the server does not know the page where the source was left: the fetch begins again"
        );
        let now = self.context.clock.now();
        self.position
            .begin_again(self.config.pagination.first(), now);
        Ok(())
    }

    /// The messages of the next part of the page; with the last part the position moves behind the page.
    fn hand_over(&mut self) -> Result<Vec<SourceRecord>> {
        let Some(mut leaving) = self.leaving.take() else {
            return Ok(Vec::new());
        };
        let mut rows = Vec::new();
        while rows.len() < self.part()
            && let Some(row) = leaving.ahead.take()
        {
            rows.push(row);
            leaving.ahead = self.next_row(&mut leaving.records)?;
        }
        let origin = BatchOrigin {
            partition: self.partition.clone(),
            offset: leaving.after.to_offset(),
            now: leaving.now,
        };
        let mut messages = self.output.messages(rows, &origin)?;
        if leaving.ahead.is_none() {
            self.position = leaving.after;
            return Ok(messages);
        }
        // A restart cannot go on within a page.
        for message in &mut messages {
            message.source_offset = None;
        }
        self.leaving = Some(leaving);
        Ok(messages)
    }

    /// Rows handed over at once: whole envelopes.
    fn part(&self) -> usize {
        let envelope = match self.config.output.form {
            OutputForm::Record => 1,
            OutputForm::Envelope => self.config.output.envelope_records.max(1) as usize,
        };
        (PART / envelope).max(1) * envelope
    }

    /// The next record that is not one already known.
    fn next_row(&self, records: &mut Records) -> Result<Option<Datum>> {
        while let Some(record) = records.next()? {
            if !self.is_known(&record)? {
                return Ok(Some(Datum::json(RawJson::validate(record)?)));
            }
        }
        Ok(None)
    }

    /// True if a record was read by the fetch before: a server may take its bound as inclusive.
    fn is_known(&self, record: &Bytes) -> Result<bool> {
        let (Some(pointer), Some(edge)) = (&self.pointers.since, &self.position.since) else {
            return Ok(false);
        };
        let record = raw(record)?;
        Ok(edge.has(&Mark::of(pointer.find(record))?, record))
    }
}

/// Says where an answer came from that cannot be used.
fn named(error: Error, target: &str) -> Error {
    error.operation("answer of").target(target)
}

impl Pointers {
    fn of(config: &HttpSourceConfig) -> Result<Self> {
        let parse = |text: &str| Pointer::parse(text).map_err(Error::config);
        let optional = |text: &Option<String>| text.as_deref().map(parse).transpose();
        Ok(Self {
            records: parse(&config.records.pointer)?,
            next: optional(&config.pagination.pointer)?,
            since: optional(&config.records.since_pointer)?,
        })
    }

    /// The cursor or URL that an answer names in its content.
    fn named_next(&self, root: &RawValue) -> Result<Option<String>> {
        let found = self.next.as_ref().and_then(|pointer| pointer.find(root));
        Ok(found.map(scalar_text).transpose()?.flatten())
    }
}

#[async_trait]
impl SourceTask for HttpSourceTask {
    async fn start(&mut self) -> Result<()> {
        if let Some(offset) = self.context.offsets.offset(&self.partition).await? {
            self.position = Position::from_offset(&self.config, &offset);
            info!(position = ?self.position.page, "going on where the source was left");
            let first = self.config.pagination.first();
            self.resumed = self
                .position
                .page
                .as_ref()
                .is_some_and(|page| *page != first);
        }
        Ok(())
    }

    async fn poll(&mut self) -> Result<Polled> {
        if self.leaving.is_none() {
            let page = self.page_to_read().await;
            let answer = self.answer(&page).await?;
            self.take(&page, answer)?;
        }
        Ok(Polled::Records(self.hand_over()?))
    }

    async fn stop(&mut self) -> Result<()> {
        self.under_way = None;
        Ok(())
    }
}
