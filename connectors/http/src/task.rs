//! The HTTP source's task: fetch after fetch, page after page.
//!
//! A poll may be dropped at any await: the request under way is kept in the task, and the position moves only in the
//! same step in which the records are handed over.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connect_core::data::{Datum, SourcePartition, SourceRecord, Timestamp};
use connect_core::output::{BatchOrigin, Output};
use connect_core::plugin::{Polled, SourceTask, SourceTaskContext};
use connect_core::{Error, Result, RetryVerdict};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::value::RawValue;
use tracing::{debug, info};

use crate::client::{Answer, Client, PageBody};
use crate::config::{HttpSourceConfig, PaginationMode};
use crate::json::{Document, Pointer, scalar_text};
use crate::mark::{Edge, Mark};
use crate::pagination::{Page, PageAnswer, Step};
use crate::position::{Position, Validators};
use crate::request::{Requests, shown};

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
    /// The request under way: a dropped poll does not lose it.
    under_way: Option<BoxFuture<'static, Result<Answer>>>,
    failing_since: Option<Timestamp>,
}

/// The JSON pointers, parsed.
struct Pointers {
    records: Pointer,
    next: Option<Pointer>,
    since: Option<Pointer>,
}

/// A page taken apart.
struct PageRecords {
    rows: Vec<Datum>,
    highest: Option<Edge>,
    step: Step,
    validators: Validators,
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
            under_way: None,
            failing_since: None,
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

    /// Takes a page apart; the position does not move yet.
    fn page_records(&self, page: &Page, answer: PageBody) -> Result<PageRecords> {
        let document = Document::parse(answer.body)?;
        let records = document.records(&self.pointers.records)?;
        let mut rows = Vec::with_capacity(records.len());
        let mut highest = self.position.highest.clone();
        for record in &records {
            if let Some(pointer) = &self.pointers.since {
                let mark = Mark::of(pointer.find(record))?;
                let since = self.position.since.as_ref();
                let known = since.is_some_and(|edge| edge.has(&mark, record));
                highest = Some(Edge::with(highest, mark, record));
                if known {
                    continue;
                }
            }
            rows.push(document.datum(record)?);
        }
        let named = self.pointers.named_next(document.root()?)?;
        let answered = PageAnswer {
            records: u64::try_from(records.len()).unwrap_or(u64::MAX),
            link: self.next_link(&answer.url, answer.link.or_else(|| named.clone()))?,
            cursor: named,
        };
        let step = self
            .config
            .pagination
            .after(page, self.position.pages + 1, answered)?;
        let validators = answer.validators;
        Ok(PageRecords {
            rows,
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

    /// The messages of a page; moves the position behind it.
    fn take(&mut self, page: &Page, answer: Answer) -> Result<Vec<SourceRecord>> {
        let body = match answer {
            Answer::Page(body) => body,
            Answer::NotModified => {
                let validators = self.position.validators.clone();
                self.position.advance(Step::Last, validators);
                return Ok(Vec::new());
            }
        };
        let target = shown(&body.url);
        let read = self
            .page_records(page, body)
            .map_err(|error| named(error, &target))?;
        let mut after = self.position.clone();
        after.highest = read.highest;
        after.advance(read.step, read.validators);
        let origin = BatchOrigin {
            partition: self.partition.clone(),
            offset: after.to_offset(),
            now: self.context.clock.now(),
        };
        let messages = self.output.messages(read.rows, &origin)?;
        self.position = after;
        Ok(messages)
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
        }
        Ok(())
    }

    async fn poll(&mut self) -> Result<Polled> {
        let page = self.page_to_read().await;
        let answer = self.answer(&page).await?;
        Ok(Polled::Records(self.take(&page, answer)?))
    }

    async fn stop(&mut self) -> Result<()> {
        self.under_way = None;
        Ok(())
    }
}
