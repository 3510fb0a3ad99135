//! From page to page: a pure function of the options, the page just read and what its answer said.

use connect_core::data::SourceOffset;
use connect_core::{Error, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::config::{PaginationMode, PaginationOptions};

/// A page of a fetch. Offsets held it as an object once: it is read so, too.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Page {
    /// The first, where it has no number.
    First,
    /// By number.
    Number(u64),
    /// By the cursor that the page before it named.
    Cursor(String),
    /// By the URL that the page before it named, without secret parameters.
    Link(String),
}

/// The fields of an offset that say which page is next.
pub(crate) const PAGE_FIELDS: [&str; 3] = ["page", "cursor", "link"];

impl Page {
    /// As an offset keeps it: field and value.
    pub(crate) fn field(&self) -> (String, Value) {
        let (name, value) = match self {
            Self::First => ("page", Value::from("first")),
            Self::Number(number) => ("page", Value::from(*number)),
            Self::Cursor(cursor) => ("cursor", Value::from(cursor.as_str())),
            Self::Link(link) => ("link", Value::from(link.as_str())),
        };
        (name.to_owned(), value)
    }

    /// As it was kept.
    pub(crate) fn stored(offset: &SourceOffset) -> Option<Self> {
        let text = |name: &str| Some(offset.get(name)?.as_str()?.to_owned());
        let page = offset.get("page");
        let number = || page?.as_u64().map(Self::Number);
        let first_or_before = || Self::deserialize(page?).ok();
        number()
            .or_else(first_or_before)
            .or_else(|| text("cursor").map(Self::Cursor))
            .or_else(|| text("link").map(Self::Link))
    }
}

/// What an answer says about the page after it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PageAnswer {
    /// Records in the page.
    pub(crate) records: u64,
    /// The next URL, absolute.
    pub(crate) link: Option<String>,
    /// The next cursor.
    pub(crate) cursor: Option<String>,
}

/// What follows a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Next(Page),
    Last,
}

impl PaginationOptions {
    /// The first page of a fetch.
    pub(crate) fn first(&self) -> Page {
        match self.mode {
            PaginationMode::Page => Page::Number(self.start),
            PaginationMode::None | PaginationMode::Link | PaginationMode::Cursor => Page::First,
        }
    }

    /// True if `page` is of the kind that this mode reads: a stored one may be of another configuration.
    pub(crate) fn understands(&self, page: &Page) -> bool {
        match page {
            Page::First => self.mode != PaginationMode::Page,
            Page::Number(_) => self.mode == PaginationMode::Page,
            Page::Cursor(_) => self.mode == PaginationMode::Cursor,
            Page::Link(_) => self.mode == PaginationMode::Link,
        }
    }

    /// What follows `page`, the `pages`th of its fetch.
    pub(crate) fn after(&self, page: &Page, pages: u32, answer: PageAnswer) -> Result<Step> {
        let next = match self.mode {
            PaginationMode::None => None,
            PaginationMode::Link => answer.link.map(Page::Link),
            PaginationMode::Cursor => answer.cursor.map(Page::Cursor),
            PaginationMode::Page => self.number_after(page, answer.records),
        };
        let Some(next) = next else {
            return Ok(Step::Last);
        };
        if next == *page {
            let message = "the page names itself as its next page";
            return Err(Error::external(message).retry(connect_core::RetryVerdict::Never));
        }
        if pages >= self.max_pages {
            let message =
                format!("the fetch goes on after {pages} pages: see pagination.max.pages");
            return Err(Error::external(message).retry(connect_core::RetryVerdict::Never));
        }
        Ok(Step::Next(next))
    }

    fn number_after(&self, page: &Page, records: u64) -> Option<Page> {
        let full = self.size.unwrap_or(1);
        let number = match page {
            Page::Number(number) => *number,
            Page::First | Page::Cursor(_) | Page::Link(_) => self.start,
        };
        let next = number.checked_add(self.step)?;
        (records >= full).then_some(Page::Number(next))
    }
}

/// The target of the link with `rel="next"` in the values of `Link` headers (RFC 8288).
pub(crate) fn next_link<'a>(headers: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    headers.into_iter().find_map(next_in)
}

fn next_in(header: &str) -> Option<&str> {
    let mut rest = header;
    while let Some((_, from_target)) = rest.split_once('<') {
        let (target, parameters) = from_target.split_once('>')?;
        let (own, others) = split_parameters(parameters);
        if is_next(own) {
            return Some(target);
        }
        rest = others;
    }
    None
}

/// The parameters of one link, and what follows its comma. A comma within quotes belongs to the link.
fn split_parameters(text: &str) -> (&str, &str) {
    let mut quoted = false;
    let end = text.find(|character| {
        quoted ^= character == '"';
        character == ',' && !quoted
    });
    end.and_then(|end| text.split_at_checked(end))
        .unwrap_or((text, ""))
}

/// `rel` may hold several types; its name and they do not regard case.
fn is_next(parameters: &str) -> bool {
    parameters.split(';').any(|parameter| {
        let Some((name, value)) = parameter.split_once('=') else {
            return false;
        };
        let types = value.trim().trim_matches('"');
        name.trim().eq_ignore_ascii_case("rel")
            && types
                .split_whitespace()
                .any(|kind| kind.eq_ignore_ascii_case("next"))
    })
}

#[cfg(test)]
mod tests {
    use connect_core::config::{ConfigMap, ConnectorConfig};
    use proptest::prelude::*;

    use super::*;

    fn options(pairs: &[(&str, &str)]) -> PaginationOptions {
        let config: ConfigMap = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        PaginationOptions::from_map(&config).unwrap()
    }

    /// Reads a list of `total` records in pages of `size`; the numbers of the pages asked for.
    fn walk(options: &PaginationOptions, total: u64, size: u64) -> (Vec<u64>, u64) {
        let mut page = options.first();
        let (mut numbers, mut seen) = (Vec::new(), 0);
        loop {
            let Page::Number(number) = page else {
                panic!("a page without a number")
            };
            let skipped = (number - options.start) / options.step * size;
            let records = total.saturating_sub(skipped).min(size);
            seen += records;
            numbers.push(number);
            let answer = PageAnswer {
                records,
                ..PageAnswer::default()
            };
            match options
                .after(&page, u32::try_from(numbers.len()).unwrap(), answer)
                .unwrap()
            {
                Step::Next(next) => page = next,
                Step::Last => return (numbers, seen),
            }
        }
    }

    proptest! {
        #[test]
        fn numbered_pages_bring_every_record_once_and_end(total in 0_u64..500, size in 1_u64..50, known in any::<bool>(), start in 0_u64..2, by_record in any::<bool>()) {
            let (size_text, start) = (size.to_string(), start.to_string());
            let mut pairs = vec![("pagination.mode", "page"), ("pagination.start", start.as_str())];
            if known { pairs.push(("pagination.size", &size_text)); }
            if by_record { pairs.push(("pagination.step", &size_text)); }
            let (numbers, seen) = walk(&options(&pairs), total, size);
            prop_assert_eq!(seen, total);
            prop_assert!(numbers.len() as u64 <= total / size + 2);
        }

        #[test]
        fn a_link_header_of_any_text_does_no_harm(text in ".{0,200}") {
            let _any = next_link([text.as_str()]);
        }
    }

    #[test]
    fn the_next_link_is_found_among_others() {
        let found = |header| next_link([header]);
        assert_eq!(
            found(r#"<https://a/?page=2>; rel="next", <https://a/?page=9>; rel="last""#),
            Some("https://a/?page=2")
        );
        assert_eq!(
            found(r#"<https://a/1>; rel="prev", <https://a/3>; REL=Next"#),
            Some("https://a/3")
        );
        assert_eq!(
            found(r#"</x?ids=1,2>; title="a, b; rel=next"; rel="last next""#),
            Some("/x?ids=1,2")
        );
        assert_eq!(found(r#"<https://a/1>; rel="prev""#), None);
        assert_eq!(found("<unclosed; rel=next"), None);
        assert_eq!(next_link(["<a>; rel=prev", "<b>; rel=next"]), Some("b"));
    }

    #[test]
    fn a_server_that_never_ends_is_stopped() {
        let options = options(&[
            ("pagination.mode", "cursor"),
            ("pagination.pointer", "/next"),
            ("pagination.max.pages", "3"),
        ]);
        let answer = |cursor: &str| PageAnswer {
            cursor: Some(cursor.to_owned()),
            ..PageAnswer::default()
        };
        let page = |cursor: &str| Page::Cursor(cursor.to_owned());
        assert_eq!(
            options.after(&Page::First, 1, answer("b")).unwrap(),
            Step::Next(page("b"))
        );
        let same = options.after(&page("b"), 2, answer("b")).unwrap_err();
        assert!(!same.is_retriable());
        let endless = options.after(&page("c"), 3, answer("d")).unwrap_err();
        assert!(
            endless.message().contains("pagination.max.pages"),
            "{endless}"
        );
        assert_eq!(
            options.after(&page("c"), 3, PageAnswer::default()).unwrap(),
            Step::Last
        );
    }
}
