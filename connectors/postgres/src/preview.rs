//! What a dry run shows: the tables' changes, the statements and the rows, planned by the writer's own code on a session
//! that can only read.
//!
//! Rows are shown as Postgres itself reads the bytes that COPY would be given: each value is sent back as text by a SELECT.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use connect_core::Result;
use connect_core::data::SinkRecord;
use connect_core::plugin::{Effect, RowsEffect, SinkPreview, SinkRuntime, StatementEffect};
use tokio_postgres::Client;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::column::ColumnType;
use crate::config::{Guarantee, PostgresSinkConfig, Quoting};
use crate::connection::Target;
use crate::error::WriteError;
use crate::groups::{self, Encoding, Group, Way};
use crate::identifier::{Identifier, TableName};
use crate::layout::Mapper;
use crate::ledger::Ledger;
use crate::rows::{self, TableRows};
use crate::session::columns_at;
use crate::statement::{self, Merge};
use crate::table::{self, Column, Table};
use crate::temporal::Zone;

/// Nothing can be written on the session from here on.
const READ_ONLY: &str = "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY";

/// What these records would do.
///
/// # Errors
/// A data error that names the record that cannot become a row; what the server said.
pub(crate) async fn preview(
    config: Arc<PostgresSinkConfig>,
    preview: SinkPreview,
) -> Result<Vec<Effect>> {
    let target = Target::new(&config)?;
    let planned = plan(&config, &target, &preview).await;
    planned.map_err(|error| error.into_error("look at", &target.shown))
}

async fn plan(
    config: &Arc<PostgresSinkConfig>,
    target: &Target,
    preview: &SinkPreview,
) -> Result<Vec<Effect>, WriteError> {
    let connection = target.connect().await?;
    let client = &connection.client;
    client.batch_execute(READ_ONLY).await?;
    let connector = &preview.context.task.connector;
    let mut effects = Vec::new();
    let ledger = match config.delivery.guarantee {
        Guarantee::AtLeastOnce => None,
        Guarantee::ExactlyOnce => {
            let runtime = preview.context.runtime.clone();
            Some(look_at_ledger(config, connector, runtime, client, &mut effects).await?)
        }
    };
    let has = |record: &SinkRecord| ledger.as_ref().is_some_and(|ledger| ledger.has(record));
    let known = preview.records.iter().filter(|record| has(record)).count();
    if known > 0 {
        effects.push(Effect::Note(format!(
            "{known} of the records are in the database already, by its table of offsets: they are not written again"
        )));
    }
    let mut mapper = Mapper::new(config.clone(), connector.clone());
    let tables = rows::sort(&preview.records, has, &mut mapper, config)?;
    let zone = Zone::new(config.zone());
    let encoding = Encoding {
        config,
        zone: &zone,
        skip_existing: false,
    };
    for rows in &tables {
        effects.extend(plan_table(client, rows, &preview.records, encoding).await?);
    }
    Ok(effects)
}

async fn look_at_ledger(
    config: &PostgresSinkConfig,
    connector: &Arc<str>,
    runtime: Arc<dyn SinkRuntime>,
    client: &Client,
    effects: &mut Vec<Effect>,
) -> Result<Ledger, WriteError> {
    let table = TableName::parse(&config.delivery.offsets_table, config.ddl.quoting)?;
    let target = table.quoted();
    let mut ledger = Ledger::new(table, connector.clone(), runtime);
    if let Some(sql) = ledger.look(client).await? {
        effects.push(Effect::Statement(StatementEffect {
            target,
            sql,
            reason: "offsets are kept beside the rows, and there is no table for them".to_owned(),
        }));
    }
    Ok(ledger)
}

/// What happens to one table.
async fn plan_table(
    client: &Client,
    rows: &TableRows,
    records: &[SinkRecord],
    encoding: Encoding<'_>,
) -> Result<Vec<Effect>, WriteError> {
    let (config, name) = (encoding.config, &rows.name);
    let found = table::read(client, name, config).await?;
    if found.is_none() && config.ddl.auto_create && rows.only_deletes() {
        return Ok(vec![Effect::Note(format!(
            "there is no table {}, and only something to delete: nothing is done",
            name.quoted()
        ))]);
    }
    let missing = rows.missing_columns(records, found.as_ref(), encoding.zone);
    let mut effects = Vec::new();
    if found.is_none() || !missing.is_empty() {
        table::check_allowed(found.as_ref(), name, &missing, config)?;
        let reason = match &found {
            None => "the table does not exist",
            Some(_) => "the table lacks columns",
        };
        let sql = table::change(name, found.as_ref(), &missing);
        effects.extend(sql.map(|sql| statement_on(name, sql, reason)));
    }
    let table = table::planned(client, name, found, &missing).await?;
    for group in groups::encode(rows, records, &table, encoding)? {
        effects.push(statement_of(&table, &group));
        effects.extend(rows_of(client, &table, &group).await?);
    }
    Ok(effects)
}

fn statement_on(name: &TableName, sql: String, reason: &str) -> Effect {
    Effect::Statement(StatementEffect {
        target: name.quoted(),
        sql,
        reason: reason.to_owned(),
    })
}

/// The statement that brings a group into the table.
fn statement_of(table: &Table, group: &Group) -> Effect {
    let columns = columns_at(table, &group.columns);
    let Way::Stage(merge) = group.way else {
        let sql = statement::copy(table, &columns);
        return statement_on(&table.name, sql, "the rows are appended");
    };
    let stage = Identifier::new("sluice_stage", Quoting::Always);
    let target = statement::Target {
        table,
        columns: &columns,
        keys: &columns_at(table, &group.keys),
    };
    let nothing = || "-- the rows have no column beside the key: nothing is changed".to_owned();
    let sql = statement::merge(merge, &stage, &target).unwrap_or_else(nothing);
    let reason = "the rows are copied to a temporary table, and go on from there";
    statement_on(&table.name, sql, reason)
}

fn action(way: Way) -> &'static str {
    match way {
        Way::Append | Way::Stage(Merge::Insert | Merge::InsertNew) => "insert",
        Way::Stage(Merge::Upsert) => "upsert",
        Way::Stage(Merge::Update) => "update",
        Way::Stage(Merge::Delete) => "delete",
    }
}

/// A group's rows, and what does not fit.
async fn rows_of(client: &Client, table: &Table, group: &Group) -> Result<Vec<Effect>, WriteError> {
    let columns = columns_at(table, &group.columns);
    let select = client.prepare(&as_text(&columns)).await?;
    let mut rows = Vec::new();
    let mut effects = Vec::new();
    for fields in group.fields()? {
        let sent: Vec<_> = fields.into_iter().map(Sent).collect();
        let parameters: Vec<&(dyn ToSql + Sync)> = sent
            .iter()
            .map(|field| field as &(dyn ToSql + Sync))
            .collect();
        let row = client.query_one(&select, &parameters).await?;
        let mut values: Vec<Option<String>> = Vec::with_capacity(columns.len());
        for (place, column) in columns.iter().enumerate() {
            let value: Option<String> = row.try_get(place)?;
            effects.extend(value.as_deref().and_then(|value| too_long(column, value)));
            values.push(value);
        }
        rows.push(values);
    }
    let shown = RowsEffect {
        table: table.name.quoted(),
        action: action(group.way),
        columns: columns
            .iter()
            .map(|column| (column.name.as_str().to_owned(), column.declared.clone()))
            .collect(),
        rows,
    };
    effects.insert(0, Effect::Rows(shown));
    Ok(effects)
}

/// A SELECT that takes what COPY takes and gives it back as text.
fn as_text(columns: &[&Column]) -> String {
    let values = columns.iter().enumerate().map(|(place, column)| {
        let parameter = format!("${}", place + 1);
        match column.kind {
            // A cast to a type with a length would cut what COPY refuses.
            ColumnType::Text => format!("{parameter}::text"),
            ColumnType::Cast => format!("{parameter}::text::{}::text", column.declared),
            _ => format!("{parameter}::{}::text", column.declared),
        }
    });
    format!("SELECT {}", values.collect::<Vec<_>>().join(", "))
}

/// What to say of a value that is longer than its column.
fn too_long(column: &Column, value: &str) -> Option<Effect> {
    let declared = column.declared.as_str();
    let limit = declared
        .strip_prefix("character varying(")
        .or_else(|| declared.strip_prefix("character("))?;
    let limit: usize = limit.trim_end_matches(')').parse().ok()?;
    let length = value.trim_end_matches(' ').chars().count();
    (length > limit).then(|| {
        let name = column.name.quoted();
        Effect::Note(format!(
            "column {name} is {declared}, and a value has {length} characters: the database refuses it"
        ))
    })
}

/// A field in the binary form that COPY would be given.
#[derive(Debug)]
struct Sent(Option<Bytes>);

impl ToSql for Sent {
    fn to_sql(
        &self,
        _kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match &self.0 {
            Some(bytes) => {
                out.extend_from_slice(bytes);
                Ok(IsNull::No)
            }
            None => Ok(IsNull::Yes),
        }
    }

    fn accepts(_kind: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, kind: ColumnType, declared: &str) -> Column {
        Column {
            name: Identifier::new(name, Quoting::Always),
            kind,
            declared: declared.to_owned(),
        }
    }

    #[test]
    fn values_come_back_as_the_column_has_them_and_are_not_cut() {
        let columns = [
            column("id", ColumnType::BigInt, "bigint"),
            column("code", ColumnType::Text, "character varying(3)"),
            column("host", ColumnType::Cast, "inet"),
        ];
        let columns: Vec<_> = columns.iter().collect();
        assert_eq!(
            as_text(&columns),
            "SELECT $1::bigint::text, $2::text, $3::text::inet::text"
        );
    }

    #[test]
    fn only_a_value_longer_than_its_column_is_spoken_of() {
        let code = column("code", ColumnType::Text, "character varying(3)");
        assert_eq!(too_long(&code, "äöü"), None);
        assert_eq!(too_long(&code, "abc  "), None, "Postgres cuts spaces");
        assert!(too_long(&code, "abcd").is_some());
        assert_eq!(
            too_long(&column("t", ColumnType::Text, "text"), "abcd"),
            None
        );
    }
}
