//! Tables as they are: their columns, read from the catalogue; made and widened where the options allow it.
//!
//! Holds always: a table is made or changed in a transaction of its own, under an advisory lock, after another look: of
//! two tasks that need the same change one makes it and the other finds it done.

use connect_core::{Error, Result};
use tokio_postgres::Client;
use tracing::info;

use crate::column::{ColumnType, NewType};
use crate::config::PostgresSinkConfig;
use crate::error::WriteError;
use crate::identifier::{Identifier, TableName};

/// A column of a table.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// Its name.
    pub(crate) name: Identifier,
    /// How its values are written.
    pub(crate) kind: ColumnType,
    /// Its type as it was declared.
    pub(crate) declared: String,
}

impl Column {
    /// True if values are sent as text and cast by the server.
    pub(crate) fn is_cast(&self) -> bool {
        matches!(self.kind, ColumnType::Cast)
    }

    /// `expression` as a value of this column.
    pub(crate) fn cast_from(&self, expression: &str) -> String {
        if self.is_cast() {
            format!("{expression}::{}", self.declared)
        } else {
            expression.to_owned()
        }
    }
}

/// A table, or a view that takes rows.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    /// Its name.
    pub(crate) name: TableName,
    /// Its columns.
    pub(crate) columns: Vec<Column>,
    /// True if COPY may write to it; else rows go through a staging table.
    pub(crate) takes_copy: bool,
    /// Tells whether it is still as it was read; none without columns.
    pub(crate) fingerprint: Option<i64>,
}

/// A column that a table does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewColumn {
    pub(crate) name: Identifier,
    pub(crate) kind: NewType,
    /// False if null is allowed.
    pub(crate) required: bool,
    /// The default, as SQL.
    pub(crate) default: Option<String>,
    pub(crate) is_key: bool,
}

impl NewColumn {
    /// The column's clause in CREATE TABLE and ALTER TABLE.
    fn clause(&self) -> String {
        let (name, kind) = (self.name.quoted(), self.kind.sql());
        let default = self
            .default
            .as_ref()
            .map(|default| format!(" DEFAULT {default}"))
            .unwrap_or_default();
        let null = if self.required || self.is_key {
            "NOT NULL"
        } else {
            "NULL"
        };
        format!("{name} {kind}{default} {null}")
    }
}

impl Table {
    /// The column for a field: the one with its name, else the only one that differs by case.
    pub(crate) fn column(&self, name: &Identifier) -> Option<usize> {
        let exact = self.columns.iter().position(|column| column.name == *name);
        exact.or_else(|| {
            let folded = name.as_str().to_lowercase();
            let mut alike = self
                .columns
                .iter()
                .enumerate()
                .filter(|(_, column)| column.name.as_str().to_lowercase() == folded);
            match (alike.next(), alike.next()) {
                (Some((index, _)), None) => Some(index),
                _ => None,
            }
        })
    }
}

/// Differs when a column's name, type or place does.
macro_rules! fingerprint {
    () => {
        "(SELECT hashtextextended(string_agg(attnum || ' ' || atttypid || ' ' || attname, ',' ORDER BY attnum), 0) \
         FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped)"
    };
}

const FIND: &str = concat!(
    "SELECT relation.oid, relation.relkind::text, row_security_active(relation.oid), current_database()::text, ",
    fingerprint!(),
    " FROM pg_class relation WHERE relation.oid = to_regclass($1)"
);

const COLUMNS: &str = "SELECT attribute.attname::text, base.oid, base.typtype = 'e', \
     coalesce(element.oid, 0), coalesce(element.typtype = 'e', false), \
     format_type(attribute.atttypid, attribute.atttypmod) \
     FROM pg_attribute attribute \
     JOIN pg_type type ON type.oid = attribute.atttypid \
     JOIN pg_type base ON base.oid = CASE WHEN type.typtype = 'd' THEN type.typbasetype ELSE type.oid END \
     LEFT JOIN pg_type element ON base.typcategory = 'A' AND element.oid = base.typelem \
     WHERE attribute.attrelid = $1 AND attribute.attnum > 0 AND NOT attribute.attisdropped \
     ORDER BY attribute.attnum";

/// Reads a table; `None` if there is none of this name.
///
/// # Errors
/// What the server said; a configuration error if it is not of a type that `table.types` allows.
pub(crate) async fn read(
    client: &Client,
    name: &TableName,
    config: &PostgresSinkConfig,
) -> Result<Option<Table>, WriteError> {
    let Some(found) = client.query_opt(FIND, &[&name.quoted()]).await? else {
        return Ok(None);
    };
    let oid: u32 = found.try_get(0)?;
    let relation: String = found.try_get(1)?;
    let row_security: bool = found.try_get(2)?;
    let database: String = found.try_get(3)?;
    check_catalog(name, &database)?;
    check_type(name, &relation, config)?;
    let mut columns = Vec::new();
    for row in client.query(COLUMNS, &[&oid]).await? {
        let column: String = row.try_get(0)?;
        columns.push(Column {
            name: Identifier::new(&column, crate::config::Quoting::Always),
            kind: ColumnType::of(
                row.try_get(1)?,
                row.try_get(2)?,
                row.try_get(3)?,
                row.try_get(4)?,
            ),
            declared: row.try_get(5)?,
        });
    }
    Ok(Some(Table {
        name: name.clone(),
        columns,
        takes_copy: relation != "v" && !row_security,
        // Read before the columns: a change in between shows as another one later.
        fingerprint: found.try_get(4)?,
    }))
}

/// SQL that fails, with [`CHANGED`], unless the table still is as it was read. It is asked with the locks of a transaction
/// that has written: binary values in columns of another type would be other values.
pub(crate) fn verification(table: &Table) -> String {
    let name = format!("'{}'", table.name.quoted().replace('\'', "''"));
    let found = fingerprint!().replace("$1", &name);
    let known = table
        .fingerprint
        .map_or("NULL".to_owned(), |known| known.to_string());
    format!("SELECT 1 / (CASE WHEN {found} IS NOT DISTINCT FROM ({known})::int8 THEN 1 ELSE 0 END)")
}

/// The SQLSTATE of a division by zero: the shortest way for a statement to fail on purpose.
pub(crate) const CHANGED: &str = "22012";

fn check_catalog(name: &TableName, database: &str) -> Result<()> {
    match name.catalog() {
        Some(catalog) if catalog != database => Err(Error::config(format!(
            "the table is in the database {catalog}, but connection.url is about {database}"
        ))
        .operation("table")
        .target(name.quoted())),
        _ => Ok(()),
    }
}

fn check_type(name: &TableName, relation: &str, config: &PostgresSinkConfig) -> Result<()> {
    let found = match relation {
        "r" => "TABLE",
        "p" => "PARTITIONED TABLE",
        "v" => "VIEW",
        "f" => "FOREIGN TABLE",
        "m" => "MATERIALIZED VIEW",
        _ => "OTHER",
    };
    let allowed = &config.writes.table_types;
    if allowed
        .iter()
        .any(|allowed| allowed.eq_ignore_ascii_case(found))
    {
        return Ok(());
    }
    let text = format!("it is a {found}, and table.types is {}", allowed.join(","));
    Err(Error::config(text).operation("table").target(name.quoted()))
}

/// Makes the table, or adds what it lacks, unless somebody else has done so meanwhile.
///
/// # Errors
/// A configuration error if the options do not allow it.
pub(crate) async fn provide(
    client: &mut Client,
    name: &TableName,
    columns: &[NewColumn],
    config: &PostgresSinkConfig,
) -> Result<(), WriteError> {
    check_allowed(
        read(client, name, config).await?.as_ref(),
        name,
        columns,
        config,
    )?;
    let transaction = client.transaction().await?;
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
    let key = format!("sluice changes {}", name.quoted());
    transaction.execute(lock, &[&key]).await?;
    let found = read(transaction.client(), name, config).await?;
    if let Some(statement) = change(name, found.as_ref(), columns) {
        info!(table = name.quoted(), statement, "changing the table");
        transaction.batch_execute(&statement).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// The statement that makes the table, or adds what it lacks; `None` if it lacks nothing.
pub(crate) fn change(
    name: &TableName,
    found: Option<&Table>,
    columns: &[NewColumn],
) -> Option<String> {
    let Some(table) = found else {
        return Some(create(name, columns));
    };
    let missing = lacking(table, columns);
    (!missing.is_empty()).then(|| alter(name, &missing))
}

fn lacking<'a>(table: &Table, columns: &'a [NewColumn]) -> Vec<&'a NewColumn> {
    let is_missing = |column: &&NewColumn| table.column(&column.name).is_none();
    columns.iter().filter(is_missing).collect()
}

/// Whether the options allow that the table is made, or gets these columns.
///
/// # Errors
/// A configuration error if they do not.
pub(crate) fn check_allowed(
    found: Option<&Table>,
    name: &TableName,
    columns: &[NewColumn],
    config: &PostgresSinkConfig,
) -> Result<()> {
    let shown = name.quoted();
    let Some(table) = found else {
        if config.ddl.auto_create {
            return Ok(());
        }
        let text = format!("Table {shown} is missing and auto-creation is disabled");
        return Err(Error::config(text));
    };
    let missing = lacking(table, columns);
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = missing.iter().map(|column| column.name.as_str()).collect();
    if !config.ddl.auto_evolve {
        let names = names.join(", ");
        let text =
            format!("Table {shown} is missing fields ([{names}]) and auto-evolution is disabled");
        return Err(Error::config(text));
    }
    let impossible = missing
        .iter()
        .find(|column| (column.required || column.is_key) && column.default.is_none());
    if let Some(column) = impossible {
        let field = column.name.as_str();
        let text = format!(
            "Cannot ALTER TABLE {shown} to add missing field {field}, as the field is not optional and does not have a default value"
        );
        return Err(Error::config(text));
    }
    Ok(())
}

const TYPE: &str = "SELECT type.oid, coalesce(element.oid, 0), format_type(type.oid, NULL) FROM pg_type type \
     LEFT JOIN pg_type element ON type.typcategory = 'A' AND element.oid = type.typelem \
     WHERE type.oid = to_regtype($1)";

/// The table as it will be once it is made, or has these columns too. Nothing is changed.
///
/// # Errors
/// What the server said.
pub(crate) async fn planned(
    client: &Client,
    name: &TableName,
    found: Option<Table>,
    columns: &[NewColumn],
) -> Result<Table, WriteError> {
    let mut table = found.unwrap_or_else(|| Table {
        name: name.clone(),
        columns: Vec::new(),
        takes_copy: true,
        fingerprint: None,
    });
    for column in columns {
        if table.column(&column.name).is_some() {
            continue;
        }
        let kind = client.query_one(TYPE, &[&column.kind.sql()]).await?;
        table.columns.push(Column {
            name: column.name.clone(),
            kind: ColumnType::of(kind.try_get(0)?, false, kind.try_get(1)?, false),
            declared: kind.try_get(2)?,
        });
    }
    Ok(table)
}

fn create(name: &TableName, columns: &[NewColumn]) -> String {
    let mut clauses: Vec<_> = columns.iter().map(NewColumn::clause).collect();
    let keys: Vec<_> = columns
        .iter()
        .filter(|column| column.is_key)
        .map(|column| column.name.quoted())
        .collect();
    if !keys.is_empty() {
        clauses.push(format!("PRIMARY KEY({})", keys.join(",")));
    }
    let (name, clauses) = (name.quoted(), clauses.join(",\n"));
    format!("CREATE TABLE IF NOT EXISTS {name} (\n{clauses})")
}

fn alter(name: &TableName, columns: &[&NewColumn]) -> String {
    let clauses: Vec<_> = columns
        .iter()
        .map(|column| format!("ADD COLUMN IF NOT EXISTS {}", column.clause()))
        .collect();
    format!("ALTER TABLE {} {}", name.quoted(), clauses.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Quoting;

    fn new(name: &str, kind: &'static str, required: bool, is_key: bool) -> NewColumn {
        NewColumn {
            name: Identifier::new(name, Quoting::Always),
            kind: NewType::Scalar(kind),
            required,
            default: None,
            is_key,
        }
    }

    #[test]
    fn a_new_table_has_a_line_per_column_and_the_key_last() {
        let name = TableName::parse("orders", Quoting::Always).unwrap();
        let mut amount = new("amount", "DOUBLE PRECISION", true, false);
        amount.default = Some("0.5".to_owned());
        let columns = [
            new("id", "INT", true, true),
            amount,
            new("note", "TEXT", false, false),
        ];
        assert_eq!(
            create(&name, &columns),
            "CREATE TABLE IF NOT EXISTS \"orders\" (\n\"id\" INT NOT NULL,\n\
             \"amount\" DOUBLE PRECISION DEFAULT 0.5 NOT NULL,\n\"note\" TEXT NULL,\nPRIMARY KEY(\"id\"))"
        );
    }

    #[test]
    fn a_column_that_differs_by_case_is_found_if_it_is_the_only_one() {
        let column = |name: &str| Column {
            name: Identifier::new(name, Quoting::Always),
            kind: ColumnType::Text,
            declared: "text".to_owned(),
        };
        let table = Table {
            name: TableName::parse("t", Quoting::Always).unwrap(),
            columns: vec![column("orderid"), column("A"), column("a")],
            takes_copy: true,
            fingerprint: None,
        };
        let find = |name: &str| table.column(&Identifier::new(name, Quoting::Always));
        assert_eq!(find("orderId"), Some(0));
        assert_eq!(find("a"), Some(2));
        assert_eq!(find("b"), None);
    }
}
