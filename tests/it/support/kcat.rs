//! kcat: what another program writes to topics, and reads of them.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

const MISSING: &str = "starting kcat: `make test` installs it on Debian";

/// All committed records of a topic, a line each in a format of kcat's: `%p %o %k %s` for partition, offset, key, value.
pub(crate) fn lines(bootstrap: &str, topic: &str, format: &str) -> Result<Vec<String>> {
    let text = read(bootstrap, topic, &["-f", &format!("{format}\n")])?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// All committed records of a topic with their headers.
pub(crate) fn records(bootstrap: &str, topic: &str) -> Result<Vec<Record>> {
    let text = read(bootstrap, topic, &["-J"])?;
    text.lines()
        .map(|line| Ok(Record::of(&serde_json::from_str(line)?)))
        .collect()
}

fn read(bootstrap: &str, topic: &str, shown: &[&str]) -> Result<String> {
    let output = Command::new("kcat")
        .args(["-C", "-e", "-q", "-b", bootstrap, "-t", topic])
        .args(["-X", "isolation.level=read_committed", "-o", "beginning"])
        .args(shown)
        .output()
        .context(MISSING)?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{errors}");
    Ok(String::from_utf8(output.stdout)?)
}

/// Writes values without keys, with the header `made-by: kcat`.
pub(crate) fn produce(
    bootstrap: &str,
    topic: &str,
    values: impl Iterator<Item = String>,
) -> Result<()> {
    let mut kcat = Command::new("kcat")
        .args(["-P", "-b", bootstrap, "-t", topic])
        .args(["-H", "made-by=kcat"])
        .stdin(Stdio::piped())
        .spawn()
        .context(MISSING)?;
    let mut lines = BufWriter::new(kcat.stdin.take().context("piped")?);
    for value in values {
        writeln!(lines, "{value}")?;
    }
    lines.flush()?;
    drop(lines);
    ensure!(kcat.wait()?.success(), "kcat failed");
    Ok(())
}

/// A record as kcat has read it.
pub(crate) struct Record {
    pub(crate) value: String,
    /// Names of headers, in order.
    pub(crate) names: Vec<String>,
    pub(crate) headers: BTreeMap<String, String>,
}

impl Record {
    fn of(record: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        // Without any there is no such key.
        let headers = record["headers"].as_array().map_or(&[][..], Vec::as_slice);
        Self {
            value: text(&record["payload"]),
            names: headers.iter().step_by(2).map(text).collect(),
            headers: headers
                .chunks_exact(2)
                .map(|pair| (text(&pair[0]), text(&pair[1])))
                .collect(),
        }
    }

    /// What a dead letter says of its error.
    pub(crate) fn error(&self, name: &str) -> &str {
        self.headers
            .get(&format!("__connect.errors.{name}"))
            .map_or("", String::as_str)
    }
}
