//! The list of calls: text files, a call a line.
//!
//! `METHOD PATH [Header: value]… BODY` is a call, `UNTIL PATH TEXT` waits until an answer to GET holds the text,
//! `## Title` begins a section, `#` a comment. In front of a call, `@key` names an intended difference, `~shape` compares
//! nothing but what kind of values there are, `~subset` wants of a list no more than that ours holds all of theirs.
//! A body is sent as JSON unless a header says otherwise; `<empty>` is a body of no bytes.

use anyhow::{Context, Result, bail};

/// How two answers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Mode {
    /// Everything.
    #[default]
    Exact,
    /// What kind of values there are.
    Shape,
    /// Ours holds all entries of theirs.
    Subset,
}

/// A line that does something. Texts hold variables until they are sent.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Call(Call),
    Until { path: String, text: String },
}

/// A call.
#[derive(Debug, Clone, Default)]
pub(super) struct Call {
    pub(super) section: String,
    /// The key of an intended difference.
    pub(super) difference: Option<String>,
    pub(super) mode: Mode,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<String>,
}

/// The lists, in the order in which they run.
pub(super) const LISTS: &[(&str, &str)] = &[
    ("root.http", include_str!("calls/root.http")),
    ("create.http", include_str!("calls/create.http")),
    ("connector.http", include_str!("calls/connector.http")),
    ("lifecycle.http", include_str!("calls/lifecycle.http")),
    ("offsets.http", include_str!("calls/offsets.http")),
    ("plugins.http", include_str!("calls/plugins.http")),
    ("validate.http", include_str!("calls/validate.http")),
    ("loggers.http", include_str!("calls/loggers.http")),
    ("hostile.http", include_str!("calls/hostile.http")),
];

/// The list for workers that do not let connectors override every setting of their clients.
pub(super) const POLICIES: &[(&str, &str)] =
    &[("policies.http", include_str!("calls/policies.http"))];

/// All steps of these lists.
pub(super) fn steps(lists: &[(&str, &str)]) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    for (file, text) in lists {
        let mut section = String::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if let Some(title) = line.strip_prefix("## ") {
                title.clone_into(&mut section);
            } else if !line.is_empty() && !line.starts_with('#') {
                let step = step(line, &section);
                steps.push(step.with_context(|| format!("{file}:{}: {line}", number + 1))?);
            }
        }
    }
    Ok(steps)
}

fn step(line: &str, section: &str) -> Result<Step> {
    if let Some(rest) = line.strip_prefix("UNTIL ") {
        let (path, text) = rest.split_once(' ').context("no text to wait for")?;
        return Ok(Step::Until {
            path: path.to_owned(),
            text: text.to_owned(),
        });
    }
    let mut call = Call {
        section: section.to_owned(),
        ..Call::default()
    };
    let mut rest = line;
    while let Some((mark, after)) = rest.split_once(' ') {
        match mark {
            "~shape" => call.mode = Mode::Shape,
            "~subset" => call.mode = Mode::Subset,
            _ => match mark.strip_prefix('@') {
                Some(key) => call.difference = Some(key.to_owned()),
                None => break,
            },
        }
        rest = after;
    }
    let (method, rest) = rest.split_once(' ').context("no path")?;
    let (path, mut rest) = rest.split_once(' ').unwrap_or((rest, ""));
    while let Some(header) = rest.strip_prefix('[').filter(|rest| is_header(rest)) {
        let (header, after) = header.split_once(']').context("a header without an end")?;
        let (name, value) = header
            .split_once(": ")
            .context("a header without a value")?;
        call.headers.push((name.to_owned(), value.to_owned()));
        rest = after.trim_start();
    }
    if method
        .chars()
        .any(|character| !character.is_ascii_uppercase())
    {
        bail!("{method} is no method");
    }
    method.clone_into(&mut call.method);
    path.clone_into(&mut call.path);
    call.body = (!rest.is_empty()).then(|| rest.to_owned());
    Ok(Step::Call(call))
}

/// A list in a body begins with `[`, too: a header's name has no quote.
fn is_header(rest: &str) -> bool {
    rest.split_once(": ").is_some_and(|(name, _)| {
        !name.is_empty()
            && name
                .chars()
                .all(|character| character.is_ascii_alphabetic() || character == '-')
    })
}

impl Call {
    /// As the report shows it.
    pub(super) fn shown(&self) -> String {
        let mut shown = format!("{} {}", self.method, self.path);
        for (name, value) in &self.headers {
            shown += &format!(" [{name}: {value}]");
        }
        if let Some(body) = &self.body {
            shown += &format!(" {body}");
        }
        shown
    }
}
