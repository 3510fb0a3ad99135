//! A value that grows from record to record: what is newer is asked for by it.

use std::cmp::Ordering;

use connect_core::data::SourceOffset;
use connect_core::{Error, Result};
use serde_json::Value;
use serde_json::value::RawValue;

/// A number or text found in a record. Kept as JSON, so that a number keeps its spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark(Value);

/// Records at an edge that are remembered, at the most: the offset stays small.
const REMEMBERED: usize = 500;

/// The highest mark seen, and the records that have it: a server that takes a bound as inclusive sends them again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edge {
    mark: Mark,
    /// Hashes of their JSON.
    records: Vec<u64>,
}

impl Mark {
    /// The mark in a record.
    pub(crate) fn of(found: Option<&RawValue>) -> Result<Self> {
        let value = found.and_then(|raw| serde_json::from_str(raw.get()).ok());
        Self::stored(value)
            .ok_or_else(|| Error::data("a record has no number or text at since.pointer"))
    }

    fn stored(value: Option<Value>) -> Option<Self> {
        value
            .filter(|value| value.is_number() || value.is_string())
            .map(Self)
    }

    /// As a request says it.
    pub(crate) fn text(&self) -> String {
        match &self.0 {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    /// Numbers by value, texts by their characters; a text of digits counts as a number beside a number.
    fn compare(&self, other: &Self) -> Ordering {
        if let (Value::String(mine), Value::String(theirs)) = (&self.0, &other.0) {
            return mine.cmp(theirs);
        }
        let (mine, theirs) = (self.text(), other.text());
        match (mine.parse::<i128>(), theirs.parse::<i128>()) {
            (Ok(mine), Ok(theirs)) => mine.cmp(&theirs),
            _ => number(&mine).total_cmp(&number(&theirs)),
        }
    }
}

impl Edge {
    /// The edge the configuration gives for the first fetch: no record is known.
    pub(crate) fn initial(text: &str) -> Self {
        Self {
            mark: Mark(Value::from(text)),
            records: Vec::new(),
        }
    }

    /// An edge read back from an offset, where its mark stands under `name`. One set by hand may be the mark alone. Both once
    /// stood in an object.
    pub(crate) fn stored(offset: &SourceOffset, name: &str) -> Option<Self> {
        let value = offset.get(name)?;
        let mark = value.get("mark").unwrap_or(value).clone();
        let inside = value.get("records").and_then(Value::as_array);
        let inside = inside.into_iter().flatten().filter_map(Value::as_str);
        let beside = offset.get(&records_of(name)).and_then(Value::as_str);
        let hashes = inside.chain(beside.into_iter().flat_map(|text| text.split(',')));
        Some(Self {
            mark: Mark::stored(Some(mark))?,
            records: hashes
                .filter_map(|hash| u64::from_str_radix(hash, 16).ok())
                .collect(),
        })
    }

    /// As an offset keeps it: an offset holds no objects.
    pub(crate) fn fields(&self, name: &str) -> [(String, Value); 2] {
        let hashes = self.records.iter().map(|hash| format!("{hash:016x}"));
        let hashes = hashes.collect::<Vec<_>>().join(",");
        [
            (name.to_owned(), self.mark.0.clone()),
            (records_of(name), Value::from(hashes)),
        ]
    }

    /// What to ask for.
    pub(crate) fn mark(&self) -> &Mark {
        &self.mark
    }

    /// True if `record` was seen at this edge.
    pub(crate) fn has(&self, mark: &Mark, record: &RawValue) -> bool {
        self.mark.compare(mark) == Ordering::Equal && self.records.contains(&hash(record))
    }

    /// The edge after one more record.
    pub(crate) fn with(known: Option<Self>, mark: Mark, record: &RawValue) -> Self {
        let edge = Self {
            mark,
            records: vec![hash(record)],
        };
        Self::later(known, edge)
    }

    /// The higher of two; of equal ones, both.
    pub(crate) fn later(known: Option<Self>, new: Self) -> Self {
        let Some(mut known) = known else {
            return new;
        };
        match known.mark.compare(&new.mark) {
            Ordering::Less => new,
            Ordering::Greater => known,
            Ordering::Equal => {
                let unknown = new
                    .records
                    .iter()
                    .filter(|hash| !known.records.contains(hash));
                let room = REMEMBERED.saturating_sub(known.records.len());
                let unknown: Vec<_> = unknown.copied().take(room).collect();
                known.records.extend(unknown);
                known
            }
        }
    }
}

/// The key of an edge's records.
fn records_of(name: &str) -> String {
    format!("{name}_records")
}

/// A text that is no number stands below every number.
fn number(text: &str) -> f64 {
    text.parse().unwrap_or(f64::NEG_INFINITY)
}

/// FNV-1a, 64 bits: the same in every version.
fn hash(record: &RawValue) -> u64 {
    let bytes = record.get().bytes();
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        serde_json::from_str(text).unwrap()
    }

    fn edge(records: &[(&str, &str)]) -> Edge {
        let mut edge = None;
        for (mark, record) in records {
            let mark = Mark::of(Some(&raw(mark))).unwrap();
            edge = Some(Edge::with(edge.take(), mark, &raw(record)));
        }
        edge.unwrap()
    }

    fn highest(marks: &[&str]) -> String {
        let records: Vec<_> = marks.iter().map(|mark| (*mark, "{}")).collect();
        edge(&records).mark().text()
    }

    #[test]
    fn numbers_go_by_value_and_texts_by_characters() {
        assert_eq!(highest(&["9", "10", "2"]), "10");
        assert_eq!(
            highest(&["9007199254740993", "9007199254740992"]),
            "9007199254740993"
        );
        assert_eq!(highest(&["1.5", "1.25"]), "1.5");
        assert_eq!(
            highest(&["\"2026-02-26T10\"", "\"2026-02-26T09\""]),
            "2026-02-26T10"
        );
        assert_eq!(highest(&["\"0\"", "7"]), "7");
    }

    #[test]
    fn an_edge_knows_the_records_that_have_its_mark_and_no_others() {
        let edge = edge(&[
            ("1", "{\"a\":1}"),
            ("2", "{\"a\":2}"),
            ("2", "{\"a\":3}"),
            ("1", "{\"a\":4}"),
        ]);
        let has =
            |mark: &str, record: &str| edge.has(&Mark::of(Some(&raw(mark))).unwrap(), &raw(record));
        assert!(has("2", "{\"a\":2}") && has("2", "{\"a\":3}"));
        assert!(!has("1", "{\"a\":1}") && !has("2", "{\"a\":5}") && !has("3", "{\"a\":2}"));
        let stored = edge.fields("since").into();
        assert_eq!(Edge::stored(&stored, "since"), Some(edge.clone()));
        assert_eq!(Edge::stored(&stored, "highest"), None);
        let by_hand = [("since".to_owned(), json!(7))].into();
        let by_hand = Edge::stored(&by_hand, "since");
        assert_eq!(by_hand.map(|edge| edge.mark().text()), Some("7".to_owned()));
    }

    #[test]
    fn an_edge_that_was_kept_as_an_object_is_read() {
        let edge = edge(&[("2", "{}")]);
        let [(_, mark), (_, records)] = edge.fields("since");
        let object = json!({"mark": mark, "records": [records]});
        let stored = [("since".to_owned(), object)].into();
        assert_eq!(Edge::stored(&stored, "since"), Some(edge));
    }

    #[test]
    fn a_record_without_a_mark_is_an_error() {
        assert!(Mark::of(None).is_err());
        assert!(Mark::of(Some(&raw("null"))).is_err());
    }
}
