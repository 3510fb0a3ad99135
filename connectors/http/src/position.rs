//! Where a source stands: within a fetch, or between two. What is stored as its offset, and read back from it.
//!
//! Holds always: a position is that *after* a whole page, so a restart reads a page again rather than miss a record.

use connect_core::data::{SourceOffset, Timestamp};
use connect_core::plugin::{FieldKind, OffsetForm};
use serde_json::{Value, json};

use crate::config::HttpSourceConfig;
use crate::mark::Edge;
use crate::pagination::{PAGE_FIELDS, Page, Step};

/// What a user may set.
pub(crate) const FORM: OffsetForm = OffsetForm {
    partitions: &[&[("url", FieldKind::Text)]],
    offset: &[
        ("since", FieldKind::NumberOrText),
        ("since_records", FieldKind::Text),
        ("highest", FieldKind::NumberOrText),
        ("highest_records", FieldKind::Text),
        ("page", FieldKind::NumberOrText),
        ("cursor", FieldKind::Text),
        ("link", FieldKind::Text),
        ("pages", FieldKind::Whole),
        ("fetched_at", FieldKind::Whole),
        ("etag", FieldKind::Text),
        ("last_modified", FieldKind::Text),
    ],
    required: &[],
};

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

    /// As it is stored: in numbers and texts, so that whoever sees an offset can set it.
    pub(crate) fn to_offset(&self) -> SourceOffset {
        let text = |text: &Option<String>| text.as_deref().map(Value::from);
        let time = self.fetched_at.map(|time| json!(time.as_millis()));
        let fields = [
            ("pages", (self.pages > 0).then(|| json!(self.pages))),
            ("fetched_at", time),
            ("etag", text(&self.validators.etag)),
            ("last_modified", text(&self.validators.modified)),
        ];
        let given = fields.into_iter();
        let given = given.filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let edges = [("since", &self.since), ("highest", &self.highest)];
        let edges = edges
            .into_iter()
            .filter_map(|(name, edge)| Some(edge.as_ref()?.fields(name)));
        let page = self.page.as_ref().map(Page::field);
        given.chain(edges.flatten()).chain(page).collect()
    }

    /// As it was stored. A page of another kind of pagination is not gone on with: the fetch begins again.
    pub(crate) fn from_offset(config: &HttpSourceConfig, offset: &SourceOffset) -> Self {
        let edge = |name: &str| Edge::stored(offset, name);
        let text = |name: &str| Some(offset.get(name)?.as_str()?.to_owned());
        let page = Page::stored(offset);
        let page = page.filter(|page| config.pagination.understands(page));
        let unreadable =
            page.is_none() && PAGE_FIELDS.iter().any(|name| offset.contains_key(*name));
        let time = offset.get("fetched_at").and_then(Value::as_i64);
        let pages = offset.get("pages").and_then(Value::as_u64);
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
    use connect_core::plugin::OffsetChanges;
    use proptest::prelude::*;

    use super::*;

    fn edge_of(mark: Value) -> Edge {
        Edge::stored(&[("since".to_owned(), mark)].into(), "since").unwrap()
    }

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
            any::<u64>().prop_map(|number| edge_of(json!(number))),
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
            let partition = [("url".to_owned(), json!("http://localhost/"))].into();
            let shown = OffsetChanges::Source(vec![(Some(partition), Some(stored))]);
            prop_assert!(FORM.check(&shown).is_ok(), "what is shown can be set");
        }
    }

    #[test]
    fn pages_of_every_kind_are_read_back_also_as_they_were_kept_before() {
        let kinds = [
            ("cursor", Page::First, json!("first")),
            ("page", Page::Number(7), json!({"number": 7})),
            ("cursor", Page::Cursor("c".into()), json!({"cursor": "c"})),
            (
                "link",
                Page::Link("http://l".into()),
                json!({"link": "http://l"}),
            ),
        ];
        for (mode, page, before) in kinds {
            let mut position = Position::beginning(&config(mode));
            position.page = Some(page.clone());
            let read = |offset: SourceOffset| Position::from_offset(&config(mode), &offset).page;
            assert_eq!(read(position.to_offset()).as_ref(), Some(&page));
            assert_eq!(read([("page".to_owned(), before)].into()), Some(page));
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
