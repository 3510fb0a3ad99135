//! Where a source stands: within a fetch, or between two. What is stored as its offset, and read back from it.
//!
//! Holds always: a position is that *after* a whole page, so a restart reads a page again rather than miss a record.

use connect_core::data::{SourceOffset, Timestamp};
use serde_json::{Value, json};

use crate::config::HttpSourceConfig;
use crate::mark::Edge;
use crate::pagination::{Page, Step};

/// Where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    /// The page to read next; `None` between two fetches.
    pub(crate) page: Option<Page>,
    /// Pages read in this fetch.
    pub(crate) pages: u32,
    /// When this fetch, or the last one, began.
    pub(crate) fetched_at: Option<Timestamp>,
    /// What the requests of this fetch ask to be newer than.
    pub(crate) since: Option<Edge>,
    /// The highest mark that this fetch has seen, with its records: `since` of the next one.
    pub(crate) highest: Option<Edge>,
    /// What the last answer is known by, if it was the whole of a fetch.
    pub(crate) validators: Validators,
}

/// What tells a server which answer we have: `ETag`, `Last-Modified`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Validators {
    pub(crate) etag: Option<String>,
    pub(crate) modified: Option<String>,
}

impl Position {
    /// Before the first fetch.
    pub(crate) fn beginning(config: &HttpSourceConfig) -> Self {
        Self {
            page: None,
            pages: 0,
            fetched_at: None,
            since: config.records.since_initial.as_deref().map(Edge::initial),
            highest: None,
            validators: Validators::default(),
        }
    }

    /// Begins a fetch.
    pub(crate) fn begin(&mut self, first: Page, now: Timestamp) {
        self.page = Some(first);
        self.pages = 0;
        self.fetched_at = Some(now);
    }

    /// Begins the fetch under way again.
    pub(crate) fn begin_again(&mut self, first: Page, now: Timestamp) {
        self.highest = None;
        self.begin(first, now);
    }

    /// Goes on behind a page.
    pub(crate) fn advance(&mut self, step: Step, validators: Validators) {
        self.pages += 1;
        match step {
            Step::Next(page) => self.page = Some(page),
            Step::Last => self.end(validators),
        }
    }

    fn end(&mut self, validators: Validators) {
        let whole = self.pages <= 1;
        self.page = None;
        self.pages = 0;
        self.validators = if whole {
            validators
        } else {
            Validators::default()
        };
        if let Some(highest) = self.highest.take() {
            let since = Edge::later(self.since.take(), highest);
            self.since = Some(since);
        }
    }

    /// As it is stored.
    pub(crate) fn to_offset(&self) -> SourceOffset {
        let fields = [
            ("page", self.page.as_ref().map(|page| json!(page))),
            ("pages", (self.pages > 0).then(|| json!(self.pages))),
            (
                "fetched_at",
                self.fetched_at.map(|time| json!(time.as_millis())),
            ),
            ("since", self.since.as_ref().map(Edge::json)),
            ("highest", self.highest.as_ref().map(Edge::json)),
            ("etag", self.validators.etag.as_deref().map(Value::from)),
            (
                "last_modified",
                self.validators.modified.as_deref().map(Value::from),
            ),
        ];
        let given = fields.into_iter();
        given
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }

    /// As it was stored. A page of another kind of pagination is not gone on with: the fetch begins again.
    pub(crate) fn from_offset(config: &HttpSourceConfig, offset: &SourceOffset) -> Self {
        let get = |name: &str| offset.get(name).cloned();
        let edge = |name: &str| Edge::stored(offset.get(name)?);
        let text = |name: &str| Some(get(name)?.as_str()?.to_owned());
        let page: Option<Page> = get("page").and_then(|page| serde_json::from_value(page).ok());
        let page = page.filter(|page| config.pagination.understands(page));
        let unreadable = page.is_none() && offset.contains_key("page");
        let time = get("fetched_at").and_then(|time| time.as_i64());
        let pages = get("pages").and_then(|pages| pages.as_u64());
        Self {
            page,
            pages: pages.and_then(|pages| pages.try_into().ok()).unwrap_or(0),
            fetched_at: time.filter(|_| !unreadable).map(Timestamp::from_millis),
            since: edge("since").or(Self::beginning(config).since),
            highest: edge("highest").filter(|_| !unreadable),
            validators: Validators {
                etag: text("etag"),
                modified: text("last_modified"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use connect_core::config::{ConfigMap, ConnectorConfig};
    use proptest::prelude::*;

    use super::*;

    fn config(mode: &str) -> HttpSourceConfig {
        let pairs = [
            ("http.url", "http://localhost/"),
            ("topic", "t"),
            ("pagination.mode", mode),
            ("pagination.pointer", "/next"),
            ("since.initial", "0"),
        ];
        let config: ConfigMap = pairs
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        HttpSourceConfig::from_map(&config).unwrap()
    }

    fn edge() -> impl Strategy<Value = Edge> {
        prop_oneof![
            any::<u64>().prop_map(|number| Edge::stored(&json!(number)).unwrap()),
            ".{0,9}".prop_map(|text| Edge::initial(&text)),
        ]
    }

    prop_compose! {
        fn position()(cursor in proptest::option::of(".{1,20}"), pages in 1_u32..9, time in 0_i64..1 << 45, since in edge(), highest in proptest::option::of(edge()), etag in proptest::option::of("[a-z\"]{1,9}")) -> Position {
            Position {
                pages: if cursor.is_some() { pages } else { 0 },
                page: cursor.map(Page::Cursor),
                fetched_at: Some(Timestamp::from_millis(time)),
                since: Some(since),
                highest,
                validators: Validators { etag, modified: None },
            }
        }
    }

    proptest! {
        #[test]
        fn a_stored_position_reads_back_the_same(position in position()) {
            let offset = position.to_offset();
            let stored = serde_json::from_str(&json!(offset).to_string()).unwrap();
            prop_assert_eq!(Position::from_offset(&config("cursor"), &stored), position);
        }
    }

    #[test]
    fn a_page_of_another_configuration_begins_the_fetch_again_at_once() {
        let mut position = Position::beginning(&config("cursor"));
        position.begin(Page::First, Timestamp::from_millis(5));
        position.advance(Step::Next(Page::Cursor("c".into())), Validators::default());
        position.highest = Some(Edge::initial("9"));
        let read = Position::from_offset(&config("page"), &position.to_offset());
        assert_eq!(
            (read.page, read.fetched_at, read.highest),
            (None, None, None)
        );
    }

    #[test]
    fn marks_move_on_only_when_a_fetch_is_whole() {
        let mut position = Position::beginning(&config("cursor"));
        position.begin(Page::First, Timestamp::from_millis(5));
        position.highest = Some(Edge::initial("9"));
        position.advance(Step::Next(Page::Cursor("c".into())), Validators::default());
        assert_eq!(position.since, Some(Edge::initial("0")));
        position.advance(Step::Last, Validators::default());
        assert_eq!(
            (position.since, position.page),
            (Some(Edge::initial("9")), None)
        );
    }
}
