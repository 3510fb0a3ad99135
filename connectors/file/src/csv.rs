//! Rows of CSV: RFC 4180 as the options have it, read by csv-core, made into JSON objects or structs.

use std::sync::Arc;

use bytes::Bytes;
use connect_core::data::{Datum, Field, RawJson, Schema, Struct, Type, Value};
use connect_core::{Error, Result};
use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use crate::column::{ColumnType, write_inferred, write_text};
use crate::config::{CsvOptions, ascii};
use crate::row::{Content, Frame};

/// What is known of a file's columns.
#[derive(Debug)]
pub(crate) struct Columns {
    columns: Vec<Column>,
    /// The rows' schema, if they carry one.
    schema: Option<Arc<Schema>>,
    null: String,
    infer: bool,
}

#[derive(Debug)]
struct Column {
    name: String,
    kind: Option<ColumnType>,
    /// What stands before its value in JSON: `{"name":` or `,"name":`.
    prefix: Vec<u8>,
}

/// Reads the rows of one file.
#[derive(Debug)]
pub(crate) struct CsvRows {
    splitter: Splitter,
    columns: Arc<Columns>,
}

/// Finds a row and its values.
#[derive(Debug)]
pub(crate) struct Splitter {
    reader: Reader,
    /// The values of the row just found, one after the other.
    values: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
    count: usize,
}

impl Splitter {
    pub(crate) fn new(options: &CsvOptions) -> Result<Self> {
        let character = |text: &str| ascii(text).map_err(Error::config);
        let quote = character(&options.quote)?;
        let reader = ReaderBuilder::new()
            .delimiter(character(&options.delimiter)?.unwrap_or(b','))
            .quoting(quote.is_some())
            .quote(quote.unwrap_or(b'"'))
            .escape(character(&options.escape)?)
            .build();
        Ok(Self {
            reader,
            values: vec![0; 4096],
            ends: vec![0; 64],
            count: 0,
        })
    }

    /// Finds the first row of `bytes`; its length, or `None` if they end before it does.
    pub(crate) fn split(&mut self, bytes: &[u8]) -> Option<usize> {
        self.reader.reset();
        let (mut read, mut written, mut ended) = (0, 0, 0);
        loop {
            // Nothing left would mean the end of the file to csv-core.
            let rest = bytes.get(read..).filter(|rest| !rest.is_empty())?;
            let values = self.values.get_mut(written..)?;
            let ends = self.ends.get_mut(ended..)?;
            let (result, consumed, filled, found) = self.reader.read_record(rest, values, ends);
            read += consumed;
            written += filled;
            ended += found;
            match result {
                ReadRecordResult::Record => {
                    self.count = ended;
                    return Some(read);
                }
                ReadRecordResult::InputEmpty | ReadRecordResult::End => return None,
                ReadRecordResult::OutputFull => self.values.resize(self.values.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
            }
        }
    }

    /// The values of the row just found; an error if one is not UTF-8.
    pub(crate) fn values(&self) -> impl Iterator<Item = Result<&str, std::str::Utf8Error>> {
        let ends = self.ends.iter().take(self.count);
        let mut start = 0;
        ends.map(move |end| {
            let value = self.values.get(start..*end).unwrap_or_default();
            start = *end;
            std::str::from_utf8(value)
        })
    }
}

impl Columns {
    /// Columns called `names`.
    pub(crate) fn new(names: &[String], options: &CsvOptions) -> Result<Self, String> {
        let mut columns: Vec<Column> = Vec::with_capacity(names.len());
        for name in names {
            if columns.iter().any(|column| column.name == *name) {
                return Err(format!("two columns are called \"{name}\""));
            }
            let mut prefix = vec![if columns.is_empty() { b'{' } else { b',' }];
            write_text(name, &mut prefix);
            prefix.push(b':');
            let kind = options.declared(name);
            columns.push(Column {
                name: name.clone(),
                kind,
                prefix,
            });
        }
        let schema = options.schema.then(|| Arc::new(schema(&columns)));
        let (null, infer) = (options.null.clone(), options.infer);
        Ok(Self {
            columns,
            schema,
            null,
            infer,
        })
    }

    fn datum<'a>(
        &self,
        values: impl Iterator<Item = Result<&'a str, std::str::Utf8Error>>,
    ) -> Result<Datum, String> {
        let values: Vec<&str> = values
            .collect::<Result<_, _>>()
            .map_err(|_| "not UTF-8".to_owned())?;
        if values.len() != self.columns.len() {
            let (values, columns) = (values.len(), self.columns.len());
            return Err(format!("{values} values for {columns} columns"));
        }
        match &self.schema {
            Some(schema) => self.row_with_schema(schema, &values),
            None => self.json_row(&values),
        }
    }

    fn row_with_schema(&self, schema: &Arc<Schema>, values: &[&str]) -> Result<Datum, String> {
        let fields = self.columns.iter().zip(values).map(|(column, text)| {
            if **text == self.null {
                return Ok(Value::Null);
            }
            let kind = column.kind.unwrap_or(ColumnType::Text);
            kind.value(text).ok_or_else(|| not_of_type(column, kind))
        });
        let values = fields.collect::<Result<_, _>>()?;
        let row = Struct {
            schema: schema.clone(),
            values,
        };
        Ok(Datum::with_schema(schema.clone(), Value::Struct(row)))
    }

    fn json_row(&self, values: &[&str]) -> Result<Datum, String> {
        let texts: usize = values.iter().map(|text| text.len()).sum();
        let mut row = Vec::with_capacity(texts + self.columns.len() * 16);
        for (column, text) in self.columns.iter().zip(values) {
            row.extend_from_slice(&column.prefix);
            match column.kind {
                _ if **text == self.null => row.extend_from_slice(b"null"),
                Some(kind) if !kind.write_json(text, &mut row) => {
                    return Err(not_of_type(column, kind));
                }
                Some(_) => {}
                None if self.infer => write_inferred(text, &mut row),
                None => write_text(text, &mut row),
            }
        }
        row.push(b'}');
        let json =
            RawJson::validate(Bytes::from(row)).map_err(|error| error.message().to_owned())?;
        Ok(Datum::json(json))
    }
}

/// The value itself stays out of the message: it may be personal.
fn not_of_type(column: &Column, kind: ColumnType) -> String {
    format!(
        "the value of column \"{}\" is not of type {}",
        column.name,
        kind.name()
    )
}

fn schema(columns: &[Column]) -> Schema {
    let fields = columns.iter().map(|column| Field {
        name: column.name.as_str().into(),
        schema: Arc::new(column.kind.unwrap_or(ColumnType::Text).schema()),
    });
    Schema::new(Type::Struct(fields.collect()))
}

impl CsvRows {
    pub(crate) fn new(options: &CsvOptions, columns: Arc<Columns>) -> Result<Self> {
        Ok(Self {
            splitter: Splitter::new(options)?,
            columns,
        })
    }

    pub(crate) fn next(&mut self, bytes: &[u8]) -> Result<Option<Frame>> {
        if let Some(bytes) = blank(bytes) {
            return Ok(Some(Frame {
                content: Content::Nothing,
                bytes,
            }));
        }
        let Some(bytes) = self.splitter.split(bytes) else {
            return Ok(None);
        };
        let content = match self.columns.datum(self.splitter.values()) {
            Ok(row) => Content::Row(row),
            Err(reason) => Content::Broken(reason),
        };
        Ok(Some(Frame { content, bytes }))
    }
}

/// How many line breaks the bytes begin with.
pub(crate) fn blank(bytes: &[u8]) -> Option<usize> {
    let breaks = bytes
        .iter()
        .take_while(|byte| matches!(byte, b'\r' | b'\n'))
        .count();
    (breaks > 0).then_some(breaks)
}

#[cfg(test)]
mod tests {
    use connect_core::config::{ConfigMap, ConnectorConfig};
    use proptest::prelude::*;

    use super::*;

    fn options(pairs: &[(&str, &str)]) -> CsvOptions {
        let config: ConfigMap = pairs
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect();
        CsvOptions::from_map(&config).unwrap()
    }

    /// All rows of `text`, and what is left.
    fn rows(text: &str, names: &[&str], pairs: &[(&str, &str)]) -> (Vec<String>, String) {
        let options = options(pairs);
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let columns = Arc::new(Columns::new(&names, &options).unwrap());
        let mut reader = CsvRows::new(&options, columns).unwrap();
        let (mut rest, mut found) = (text.as_bytes(), Vec::new());
        while let Some(frame) = reader.next(rest).unwrap() {
            rest = &rest[frame.bytes..];
            match frame.content {
                Content::Row(row) => {
                    found.push(String::from_utf8(row.raw_json().unwrap().to_vec()).unwrap());
                }
                Content::Broken(reason) => found.push(reason),
                Content::Nothing => {}
            }
        }
        (found, String::from_utf8(rest.to_vec()).unwrap())
    }

    #[test]
    fn rows_become_objects_and_a_half_row_stays() {
        let text = "1,John\r\n\n2,\"a \"\"b\"\",\nc\"\n3,\n4,\"Jo";
        let (found, rest) = rows(text, &["id", "name"], &[]);
        assert_eq!(
            found,
            [
                r#"{"id":1,"name":"John"}"#,
                r#"{"id":2,"name":"a \"b\",\nc"}"#,
                r#"{"id":3,"name":null}"#
            ]
        );
        assert_eq!(rest, "4,\"Jo");
    }

    #[test]
    fn delimiters_quotes_and_escapes_are_as_configured() {
        let pairs = [
            ("csv.delimiter", "\\t"),
            ("csv.quote", "'"),
            ("csv.escape", "\\"),
            ("csv.null", "NULL"),
            ("csv.infer", "false"),
        ];
        let (found, _) = rows("1\t'it\\'s'\nNULL\t\n", &["a", "b"], &pairs);
        assert_eq!(found, [r#"{"a":"1","b":"it's"}"#, r#"{"a":null,"b":""}"#]);
        let (found, _) = rows(
            "\"1;2\n",
            &["a", "b"],
            &[("csv.delimiter", ";"), ("csv.quote", "")],
        );
        assert_eq!(found, [r#"{"a":"\"1","b":2}"#]);
    }

    #[test]
    fn a_broken_row_says_why_and_the_next_is_read() {
        let (found, _) = rows("1\nx,2\n3,4\n", &["a", "b"], &[("csv.types", "a:int32")]);
        assert_eq!(
            found,
            [
                "1 values for 2 columns",
                "the value of column \"a\" is not of type int32",
                r#"{"a":3,"b":4}"#
            ]
        );
        let names = ["a".to_owned(), "a".to_owned()];
        assert!(Columns::new(&names, &options(&[])).is_err());
    }

    #[test]
    fn with_a_schema_rows_are_structs_of_the_declared_types() {
        let pairs = [
            ("csv.schema", "true"),
            ("csv.types", "id:int64, price:decimal(2)"),
        ];
        let names = ["id".to_owned(), "price".to_owned(), "note".to_owned()];
        let columns = Columns::new(&names, &options(&pairs)).unwrap();
        let row = columns.datum(["7", "1.5", ""].into_iter().map(Ok)).unwrap();
        let schema = row.schema().unwrap();
        let kinds: Vec<_> = ["id", "price", "note"]
            .map(|name| schema.field(name).unwrap().schema.kind.clone())
            .into();
        assert_eq!(kinds, [Type::Int64, Type::Bytes, Type::String]);
        assert_eq!(row.value().get("id"), Some(&Value::Int64(7)));
        assert_eq!(row.value().get("note"), Some(&Value::Null));
    }

    fn quoted(value: &str) -> String {
        format!("\"{}\"", value.replace('"', "\"\""))
    }

    proptest! {
        #[test]
        fn any_values_survive_and_any_cut_waits(table in proptest::collection::vec(proptest::collection::vec("[ -~\r\n\"é,]{0,8}", 3), 1..6), cut in any::<proptest::sample::Index>()) {
            let lines: Vec<_> = table.iter().map(|row| row.iter().map(|value| quoted(value)).collect::<Vec<_>>().join(",") + "\n").collect();
            let text = lines.concat();
            let pairs = [("csv.infer", "false"), ("csv.null", "\u{1}")];
            let names = ["a", "b", "c"];
            let (found, rest) = rows(&text, &names, &pairs);
            prop_assert_eq!(rest, "");
            let expected: Vec<_> = table.iter().map(|row| serde_json::json!({"a": row[0], "b": row[1], "c": row[2]})).collect();
            let parsed: Vec<serde_json::Value> = found.iter().map(|row| serde_json::from_str(row).unwrap()).collect();
            prop_assert_eq!(&parsed, &expected);

            // Cut anywhere: whole rows come, the rest waits, and nothing is made up.
            let mut at = cut.index(text.len());
            while !text.is_char_boundary(at) { at -= 1; }
            let (first, rest) = rows(&text[..at], &names, &pairs);
            let (second, _) = rows(&format!("{rest}{}", &text[at..]), &names, &pairs);
            prop_assert_eq!([first, second].concat(), found);
        }
    }
}
