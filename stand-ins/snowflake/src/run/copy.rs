//! COPY INTO: files of a stage become rows, each file once per table.

use std::collections::BTreeSet;
use std::io::Read;

use flate2::read::MultiGzDecoder;
use serde_json::Value as Json;

use super::evaluate::{Scope, Visible};
use super::{Answer, INTEGER, StatementKind, TEXT};
use crate::catalog::{Catalog, Row, StagedFile, Table};
use crate::error::{Refusal, Result};
use crate::session::Session;
use crate::sql::ast::Copy;
use crate::value::Value;

/// FILES takes no more names than this.
const MOST_FILES: usize = 1000;

/// Options that change nothing here, with the values they may have.
const ACCEPTED: [(&str, &[&str]); 4] = [
    ("TYPE", &["JSON"]),
    ("COMPRESSION", &["GZIP", "AUTO"]),
    ("ON_ERROR", &["ABORT_STATEMENT"]),
    ("PURGE", &["FALSE"]),
];

/// Loads files; an answer row per file. Nothing is loaded if anything is wrong.
pub(super) fn copy(catalog: &mut Catalog, session: &mut Session, copy: &Copy) -> Result<Answer> {
    let force = options(copy)?;
    let name = session.resolve(&copy.table)?;
    let files = wanted(catalog, session, copy)?;
    let table = catalog
        .tables
        .get(&name)
        .ok_or_else(|| Refusal::missing("Table", &name))?;
    let targets = table.targets(&copy.columns)?;
    let mut loads = Vec::new();
    for (path, file) in files {
        let mark = (path, file.digest.clone());
        let open = session.transaction.as_ref().ok_or_else(no_transaction)?;
        if force || !open.has_loaded(table, &mark) {
            let rows = load(session, copy, table, &targets, &mark.0, &file)?;
            loads.push((mark, rows));
        }
    }
    let identity = table.identity;
    let open = session.transaction.as_mut().ok_or_else(no_transaction)?;
    let changes = open.changes.entry(identity).or_default();
    let mut answers = Vec::new();
    for (mark, rows) in loads {
        let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        answers.push(loaded(&mark.0, count));
        for row in rows {
            changes.appended.insert(catalog.next_number(), row);
        }
        changes.loaded.insert(mark);
    }
    if answers.is_empty() {
        let text = "Copy executed with 0 files processed.";
        return Ok(Answer::status(StatementKind::Copy, text));
    }
    Ok(Answer::new(StatementKind::Copy, &COLUMNS, answers))
}

const COLUMNS: [(&str, crate::types::SqlType); 6] = [
    ("file", TEXT),
    ("status", TEXT),
    ("rows_parsed", INTEGER),
    ("rows_loaded", INTEGER),
    ("error_limit", INTEGER),
    ("errors_seen", INTEGER),
];

fn loaded(path: &str, count: i64) -> Vec<Value> {
    vec![
        Value::text(path),
        Value::text("LOADED"),
        Value::integer(count),
        Value::integer(count),
        Value::integer(1),
        Value::integer(0),
    ]
}

fn no_transaction() -> Refusal {
    Refusal::new("000603", "XX000", "a statement runs without a transaction")
}

/// Checks the options; true if files are loaded again.
fn options(copy: &Copy) -> Result<bool> {
    let mut force = false;
    for (key, value) in &copy.options {
        if key == "FORCE" {
            force = value.eq_ignore_ascii_case("TRUE");
            continue;
        }
        let known = ACCEPTED.iter().find(|(name, _)| name == key);
        let is_accepted = known.is_some_and(|(_, values)| {
            values
                .iter()
                .any(|accepted| value.eq_ignore_ascii_case(accepted))
        });
        if !is_accepted {
            let text =
                format!("SQL compilation error:\ninvalid value ['{value}'] for parameter '{key}'");
            return Err(Refusal::new("001008", "22023", text));
        }
    }
    Ok(force)
}

/// The files to load: those named, each of which must be there, or all below the path.
fn wanted(catalog: &Catalog, session: &Session, copy: &Copy) -> Result<Vec<(String, StagedFile)>> {
    let name = session.resolve(&copy.from.stage)?;
    let stage = catalog
        .stages
        .get(&name)
        .ok_or_else(|| Refusal::missing("Stage", &name))?;
    let Some(names) = &copy.files else {
        let below = stage.files.range(copy.from.path.clone()..);
        return Ok(below
            .take_while(|(path, _)| path.starts_with(&copy.from.path))
            .map(|(path, file)| (path.clone(), file.clone()))
            .collect());
    };
    if names.len() > MOST_FILES {
        let text = format!(
            "SQL compilation error:\nThe number of files in FILES exceeds the limit of {MOST_FILES}."
        );
        return Err(Refusal::new("001012", "42601", text));
    }
    let folder = copy.from.path.trim_end_matches('/');
    let paths: BTreeSet<_> = names
        .iter()
        .map(|name| {
            format!("{folder}/{name}")
                .trim_start_matches('/')
                .to_owned()
        })
        .collect();
    let found = paths.into_iter().map(|path| match stage.files.get(&path) {
        Some(file) => Ok((path, file.clone())),
        None => {
            let text = format!("Remote file '{path}' was not found. If you are running a copy command, please make sure files are not deleted when they are being loaded.");
            Err(Refusal::new("091016", "22000", text))
        }
    });
    found.collect()
}

/// A file's documents as rows.
fn load(
    session: &Session,
    copy: &Copy,
    table: &Table,
    targets: &[usize],
    path: &str,
    file: &StagedFile,
) -> Result<Vec<Row>> {
    let mut text = String::new();
    let refused = |cause: &dyn std::fmt::Display| {
        let text = format!("Error parsing JSON: {cause}\n  File '{path}', line 1, character 1");
        Refusal::new("100069", "22P02", text)
    };
    MultiGzDecoder::new(&*file.content)
        .read_to_string(&mut text)
        .map_err(|cause| refused(&cause))?;
    let mut rows = Vec::new();
    for document in serde_json::Deserializer::from_str(&text).into_iter::<Json>() {
        let document = document.map_err(|cause| refused(&cause))?;
        let values = projected(session, copy, Value::json(document))?;
        rows.push(placed(table, targets, values)?);
    }
    Ok(rows)
}

fn projected(session: &Session, copy: &Copy, document: Value) -> Result<Vec<Value>> {
    let Some(items) = &copy.items else {
        return Ok(vec![document]);
    };
    let row = [document];
    let scope = Scope {
        columns: &[] as &[Visible],
        row: &row,
        session,
    };
    items
        .iter()
        .map(|item| scope.evaluate(&item.expression))
        .collect()
}

/// Values at their columns, as their types, nothing missing that is required.
pub(super) fn placed(table: &Table, targets: &[usize], values: Vec<Value>) -> Result<Row> {
    if values.len() != targets.len() {
        let text = format!(
            "SQL compilation error:\nInsert value list does not match column list expecting {} but got {}",
            targets.len(),
            values.len()
        );
        return Err(Refusal::new("002020", "21S01", text));
    }
    let mut row = vec![Value::Null; table.columns.len()];
    for (target, value) in targets.iter().zip(values) {
        if let (Some(place), Some(column)) = (row.get_mut(*target), table.columns.get(*target)) {
            *place = value.cast(column.kind)?;
        }
    }
    complete(table, &row)?;
    Ok(row.into())
}

/// Refuses nulls where there must be none.
pub(super) fn complete(table: &Table, row: &[Value]) -> Result<()> {
    for (column, value) in table.columns.iter().zip(row) {
        if column.required && value.is_null() {
            let text = format!("NULL result in a non-nullable column {}", column.name);
            return Err(Refusal::new("100072", "22000", text));
        }
    }
    Ok(())
}
