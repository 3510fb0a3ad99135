//! What happens to files between the look at them and the reading.

use std::io::Write;

use connect_core::config::{ConfigMap, ConnectorConfig};
use connect_core::data::json;
use tempfile::TempDir;

use super::*;

/// A folder, and the files of a task that reads it.
struct Reader {
    folder: TempDir,
    files: Files,
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

impl Reader {
    fn new(more: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("*.csv");
        let basic = [
            ("file", file.to_str().unwrap()),
            ("format", "csv"),
            ("topic", "rows"),
            ("poll.interval.ms", "1"),
        ];
        let config: ConfigMap = basic
            .iter()
            .chain(more)
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let config = FileSourceConfig::from_map(&config).unwrap();
        let files = Files::new(config, Share { task: 0, tasks: 1 }, "rows");
        Self { folder, files }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn append(&self, name: &str, text: &str) {
        let mut options = File::options();
        let file = options.append(true).create(true).open(self.path(name));
        file.unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// The next rows as JSON; none if there is nothing to read.
    fn rows(&mut self, millis: i64) -> Vec<String> {
        loop {
            match self.files.next(at(millis), u64::MAX).unwrap() {
                Next::Messages(messages) => return messages.iter().map(text).collect(),
                Next::Nothing(_) => return Vec::new(),
                Next::Unknown(found) => {
                    for (path, seen) in found {
                        self.files.adopt(path, seen, None, at(millis));
                    }
                }
            }
        }
    }
}

fn text(message: &SourceRecord) -> String {
    let mut text = Vec::new();
    json::write(&message.value, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn a_file_that_loses_its_name_while_it_waits_for_its_turn_is_read_to_its_end_and_the_new_one_once()
{
    let mut reader = Reader::new(&[("finished.after.ms", "-1")]);
    reader.append("a.csv", "id\n1\n");
    reader.append("b.csv", "id\n10\n");
    assert_eq!(reader.rows(0), [r#"{"id":1}"#]);
    assert_eq!(reader.rows(0), [r#"{"id":10}"#]);
    reader.append("a.csv", "2\n");
    reader.append("b.csv", "20\n");
    assert_eq!(reader.rows(100), [r#"{"id":2}"#]);
    // The look at b.csv is old by now.
    std::fs::rename(reader.path("b.csv"), reader.path("gone")).unwrap();
    reader.append("b.csv", "id\n30\n40\n");
    let mut rows = reader.rows(200);
    rows.extend(reader.rows(200));
    assert_eq!(rows, [r#"{"id":20}"#, r#"{"id":30}"#, r#"{"id":40}"#]);
    assert_eq!(reader.rows(300), [""; 0]);
}

#[test]
fn a_writer_that_goes_on_with_its_last_line_just_before_it_is_taken_as_whole_is_waited_for() {
    let mut reader = Reader::new(&[("finished.after.ms", "1000")]);
    reader.append("a.csv", "id\n1");
    reader.append("b.csv", "id\n2");
    assert_eq!(reader.rows(0), [""; 0]);
    assert_eq!(reader.rows(2000), [r#"{"id":1}"#]);
    reader.append("b.csv", "0");
    assert_eq!(reader.rows(2100), [""; 0]);
    reader.append("b.csv", "0\n");
    assert_eq!(reader.rows(2200), [r#"{"id":200}"#]);
}
