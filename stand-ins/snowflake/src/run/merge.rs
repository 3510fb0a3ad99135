//! Statements that change rows: MERGE, INSERT, DELETE.
//!
//! MERGE and DELETE lock their table before they read it, until the transaction ends: so they see what the last holder
//! of the lock has committed.

use super::copy::{complete, placed};
use super::evaluate::{Scope, Visible};
use super::query::{Relation, source};
use super::{Answer, StatementKind};
use crate::catalog::{Catalog, RowId, Table};
use crate::error::{Refusal, Result};
use crate::session::Session;
use crate::sql::ast::{Expression, Merge, ObjectName, Query};
use crate::value::Value;

fn found(catalog: &Catalog, session: &Session, name: &ObjectName) -> Result<Table> {
    let name = session.resolve(name)?;
    let table = catalog.tables.get(&name);
    table
        .cloned()
        .ok_or_else(|| Refusal::missing("Table", &name))
}

fn open(session: &mut Session) -> Result<&mut crate::transaction::Transaction> {
    let missing = || Refusal::new("000603", "XX000", "a statement runs without a transaction");
    session.transaction.as_mut().ok_or_else(missing)
}

/// What a MERGE does.
#[derive(Default)]
struct Effect {
    updates: Vec<(RowId, Vec<Value>)>,
    inserts: Vec<Vec<Value>>,
}

pub(super) fn merge(catalog: &mut Catalog, session: &mut Session, merge: &Merge) -> Result<Answer> {
    let table = found(catalog, session, &merge.table)?;
    let using = source(catalog, session, &merge.source)?;
    check(merge, &table, &using, session)?;
    let rows = open(session)?.rows(&table);
    let mut effect = Effect::default();
    for using_row in &using.rows {
        let mut matched = false;
        for (id, row) in &rows {
            let both = joined(merge, &table, row, &using, using_row);
            let scope = scope(&both, session);
            if !scope.evaluate(&merge.condition)?.is_true() {
                continue;
            }
            matched = true;
            if let Some(assignments) = &merge.update {
                if effect.updates.iter().any(|(updated, _)| updated == id) {
                    let text = "Duplicate row detected during DML action";
                    return Err(Refusal::new("100090", "42P18", text));
                }
                let changed = assigned(&table, row, assignments, &scope)?;
                effect.updates.push((*id, changed));
            }
        }
        if let (false, Some((columns, values))) = (matched, &merge.insert) {
            let both = joined(merge, &table, &[], &using, using_row);
            let scope = scope(&both, session);
            let values = values.iter().map(|value| scope.evaluate(value));
            let values = values.collect::<Result<Vec<_>>>()?;
            effect
                .inserts
                .push(placed(&table, &table.targets(columns)?, values)?.to_vec());
        }
    }
    apply(catalog, session, &table, merge, effect)
}

/// Refuses names that are not there.
fn check(merge: &Merge, table: &Table, using: &Relation, session: &Session) -> Result<()> {
    let both = joined(merge, table, &[], using, &[]);
    let scope = scope(&both, session);
    scope.check(&merge.condition)?;
    let updates = merge.update.iter().flatten().map(|(_, value)| value);
    let inserts = merge.insert.iter().flat_map(|(_, values)| values);
    updates
        .chain(inserts)
        .try_for_each(|value| scope.check(value))
}

fn apply(
    catalog: &mut Catalog,
    session: &mut Session,
    table: &Table,
    merge: &Merge,
    effect: Effect,
) -> Result<Answer> {
    let (updated, inserted) = (effect.updates.len(), effect.inserts.len());
    let changes = open(session)?.changes_of(table);
    for (id, row) in effect.updates {
        match changes.appended.get_mut(&id) {
            Some(appended) => *appended = row.into(),
            None => drop(changes.replaced.insert(id, Some(row.into()))),
        }
    }
    for row in effect.inserts {
        changes.appended.insert(catalog.next_number(), row.into());
    }
    let mut counts = Vec::new();
    if merge.insert.is_some() {
        counts.push(("number of rows inserted", inserted));
    }
    if merge.update.is_some() {
        counts.push(("number of rows updated", updated));
    }
    Ok(Answer::counts(StatementKind::Merge, &counts))
}

/// A row of the table beside one of the source, with the names of both.
struct Joined {
    columns: Vec<Visible>,
    row: Vec<Value>,
}

fn scope<'a>(both: &'a Joined, session: &'a Session) -> Scope<'a> {
    Scope {
        columns: &both.columns,
        row: &both.row,
        session,
    }
}

fn joined(
    merge: &Merge,
    table: &Table,
    row: &[Value],
    using: &Relation,
    using_row: &[Value],
) -> Joined {
    let qualifier = merge.alias.as_deref().unwrap_or(merge.table.last());
    let mut columns: Vec<_> = table
        .columns
        .iter()
        .map(|column| Visible {
            qualifier: Some(qualifier.to_owned()),
            name: column.name.clone(),
        })
        .collect();
    columns.extend(using.columns.iter().cloned());
    let mut values = row.to_vec();
    values.resize(table.columns.len(), Value::Null);
    values.extend(using_row.iter().cloned());
    Joined {
        columns,
        row: values,
    }
}

fn assigned(
    table: &Table,
    row: &[Value],
    assignments: &[(String, Expression)],
    scope: &Scope<'_>,
) -> Result<Vec<Value>> {
    let mut changed = row.to_vec();
    changed.resize(table.columns.len(), Value::Null);
    for (name, expression) in assignments {
        let position = table.known_position(name)?;
        let value = scope.evaluate(expression)?;
        if let (Some(place), Some(column)) =
            (changed.get_mut(position), table.columns.get(position))
        {
            *place = value.cast(column.kind)?;
        }
    }
    complete(table, &changed)?;
    Ok(changed)
}

pub(super) fn insert(
    catalog: &mut Catalog,
    session: &mut Session,
    table: &ObjectName,
    columns: &[String],
    query: &Query,
) -> Result<Answer> {
    let table = found(catalog, session, table)?;
    let targets = table.targets(columns)?;
    let rows = super::query::relation(catalog, session, query)?.rows;
    let count = rows.len();
    let placed = rows.into_iter().map(|row| placed(&table, &targets, row));
    let placed = placed.collect::<Result<Vec<_>>>()?;
    let changes = open(session)?.changes_of(&table);
    for row in placed {
        changes.appended.insert(catalog.next_number(), row);
    }
    Ok(Answer::counts(
        StatementKind::Insert,
        &[("number of rows inserted", count)],
    ))
}

pub(super) fn delete(
    catalog: &Catalog,
    session: &mut Session,
    table: &ObjectName,
    filter: Option<&Expression>,
) -> Result<Answer> {
    let table = found(catalog, session, table)?;
    let rows = open(session)?.rows(&table);
    let columns: Vec<_> = table
        .columns
        .iter()
        .map(|column| Visible {
            qualifier: None,
            name: column.name.clone(),
        })
        .collect();
    let mut deleted = Vec::new();
    for (id, row) in rows {
        let scope = Scope {
            columns: &columns,
            row: &row,
            session,
        };
        if filter.map_or(Ok(true), |filter| {
            scope.evaluate(filter).map(|value| value.is_true())
        })? {
            deleted.push(id);
        }
    }
    let count = deleted.len();
    let changes = open(session)?.changes_of(&table);
    for id in deleted {
        if changes.appended.remove(&id).is_none() {
            changes.replaced.insert(id, None);
        }
    }
    Ok(Answer::counts(
        StatementKind::Delete,
        &[("number of rows deleted", count)],
    ))
}
