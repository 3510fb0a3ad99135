//! Tables and stages: made, changed, dropped, described. DDL is not undone by a rollback.

use super::{Answer, StatementKind, TEXT};
use crate::catalog::{Catalog, Column, Stage, Table};
use crate::error::{Refusal, Result};
use crate::session::Session;
use crate::sql::ast::{Alter, ColumnDefinition, ObjectName, Statement};
use crate::value::Value;

fn exists(name: &str) -> Refusal {
    let text = format!("SQL compilation error:\nObject '{name}' already exists.");
    Refusal::new("002002", "42710", text)
}

fn column(definition: &ColumnDefinition) -> Column {
    Column {
        name: definition.name.clone(),
        kind: definition.kind,
        required: definition.required,
    }
}

/// Runs DDL.
///
/// # Errors
/// The refusal.
pub(super) fn run(
    catalog: &mut Catalog,
    session: &mut Session,
    statement: &Statement,
) -> Result<Answer> {
    match statement {
        Statement::CreateTable {
            name,
            columns,
            if_not_exists,
            or_replace,
        } => {
            let mode = (*if_not_exists, *or_replace);
            create_table(catalog, session, name, columns, mode)
        }
        Statement::CreateStage {
            name,
            if_not_exists,
            temporary,
        } => create_stage(catalog, session, name, (*if_not_exists, *temporary)),
        Statement::AlterTable { name, alter } => alter_table(catalog, session, name, alter),
        Statement::DropTable { name, if_exists } => drop_table(catalog, session, name, *if_exists),
        Statement::DropStage { name, if_exists } => drop_stage(catalog, session, name, *if_exists),
        _ => Err(Refusal::syntax("DDL")),
    }
}

fn create_table(
    catalog: &mut Catalog,
    session: &Session,
    name: &ObjectName,
    columns: &[ColumnDefinition],
    mode: (bool, bool),
) -> Result<Answer> {
    let name = session.resolve(name)?;
    session.may_write("schema", session.schema.as_deref().unwrap_or_default())?;
    let (if_not_exists, or_replace) = mode;
    if catalog.tables.contains_key(&name) && !or_replace {
        if if_not_exists {
            let text = format!("{name} already exists, statement succeeded.");
            return Ok(Answer::status(StatementKind::Ddl, &text));
        }
        return Err(exists(&name));
    }
    for (index, column) in columns.iter().enumerate() {
        if columns
            .iter()
            .skip(index + 1)
            .any(|other| other.name == column.name)
        {
            let text = format!(
                "SQL compilation error:\nduplicate column name '{}'",
                column.name
            );
            return Err(Refusal::new("002025", "42711", text));
        }
    }
    let table = Table {
        identity: catalog.next_number(),
        columns: columns.iter().map(column).collect(),
        rows: std::collections::BTreeMap::new(),
        loaded: std::collections::BTreeSet::new(),
    };
    let text = format!("Table {name} successfully created.");
    catalog.tables.insert(name, table);
    Ok(Answer::status(StatementKind::Ddl, &text))
}

fn create_stage(
    catalog: &mut Catalog,
    session: &mut Session,
    name: &ObjectName,
    mode: (bool, bool),
) -> Result<Answer> {
    let (if_not_exists, temporary) = mode;
    let name = session.resolve(name)?;
    session.may_write("schema", session.schema.as_deref().unwrap_or_default())?;
    if catalog.stages.contains_key(&name) {
        if if_not_exists {
            let text = format!("{name} already exists, statement succeeded.");
            return Ok(Answer::status(StatementKind::Ddl, &text));
        }
        return Err(exists(&name));
    }
    if temporary {
        session.temporary_stages.push(name.clone());
    }
    let text = format!("Stage area {name} successfully created.");
    catalog.stages.insert(name, Stage::default());
    Ok(Answer::status(StatementKind::Ddl, &text))
}

fn alter_table(
    catalog: &mut Catalog,
    session: &Session,
    name: &ObjectName,
    alter: &Alter,
) -> Result<Answer> {
    let name = session.resolve(name)?;
    let table = catalog
        .tables
        .get_mut(&name)
        .ok_or_else(|| Refusal::missing("Table", &name))?;
    session.may_write("table", &name)?;
    match alter {
        Alter::AddColumns {
            columns,
            if_not_exists,
        } => add_columns(table, columns, *if_not_exists)?,
        Alter::DropNotNull(column) => column_of(table, column)?.required = false,
        Alter::SetType(column, kind) => {
            let column = column_of(table, column)?;
            if !column.kind.may_become(*kind) {
                let text = format!(
                    "SQL compilation error: cannot change column {} from type {} to {}",
                    column.name,
                    column.kind.described(),
                    kind.described()
                );
                return Err(Refusal::new("002108", "22000", text));
            }
            column.kind = *kind;
        }
    }
    Ok(Answer::status(
        StatementKind::Ddl,
        "Statement executed successfully.",
    ))
}

fn column_of<'a>(table: &'a mut Table, name: &str) -> Result<&'a mut Column> {
    let mut columns = table.columns.iter_mut();
    columns
        .find(|column| column.name == name)
        .ok_or_else(|| Refusal::identifier(name))
}

fn add_columns(table: &mut Table, columns: &[ColumnDefinition], if_not_exists: bool) -> Result<()> {
    for definition in columns {
        if table.position(&definition.name).is_some() {
            if if_not_exists {
                continue;
            }
            let text = format!(
                "SQL compilation error:\ncolumn '{}' already exists",
                definition.name
            );
            return Err(Refusal::new("001430", "42601", text));
        }
        if definition.required && !table.rows.is_empty() {
            let text = format!(
                "SQL compilation error:\nNon-nullable column '{}' cannot be added to non-empty table",
                definition.name
            );
            return Err(Refusal::new("002029", "42601", text));
        }
        table.columns.push(column(definition));
    }
    Ok(())
}

fn drop_table(
    catalog: &mut Catalog,
    session: &Session,
    name: &ObjectName,
    if_exists: bool,
) -> Result<Answer> {
    let name = session.resolve(name)?;
    session.may_write("table", &name)?;
    if catalog.tables.remove(&name).is_none() && !if_exists {
        return Err(Refusal::missing("Table", &name));
    }
    Ok(Answer::status(
        StatementKind::Ddl,
        &format!("{name} successfully dropped."),
    ))
}

fn drop_stage(
    catalog: &mut Catalog,
    session: &Session,
    name: &ObjectName,
    if_exists: bool,
) -> Result<Answer> {
    let name = session.resolve(name)?;
    session.may_write("stage", &name)?;
    if catalog.stages.remove(&name).is_none() && !if_exists {
        return Err(Refusal::missing("Stage", &name));
    }
    let text = format!("{name} successfully dropped.");
    Ok(Answer::status(StatementKind::Ddl, &text))
}

pub(super) fn describe(catalog: &Catalog, session: &Session, name: &ObjectName) -> Result<Answer> {
    let name = session.resolve(name)?;
    let table = catalog
        .tables
        .get(&name)
        .ok_or_else(|| Refusal::missing("Table", &name))?;
    let rows = table.columns.iter().map(|column| {
        vec![
            Value::text(column.name.as_str()),
            Value::text(column.kind.described()),
            Value::text("COLUMN"),
            Value::text(if column.required { "N" } else { "Y" }),
        ]
    });
    let columns = [
        ("name", TEXT),
        ("type", TEXT),
        ("kind", TEXT),
        ("null?", TEXT),
    ];
    Ok(Answer::new(StatementKind::Select, &columns, rows.collect()))
}
