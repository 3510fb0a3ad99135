//! SELECT.

use std::cmp::Ordering;

use super::evaluate::{Scope, Visible};
use super::{Answer, StatementKind};
use crate::catalog::Catalog;
use crate::error::{Refusal, Result};
use crate::session::Session;
use crate::sql::ast::{Expression, From, Items, Projection, Query, Source};
use crate::types::SqlType;
use crate::value::Value;

/// Rows with the names and types of their columns.
pub(super) struct Relation {
    pub(super) columns: Vec<Visible>,
    pub(super) kinds: Vec<SqlType>,
    pub(super) rows: Vec<Vec<Value>>,
}

/// Answers a query.
pub(super) fn select(catalog: &Catalog, session: &Session, query: &Query) -> Result<Answer> {
    let relation = relation(catalog, session, query)?;
    let columns = relation
        .columns
        .into_iter()
        .zip(relation.kinds)
        .map(|(column, kind)| (column.name, kind))
        .collect();
    Ok(Answer {
        columns,
        rows: relation.rows,
        kind: StatementKind::Select,
        upload: None,
    })
}

pub(super) fn relation(catalog: &Catalog, session: &Session, query: &Query) -> Result<Relation> {
    let mut source = match &query.from {
        Some(from) => source(catalog, session, from)?,
        None => Relation {
            columns: Vec::new(),
            kinds: Vec::new(),
            rows: vec![Vec::new()],
        },
    };
    check(&source, session, query)?;
    if let Some(filter) = &query.filter {
        let mut kept = Vec::new();
        for row in source.rows {
            if scope(&source.columns, &row, session)
                .evaluate(filter)?
                .is_true()
            {
                kept.push(row);
            }
        }
        source.rows = kept;
    }
    let Items::List(items) = &query.items else {
        sort(&mut source, session, &query.order, &[])?;
        source.rows.truncate(query.limit.unwrap_or(usize::MAX));
        return Ok(source);
    };
    let aggregates = items.iter().any(|item| is_aggregate(&item.expression));
    if aggregates || !query.group.is_empty() {
        let mut grouped = grouped(&source, session, items, &query.group)?;
        sort(&mut grouped, session, &query.order, items)?;
        grouped.rows.truncate(query.limit.unwrap_or(usize::MAX));
        return Ok(grouped);
    }
    sort(&mut source, session, &query.order, items)?;
    source.rows.truncate(query.limit.unwrap_or(usize::MAX));
    let mut rows = Vec::with_capacity(source.rows.len());
    for row in &source.rows {
        let scope = scope(&source.columns, row, session);
        rows.push(
            items
                .iter()
                .map(|item| scope.evaluate(&item.expression))
                .collect::<Result<Vec<_>>>()?,
        );
    }
    Ok(named(&source, items, rows))
}

/// Refuses names that are not there; names in GROUP BY and ORDER BY may be those of the select list.
fn check(source: &Relation, session: &Session, query: &Query) -> Result<()> {
    let scope = scope(&source.columns, &[], session);
    let items: &[Projection] = match &query.items {
        Items::All => &[],
        Items::List(items) => items,
    };
    let order = query.order.iter().map(|(expression, _)| expression);
    let by = query.group.iter().chain(order);
    let meant = by.map(|expression| selected(expression, items, &source.columns));
    let selected = items.iter().map(|item| &item.expression);
    let mut all = selected.chain(&query.filter).chain(meant);
    all.try_for_each(|expression| scope.check(expression))
}

fn scope<'a>(columns: &'a [Visible], row: &'a [Value], session: &'a Session) -> Scope<'a> {
    Scope {
        columns,
        row,
        session,
    }
}

/// What stands behind FROM.
pub(super) fn source(catalog: &Catalog, session: &Session, from: &From) -> Result<Relation> {
    let mut found = match &from.source {
        Source::Table(name) => table(catalog, session, &session.resolve(name)?)?,
        Source::Query(query) => relation(catalog, session, query)?,
        Source::Values(rows) => values(session, rows)?,
        Source::Stage(_) => {
            let text =
                "SQL compilation error:\nquerying staged files is not supported outside COPY";
            return Err(Refusal::new("002075", "42601", text));
        }
    };
    if let Some(alias) = &from.alias {
        for column in &mut found.columns {
            column.qualifier = Some(alias.clone());
        }
    }
    Ok(found)
}

fn table(catalog: &Catalog, session: &Session, name: &str) -> Result<Relation> {
    let table = catalog
        .tables
        .get(name)
        .ok_or_else(|| Refusal::missing("Object", name))?;
    let rows = match &session.transaction {
        Some(open) => open.rows(table).into_iter().map(|(_, row)| row).collect(),
        None => table.rows.values().cloned().collect::<Vec<_>>(),
    };
    let width = table.columns.len();
    let padded = |row: &[Value]| {
        let mut row = row.to_vec();
        row.resize(width, Value::Null);
        row
    };
    Ok(Relation {
        columns: table
            .columns
            .iter()
            .map(|column| Visible {
                qualifier: Some(name.to_owned()),
                name: column.name.clone(),
            })
            .collect(),
        kinds: table.columns.iter().map(|column| column.kind).collect(),
        rows: rows.iter().map(|row| padded(row)).collect(),
    })
}

fn values(session: &Session, rows: &[Vec<Expression>]) -> Result<Relation> {
    let scope = Scope::bare(session);
    let rows = rows
        .iter()
        .map(|row| row.iter().map(|value| scope.evaluate(value)).collect())
        .collect::<Result<Vec<Vec<_>>>>()?;
    let width = rows.first().map_or(0, Vec::len);
    let columns = (1..=width).map(|number| Visible {
        qualifier: None,
        name: format!("COLUMN{number}"),
    });
    let columns: Vec<_> = columns.collect();
    let kinds = kinds(width, &rows);
    Ok(Relation {
        columns,
        kinds,
        rows,
    })
}

/// The types of computed columns: those of the first values that are not null.
fn kinds(width: usize, rows: &[Vec<Value>]) -> Vec<SqlType> {
    let kind = |index: usize| {
        let mut values = rows.iter().filter_map(|row| row.get(index));
        values
            .find(|value| !value.is_null())
            .map_or(super::TEXT, Value::sql_type)
    };
    (0..width).map(kind).collect()
}

/// Computed rows with their names; a plain column keeps its type.
fn named(source: &Relation, items: &[Projection], rows: Vec<Vec<Value>>) -> Relation {
    let guessed = kinds(items.len(), &rows);
    let kind_of = |item: &Projection, guess: SqlType| match &item.expression {
        Expression::Column(_, name) => source
            .columns
            .iter()
            .position(|column| column.name == *name)
            .and_then(|index| source.kinds.get(index).copied())
            .unwrap_or(guess),
        Expression::Cast(_, kind) => *kind,
        _ => guess,
    };
    Relation {
        kinds: items
            .iter()
            .zip(guessed)
            .map(|(item, guess)| kind_of(item, guess))
            .collect(),
        columns: items
            .iter()
            .map(|item| Visible {
                qualifier: None,
                name: item.name.clone(),
            })
            .collect(),
        rows,
    }
}

fn is_aggregate(expression: &Expression) -> bool {
    match expression {
        Expression::Aggregate { .. } => true,
        Expression::Cast(inner, _) => is_aggregate(inner),
        Expression::Binary(left, _, right) => is_aggregate(left) || is_aggregate(right),
        _ => false,
    }
}

/// Rows by equal values of the grouping expressions, in the order they first appear.
fn grouped(
    source: &Relation,
    session: &Session,
    items: &[Projection],
    group: &[Expression],
) -> Result<Relation> {
    let mut groups: Vec<(String, Vec<&Vec<Value>>)> = Vec::new();
    if group.is_empty() {
        groups.push((String::new(), Vec::new()));
    }
    for row in &source.rows {
        let scope = scope(&source.columns, row, session);
        let mut key = String::new();
        for expression in group {
            let meant = selected(expression, items, &source.columns);
            key += &format!("{:?}\u{0}", scope.evaluate(meant)?);
        }
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, rows)) => rows.push(row),
            None => groups.push((key, vec![row])),
        }
    }
    let mut rows = Vec::new();
    for (_, members) in &groups {
        let row = items
            .iter()
            .map(|item| over_group(source, session, members, &item.expression))
            .collect::<Result<Vec<_>>>()?;
        rows.push(row);
    }
    Ok(named(source, items, rows))
}

fn over_group(
    source: &Relation,
    session: &Session,
    members: &[&Vec<Value>],
    expression: &Expression,
) -> Result<Value> {
    match expression {
        Expression::Aggregate {
            name,
            distinct,
            argument,
        } => {
            let mut values = Vec::new();
            for row in members {
                match argument {
                    None => values.push(Value::Boolean(true)),
                    Some(argument) => {
                        let value = scope(&source.columns, row, session).evaluate(argument)?;
                        if !(value.is_null() || *distinct && values.contains(&value)) {
                            values.push(value);
                        }
                    }
                }
            }
            aggregate(name, values)
        }
        Expression::Cast(inner, kind) => over_group(source, session, members, inner)?.cast(*kind),
        other => match members.first() {
            Some(row) => scope(&source.columns, row, session).evaluate(other),
            None => Ok(Value::Null),
        },
    }
}

fn aggregate(name: &str, values: Vec<Value>) -> Result<Value> {
    match name {
        "COUNT" => Ok(Value::integer(
            i64::try_from(values.len()).unwrap_or(i64::MAX),
        )),
        "SUM" => {
            let mut sum = 0_i128;
            for value in &values {
                if let Value::Number(number) = value.cast(super::INTEGER)? {
                    sum += number.units;
                }
            }
            Ok(Value::number(&sum.to_string()).unwrap_or(Value::Null))
        }
        "MIN" | "MAX" => {
            let wanted = if name == "MIN" {
                Ordering::Less
            } else {
                Ordering::Greater
            };
            let mut best = Value::Null;
            for value in values {
                if best.is_null() || value.compare(&best)? == Some(wanted) {
                    best = value;
                }
            }
            Ok(best)
        }
        _ => Err(Refusal::unknown_function(name)),
    }
}

/// Sorts by expressions over the source, by names of the select list, or by its positions.
fn sort(
    relation: &mut Relation,
    session: &Session,
    order: &[(Expression, bool)],
    items: &[Projection],
) -> Result<()> {
    if order.is_empty() {
        return Ok(());
    }
    let mut keyed = Vec::new();
    for row in std::mem::take(&mut relation.rows) {
        let scope = scope(&relation.columns, &row, session);
        let keys = order
            .iter()
            .map(|(expression, _)| scope.evaluate(selected(expression, items, &relation.columns)))
            .collect::<Result<Vec<_>>>()?;
        keyed.push((keys, row));
    }
    keyed.sort_by(|(left, _), (right, _)| {
        let pairs = left.iter().zip(right).zip(order);
        pairs
            .map(|((left, right), (_, descending))| {
                let order = left.compare(right).ok().flatten();
                // Nulls are the largest.
                let order = order.unwrap_or_else(|| left.is_null().cmp(&right.is_null()));
                if *descending { order.reverse() } else { order }
            })
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    });
    relation.rows = keyed.into_iter().map(|(_, row)| row).collect();
    Ok(())
}

fn selected<'a>(
    expression: &'a Expression,
    items: &'a [Projection],
    columns: &[Visible],
) -> &'a Expression {
    match expression {
        Expression::Column(None, name) if !columns.iter().any(|column| column.name == *name) => {
            items
                .iter()
                .find(|item| item.name == *name)
                .map_or(expression, |item| &item.expression)
        }
        Expression::Value(Value::Number(number)) => usize::try_from(number.units)
            .ok()
            .and_then(|position| items.get(position.wrapping_sub(1)))
            .map_or(expression, |item| &item.expression),
        _ => expression,
    }
}
