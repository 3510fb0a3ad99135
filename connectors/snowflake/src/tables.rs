//! Target tables: made when missing, looked at, given columns.

use std::collections::BTreeMap;

use crate::batch::BatchFile;
use crate::columns::{Column, Columns, Plan, plan};
use crate::error::{Cause, SnowflakeError};
use crate::fields::Fields;
use crate::naming::TableName;
use crate::session::Session;

type Result<T, E = SnowflakeError> = std::result::Result<T, E>;

/// What is known about the tables of a connector.
#[derive(Debug)]
pub(crate) struct Tables {
    schematization: bool,
    known: BTreeMap<TableName, Columns>,
}

impl Tables {
    pub(crate) fn new(schematization: bool) -> Self {
        Self {
            schematization,
            known: BTreeMap::new(),
        }
    }

    /// Everything is looked at again.
    pub(crate) fn forget(&mut self) {
        self.known.clear();
    }

    /// Makes the table if it is missing, and gives it the columns that the files need. DDL: never in a transaction.
    pub(crate) async fn provide(
        &mut self,
        session: &Session,
        table: &TableName,
        files: &[&BatchFile],
    ) -> Result<()> {
        if !self.known.contains_key(table) {
            let columns = self.look_or_create(session, table).await?;
            self.known.insert(table.clone(), columns);
        }
        let alterations = self.plan(table, files)?.alterations;
        if alterations.is_empty() {
            return Ok(());
        }
        for alteration in alterations {
            session.run(&alter(table, &alteration)).await?;
        }
        let columns = look(session, table).await?;
        self.known.insert(table.clone(), columns);
        Ok(())
    }

    async fn look_or_create(&self, session: &Session, table: &TableName) -> Result<Columns> {
        match look(session, table).await {
            Err(error) if error.cause() == Cause::Missing => {}
            found => return found,
        }
        session.run(&self.create(table)).await?;
        look(session, table).await
    }

    fn create(&self, table: &TableName) -> String {
        let content = if self.schematization {
            ""
        } else {
            ", \"RECORD_CONTENT\" VARIANT"
        };
        format!(
            "CREATE TABLE IF NOT EXISTS {} (\"RECORD_METADATA\" VARIANT{content}) COMMENT = 'created by sluice'",
            table.quoted()
        )
    }

    /// The statements that [`Tables::provide`] would run; none is run. Afterwards [`Tables::projection`] is known.
    pub(crate) async fn changes(
        &mut self,
        session: &Session,
        table: &TableName,
        files: &[&BatchFile],
    ) -> Result<Vec<String>> {
        let mut statements = Vec::new();
        let columns = match look(session, table).await {
            Err(error) if error.cause() == Cause::Missing => {
                statements.push(self.create(table));
                Columns::new()
            }
            found => found?,
        };
        self.known.insert(table.clone(), columns);
        let alterations = self.plan(table, files)?.alterations.into_iter();
        statements.extend(alterations.map(|alteration| alter(table, &alteration)));
        Ok(statements)
    }

    /// Columns and expressions that load the files.
    pub(crate) fn projection(
        &self,
        table: &TableName,
        files: &[&BatchFile],
    ) -> Result<Vec<(String, String)>> {
        let mut projection = vec![("RECORD_METADATA".to_owned(), "$1:meta".to_owned())];
        if self.schematization {
            projection.extend(self.plan(table, files)?.projection);
        } else {
            projection.push(("RECORD_CONTENT".to_owned(), "$1:content".to_owned()));
        }
        Ok(projection)
    }

    fn plan(&self, table: &TableName, files: &[&BatchFile]) -> Result<Plan> {
        if !self.schematization {
            return Ok(Plan::default());
        }
        let mut fields = Fields::default();
        for file in files {
            fields.merge(&file.fields);
        }
        let rows = files.iter().map(|file| file.file.rows).sum();
        let none = Columns::new();
        let columns = self.known.get(table).unwrap_or(&none);
        plan(columns, &fields, rows).map_err(SnowflakeError::Known)
    }
}

fn alter(table: &TableName, alteration: &str) -> String {
    format!("ALTER TABLE {} {alteration}", table.quoted())
}

async fn look(session: &Session, table: &TableName) -> Result<Columns> {
    let rows = session
        .run(&format!("DESC TABLE {}", table.quoted()))
        .await?;
    let columns = (0..rows.len()).filter_map(|row| {
        let column = Column {
            kind: rows.get(row, "type")?.to_owned(),
            required: rows.get(row, "null?") == Some("N"),
        };
        Some((rows.get(row, "name")?.to_owned(), column))
    });
    Ok(columns.collect())
}
