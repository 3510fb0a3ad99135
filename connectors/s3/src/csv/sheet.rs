//! The rows of one object, and when its header is written.
//!
//! With `csv.new.fields=widen` rows wait for their header until there are `csv.header.wait.bytes` of them or the object
//! ends: a field that comes meanwhile becomes a column, and rows before it get empty cells at their ends. With the other
//! rules the first record makes the columns. What waits is decided by the records alone, so the same records make the
//! same bytes, however they come in batches.

use std::sync::Arc;

use connect_core::Result;
use connect_core::data::SinkRecord;

use super::cell::write_text;
use super::options::{CsvOptions, NewFields};
use super::row::{Columns, Row, RowFiller, Unknown, VALUE};

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Added {
    /// It is a row of the object.
    Yes,
    /// It has fields that the object's header does not have: it belongs into another object.
    HeaderTooNarrow,
}

/// The rows of one object.
#[derive(Debug)]
pub(crate) struct Sheet {
    options: Arc<CsvOptions>,
    columns: Columns,
    /// Scratch.
    row: Row,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Rows that wait for the header.
    Waiting(Held),
    /// The header is written.
    Written,
}

/// Rows without line ends.
#[derive(Debug, Default)]
struct Held {
    bytes: Vec<u8>,
    /// Where each row ends, and how many cells it has.
    rows: Vec<(usize, usize)>,
}

impl Sheet {
    pub(crate) fn new(options: Arc<CsvOptions>) -> Self {
        let mut columns = Columns::default();
        for name in &options.columns {
            columns.add(name);
        }
        if columns.len() > 0 && options.new_fields == NewFields::Rest {
            columns.add(&options.rest_column);
        }
        Self::of(options, columns)
    }

    /// The sheet that takes what this one cannot: it has the same columns, and may get more.
    pub(crate) fn wider(&self) -> Self {
        Self::of(self.options.clone(), self.columns.clone())
    }

    fn of(options: Arc<CsvOptions>, columns: Columns) -> Self {
        Self {
            options,
            columns,
            row: Row::default(),
            state: State::Waiting(Held::default()),
        }
    }

    /// Bytes in memory: names of columns, rows that wait, and room.
    pub(crate) fn buffered(&self) -> usize {
        self.columns.buffered() + self.row.buffered() + self.held()
    }

    /// Bytes of rows that wait for the header.
    pub(crate) fn held(&self) -> usize {
        match &self.state {
            State::Waiting(held) => {
                held.bytes.len() + held.rows.len() * size_of::<(usize, usize)>()
            }
            State::Written => 0,
        }
    }

    /// Adds a row; appends what is ready to `out`. After an error the sheet is as before.
    pub(crate) fn add(&mut self, record: &SinkRecord, out: &mut Vec<u8>) -> Result<Added> {
        let before = self.columns.len();
        let unknown = self.rule();
        let mut filler = RowFiller::new(&self.options, &mut self.columns, unknown, &mut self.row);
        if let Err(error) = filler.fill(&record.value) {
            self.columns.truncate(before);
            return Err(error);
        }
        if self.row.is_too_narrow() {
            return Ok(Added::HeaderTooNarrow);
        }
        match &mut self.state {
            State::Waiting(held) => {
                self.row.write(&mut held.bytes);
                held.rows.push((held.bytes.len(), self.columns.len()));
                if self.is_time_for_header() {
                    self.write_header(out);
                }
            }
            State::Written => {
                let start = out.len();
                self.row.write(out);
                end_row(out, start, self.columns.len(), self.columns.len());
                out.extend_from_slice(self.options.line_end());
            }
        }
        Ok(Added::Yes)
    }

    /// No row comes any more: appends what waits.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        if matches!(self.state, State::Waiting(_)) {
            self.write_header(out);
        }
    }

    fn rule(&self) -> Unknown {
        let State::Waiting(held) = &self.state else {
            return Unknown::of(self.options.new_fields);
        };
        let makes_columns = held.rows.is_empty() && self.options.columns.is_empty();
        if makes_columns || self.options.new_fields == NewFields::Widen {
            return Unknown::Add;
        }
        Unknown::of(self.options.new_fields)
    }

    fn is_time_for_header(&self) -> bool {
        self.options.new_fields != NewFields::Widen || self.held() >= self.options.header_wait
    }

    fn write_header(&mut self, out: &mut Vec<u8>) {
        let State::Waiting(held) = std::mem::replace(&mut self.state, State::Written) else {
            return;
        };
        if self.options.new_fields == NewFields::Rest {
            self.columns.add(&self.options.rest_column);
        }
        if self.columns.len() == 0 {
            self.columns.add(VALUE);
        }
        let count = self.columns.len();
        out.reserve(held.bytes.len() + held.rows.len() * (count + 2) + 64);
        for (index, name) in self.columns.names().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_text(name, self.options.formula_guard, out);
        }
        out.extend_from_slice(self.options.line_end());
        let mut start = 0;
        for (end, cells) in held.rows {
            let row_start = out.len();
            out.extend_from_slice(held.bytes.get(start..end).unwrap_or_default());
            end_row(out, row_start, cells, count);
            out.extend_from_slice(self.options.line_end());
            start = end;
        }
    }
}

/// Empty cells up to `count`; the row must not be an empty line, which readers pass by.
fn end_row(out: &mut Vec<u8>, start: usize, cells: usize, count: usize) {
    let missing = count - cells.max(1).min(count);
    out.extend(std::iter::repeat_n(b',', missing));
    if out.len() == start {
        out.extend_from_slice(b"\"\"");
    }
}

#[cfg(test)]
mod tests {
    use connect_core::config::{ConfigMap, ConnectorConfig};
    use connect_core::data::{Datum, Field, Schema, Struct, TopicPartition, Type, Value};
    use connect_core::testkit::{self, json_datum};

    use super::*;

    fn record(value: Datum) -> SinkRecord {
        testkit::record(TopicPartition::new("t", 0), 0, Datum::null(), value)
    }

    fn json(text: &str) -> SinkRecord {
        record(json_datum(text))
    }

    fn sheet(options: &[(&str, &str)]) -> Sheet {
        let config = testkit::config(&[("csv.line.end", "lf")], options);
        Sheet::new(Arc::new(CsvOptions::from_map(&config).unwrap()))
    }

    /// Rows of it are nearly empty: the names alone would fill the memory, uncounted.
    #[test]
    fn names_of_columns_count_as_memory_whether_or_not_the_header_is_written() {
        let name = "n".repeat(100_000);
        for wait in ["0", "1000000"] {
            let (mut sheet, mut out) = (sheet(&[("csv.header.wait.bytes", wait)]), Vec::new());
            let fields: Vec<_> = (0..10)
                .map(|number| format!(r#""{name}{number}":null"#))
                .collect();
            let record = json(&format!("{{{}}}", fields.join(",")));
            sheet.add(&record, &mut out).unwrap();
            assert!(sheet.buffered() >= 1_000_000, "{}", sheet.buffered());
            assert!(sheet.buffered() < 1_200_000, "{}", sheet.buffered());
            assert!(sheet.held() < 1_000);
        }
    }

    #[test]
    fn names_of_a_refused_record_do_not_count() {
        let (mut sheet, mut out) = (sheet(&[("csv.nested", "columns")]), Vec::new());
        let text = format!(r#"{{"{}":1,"a.b":1,"a":{{"b":2}}}}"#, "n".repeat(5_000));
        assert!(sheet.add(&json(&text), &mut out).is_err());
        assert_eq!(sheet.columns.buffered(), 0);
    }

    /// The sheets that these records make, one after the other.
    fn sheets(options: &[(&str, &str)], records: &[SinkRecord]) -> Vec<String> {
        let mut texts = Vec::new();
        let (mut sheet, mut out) = (sheet(options), Vec::new());
        for record in records {
            if sheet.add(record, &mut out).unwrap() == Added::HeaderTooNarrow {
                let wider = sheet.wider();
                sheet.finish(&mut out);
                texts.push(String::from_utf8(std::mem::take(&mut out)).unwrap());
                sheet = wider;
                assert_eq!(sheet.add(record, &mut out).unwrap(), Added::Yes);
            }
        }
        sheet.finish(&mut out);
        texts.push(String::from_utf8(out).unwrap());
        texts
    }

    fn of_json(options: &[(&str, &str)], records: &[&str]) -> Vec<String> {
        let records: Vec<_> = records.iter().map(|text| json(text)).collect();
        sheets(options, &records)
    }

    #[test]
    fn fields_that_come_later_widen_the_header_and_missing_ones_are_empty() {
        let records = [
            r#"{"a":1,"b":"x"}"#,
            r#"{"b":"","c":null}"#,
            r#"{"d":true,"a":2.50}"#,
        ];
        assert_eq!(
            of_json(&[], &records),
            ["a,b,c,d\n1,x,,\n,\"\",,\n2.50,,,true\n"]
        );
    }

    #[test]
    fn a_header_that_is_written_stands_and_the_next_object_has_the_wider_one() {
        let records = [r#"{"a":1}"#, r#"{"b":2}"#, r#"{"a":3}"#, r#"{"z":null}"#];
        assert_eq!(
            of_json(&[("csv.header.wait.bytes", "0")], &records),
            ["a\n1\n", "a,b\n,2\n3,\n,\n"]
        );
    }

    #[test]
    fn the_other_rules_keep_the_columns_of_the_first_record_or_the_list() {
        let records = [r#"{"a":1}"#, r#"{"b":[2, {"c":1.0}],"a":"x","d":"q\"q"}"#];
        assert_eq!(
            of_json(&[("csv.new.fields", "ignore")], &records),
            ["a\n1\nx\n"]
        );
        let rest = r#""{""b"":[2,{""c"":1.0}],""d"":""q\""q""}""#;
        assert_eq!(
            of_json(&[("csv.new.fields", "rest")], &records),
            [format!("a,_rest\n1,\nx,{rest}\n")]
        );
        let listed = [("csv.new.fields", "rest"), ("csv.columns", "_rest,n,a")];
        assert_eq!(
            of_json(&listed, &records),
            [format!("_rest,n,a\n,,1\n{rest},,x\n")]
        );
        let refused = sheet(&[("csv.new.fields", "fail"), ("csv.columns", "a")])
            .add(&json(records[1]), &mut Vec::new());
        assert!(refused.unwrap_err().to_string().contains("field b"));
    }

    #[test]
    fn listed_columns_come_first_and_lose_nothing() {
        let records = [r#"{"x":1,"a":2}"#];
        assert_eq!(
            of_json(&[("csv.columns", "a,b")], &records),
            ["a,b,x\n2,,1\n"]
        );
    }

    #[test]
    fn nested_fields_are_json_or_columns() {
        let records = [
            r#"{"id":1,"at":{"city":"Rome","geo":{"lat":1.0}},"tags":["x"],"e":{}}"#,
            r#"{"id":2,"at":null}"#,
        ];
        assert_eq!(
            of_json(&[], &records),
            [
                "id,at,tags,e\n1,\"{\"\"city\"\":\"\"Rome\"\",\"\"geo\"\":{\"\"lat\"\":1.0}}\",\"[\"\"x\"\"]\",{}\n2,,,\n"
            ]
        );
        assert_eq!(
            of_json(&[("csv.nested", "columns")], &records),
            ["id,at.city,at.geo.lat,tags,e\n1,Rome,1.0,\"[\"\"x\"\"]\",{}\n2,,,,\n"]
        );
    }

    #[test]
    fn a_schema_gives_the_columns_even_of_structs_that_are_null() {
        let text = Arc::new(Schema::new(Type::String).optional());
        let field = |name: &str, schema: &Arc<Schema>| Field {
            name: name.into(),
            schema: schema.clone(),
        };
        let place = Arc::new(Schema::new(Type::Struct(vec![field("city", &text)])).optional());
        let fields = vec![
            field("id", &text),
            field("at", &place),
            field("note", &text),
        ];
        let schema = Arc::new(Schema::new(Type::Struct(fields)));
        let values = vec![Value::string("7"), Value::Null, Value::Null];
        let value = Value::Struct(Struct {
            schema: schema.clone(),
            values,
        });
        let records = [record(Datum::with_schema(schema, value))];
        assert_eq!(sheets(&[], &records), ["id,at,note\n7,,\n"]);
        assert_eq!(
            sheets(&[("csv.nested", "columns")], &records),
            ["id,at.city,note\n7,,\n"]
        );
    }

    #[test]
    fn what_is_no_struct_is_the_column_value_and_no_row_is_an_empty_line() {
        assert_eq!(
            of_json(&[], &["1", "\"a,b\"", "[1]"]),
            ["value\n1\n\"a,b\"\n[1]\n"]
        );
        assert_eq!(of_json(&[], &["{}", "{}"]), ["value\n\"\"\n\"\"\n"]);
        assert_eq!(of_json(&[], &["{}", r#"{"a":1}"#]), ["a\n\"\"\n1\n"]);
        assert_eq!(
            of_json(&[("csv.header.wait.bytes", "0")], &[r#"{"a":1}"#, "{}"]),
            ["a\n1\n\"\"\n"]
        );
    }

    #[test]
    fn two_values_for_one_column_are_refused_and_leave_no_trace() {
        let mut sheet = sheet(&[("csv.nested", "columns")]);
        let mut out = Vec::new();
        sheet.add(&json(r#"{"a":1}"#), &mut out).unwrap();
        let twice = json(r#"{"new":1,"a":{"b":1},"a.b":2}"#);
        let error = sheet.add(&twice, &mut out).unwrap_err();
        assert!(error.to_string().contains("column a.b"), "{error}");
        sheet.finish(&mut out);
        assert_eq!(out, b"a\n1\n");
    }

    #[test]
    fn rows_end_as_rfc_4180_has_it_unless_told_otherwise() {
        let options = CsvOptions::from_map(&ConfigMap::new()).unwrap();
        let mut sheet = Sheet::new(Arc::new(options));
        let mut out = Vec::new();
        sheet.add(&json(r#"{"a":1}"#), &mut out).unwrap();
        sheet.finish(&mut out);
        assert_eq!(out, b"a\r\n1\r\n");
    }

    type Fields = std::collections::BTreeMap<String, Option<String>>;

    /// What an independent reader finds: rows as fields that are not empty.
    fn read(text: &str) -> Vec<Fields> {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let rows = reader.deserialize::<std::collections::BTreeMap<String, String>>();
        rows.map(|row| {
            let cells = row.unwrap().into_iter();
            cells
                .filter(|(_, cell)| !cell.is_empty())
                .map(|(name, cell)| (name, Some(cell)))
                .collect()
        })
        .collect()
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_a_reader_finds_every_value_in_its_column(
            rows in proptest::collection::vec(
                proptest::collection::btree_map("[a-e\",\n]{1,2}", proptest::option::of("(?s).{0,6}"), 0..5), 0..12),
            wait in proptest::sample::select(vec!["0", "40", "1048576"]),
        ) {
            let records: Vec<_> = rows.iter().map(|row| json(&serde_json::json!(row).to_string())).collect();
            let written = sheets(&[("csv.header.wait.bytes", wait)], &records);
            let found: Vec<_> = written.iter().flat_map(|text| read(text)).collect();
            let filled = |row: &Fields| row.iter().filter(|(_, cell)| cell.as_ref().is_some_and(|cell| !cell.is_empty())).map(|(name, cell)| (name.clone(), cell.clone())).collect::<Fields>();
            proptest::prop_assert_eq!(found, rows.iter().map(filled).collect::<Vec<_>>());
        }
    }
}
