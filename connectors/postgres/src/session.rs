//! A connection with what is known about its server: tables, staging tables, prepared statements.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use connect_core::Result;
use connect_core::data::SinkRecord;
use futures_util::SinkExt as _;
use tokio_postgres::{Client, CopyInSink, Statement};

use crate::config::Quoting;
use crate::connection::{Connection, Target};
use crate::error::WriteError;
use crate::groups::{self, Encoding, Group, Way};
use crate::identifier::{Identifier, TableName};
use crate::rows::TableRows;
use crate::statement::{self, Merge};
use crate::table::{self, Column, Table};

/// Bytes handed to the connection at once.
const CHUNK: usize = 256 << 10;
/// Statements kept prepared on a connection.
const MAX_STATEMENTS: usize = 256;

/// What ends a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Commit,
    /// Nothing is kept: only whether it would have worked.
    Rollback,
}

/// A connection with what is known about its server.
pub(crate) struct Session {
    pub(crate) connection: Connection,
    tables: HashMap<TableName, Arc<Table>>,
    stages: HashMap<StageKey, Identifier>,
    statements: HashMap<String, Statement>,
}

/// Table and columns of a staging table.
type StageKey = (TableName, Vec<Identifier>);

/// A group with its table.
pub(crate) struct Work {
    table: Arc<Table>,
    group: Group,
    stage: Option<Identifier>,
    copy: Statement,
}

impl Session {
    /// Connects.
    ///
    /// # Errors
    /// What the server or the network said.
    pub(crate) async fn open(target: &Target) -> Result<Self, WriteError> {
        Ok(Self {
            connection: target.connect().await?,
            tables: HashMap::new(),
            stages: HashMap::new(),
            statements: HashMap::new(),
        })
    }

    /// The groups of a table's rows, with table and staging tables ready.
    ///
    /// # Errors
    /// A data error that names the first value that does not fit; what the server said.
    pub(crate) async fn prepare(
        &mut self,
        rows: &TableRows,
        records: &[SinkRecord],
        encoding: Encoding<'_>,
    ) -> Result<Vec<Work>, WriteError> {
        let Some(table) = self.table(rows, records, encoding).await? else {
            return Ok(Vec::new());
        };
        let groups = groups::encode(rows, records, &table, encoding)?;
        let mut work = Vec::with_capacity(groups.len());
        for group in groups {
            let stage = match group.way {
                Way::Append => None,
                Way::Stage(_) => Some(self.stage(&table, &group).await?),
            };
            let columns = columns_at(&table, &group.columns);
            let copy = match &stage {
                None => statement::copy(&table, &columns),
                Some(stage) => statement::copy_stage(stage, &columns),
            };
            work.push(Work {
                copy: self.prepared(copy).await?,
                table: table.clone(),
                group,
                stage,
            });
        }
        Ok(work)
    }

    /// The table with every column that the rows need; `None` if it is missing and there is only something to delete.
    async fn table(
        &mut self,
        rows: &TableRows,
        records: &[SinkRecord],
        encoding: Encoding<'_>,
    ) -> Result<Option<Arc<Table>>, WriteError> {
        let config = encoding.config;
        let known = self.tables.get(&rows.name);
        if let Some(table) = known
            && rows
                .missing_columns(records, Some(table), encoding.zone)
                .is_empty()
        {
            return Ok(Some(table.clone()));
        }
        let client = &mut self.connection.client;
        let mut found = table::read(client, &rows.name, config).await?;
        if found.is_none() && config.ddl.auto_create && rows.only_deletes() {
            return Ok(None);
        }
        let missing = rows.missing_columns(records, found.as_ref(), encoding.zone);
        if found.is_none() || !missing.is_empty() {
            table::provide(client, &rows.name, &missing, config).await?;
            found = table::read(client, &rows.name, config).await?;
            self.stages.retain(|(table, _), _| *table != rows.name);
        }
        let table = found.map(Arc::new);
        if let Some(table) = &table {
            self.tables.insert(rows.name.clone(), table.clone());
        }
        Ok(table)
    }

    /// A statement that is prepared once.
    async fn prepared(&mut self, sql: String) -> Result<Statement, WriteError> {
        if let Some(statement) = self.statements.get(&sql) {
            return Ok(statement.clone());
        }
        if self.statements.len() >= MAX_STATEMENTS {
            self.statements.clear();
        }
        let statement = self.connection.client.prepare(&sql).await?;
        self.statements.insert(sql, statement.clone());
        Ok(statement)
    }

    /// Leaves the transaction that has failed; false if the connection is of no more use.
    pub(crate) async fn roll_back(&self) -> bool {
        let client = &self.connection.client;
        !client.is_closed() && client.batch_execute("ROLLBACK").await.is_ok()
    }

    /// Nothing is known about tables any more.
    pub(crate) fn forget_tables(&mut self) {
        self.tables.clear();
        self.stages.clear();
        self.statements.clear();
    }

    async fn stage(&mut self, table: &Table, group: &Group) -> Result<Identifier, WriteError> {
        let columns = columns_at(table, &group.columns);
        let names = columns.iter().map(|column| column.name.clone()).collect();
        let key = (table.name.clone(), names);
        if let Some(stage) = self.stages.get(&key) {
            return Ok(stage.clone());
        }
        // Names are not used twice: one that was forgotten may still be there.
        let number = fastrand::u64(..);
        let stage = Identifier::new(&format!("sluice_stage_{number:016x}"), Quoting::Always);
        let create = statement::create_stage(&stage, table, &columns);
        self.connection.client.batch_execute(&create).await?;
        self.stages.insert(key, stage.clone());
        Ok(stage)
    }
}

/// The columns of a table at these places.
pub(crate) fn columns_at<'a>(table: &'a Table, places: &[usize]) -> Vec<&'a Column> {
    places
        .iter()
        .filter_map(|place| table.columns.get(*place))
        .collect()
}

/// Writes groups in order, in the transaction that the client is in. How many rows were left out, being there already.
///
/// # Errors
/// What the server said.
pub(crate) async fn write_all(client: &Client, work: &[Work]) -> Result<u64, WriteError> {
    let mut left_out = 0;
    let mut used: Vec<&Identifier> = Vec::new();
    for Work {
        table,
        group,
        stage,
        copy,
    } in work
    {
        if let Some(stage) = stage.as_ref().filter(|stage| used.contains(stage)) {
            let truncate = statement::truncate_stage(stage);
            client.batch_execute(&truncate).await?;
        }
        copy_in(client, copy, group.data.clone()).await?;
        if let (Way::Stage(merge), Some(stage)) = (group.way, stage) {
            let target = statement::Target {
                table,
                columns: &columns_at(table, &group.columns),
                keys: &columns_at(table, &group.keys),
            };
            if let Some(merge) = statement::merge(merge, stage, &target) {
                let written = client.execute_typed(&merge, &[]).await?;
                if group.way == Way::Stage(Merge::InsertNew) {
                    left_out += group.rows.saturating_sub(written);
                }
            }
            used.push(stage);
        }
    }
    Ok(left_out)
}

/// Ends a transaction in one go: if a table is not as it was, nothing after that is done.
///
/// # Errors
/// [`WriteError::Changed`], or what the server said.
pub(crate) async fn end(client: &Client, work: &[Work], ending: Ending) -> Result<(), WriteError> {
    let mut statements: Vec<String> = Vec::new();
    for work in work {
        let verification = table::verification(&work.table);
        if !statements.contains(&verification) {
            statements.push(verification);
        }
    }
    statements.push(match ending {
        Ending::Commit => "COMMIT".to_owned(),
        Ending::Rollback => "SET CONSTRAINTS ALL IMMEDIATE; ROLLBACK".to_owned(),
    });
    let ended = client.batch_execute(&statements.join("; ")).await;
    ended.map_err(|error| match error.code() {
        Some(code) if code.code() == table::CHANGED => WriteError::Changed,
        _ => error.into(),
    })
}

async fn copy_in(client: &Client, copy: &Statement, mut data: Bytes) -> Result<u64, WriteError> {
    let sink: CopyInSink<Bytes> = client.copy_in(copy).await?;
    let mut sink = std::pin::pin!(sink);
    while !data.is_empty() {
        let chunk = data.split_to(data.len().min(CHUNK));
        sink.feed(chunk).await?;
    }
    Ok(sink.finish().await?)
}
