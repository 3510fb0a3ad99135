//! Open transactions: what they have written and not committed, and the locks they hold.
//!
//! Holds always: others see nothing of it before the commit; a statement that fails leaves nothing behind and the
//! transaction open; only whoever changes rows that exist locks the table, as whoever appends does not need to.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Catalog, Row, RowId, Table};
use crate::error::{Refusal, Result};

/// A transaction's number.
pub(crate) type TransactionId = u64;

/// What a transaction does to one table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changes {
    pub(crate) appended: BTreeMap<RowId, Row>,
    /// `None`: deleted.
    pub(crate) replaced: BTreeMap<RowId, Option<Row>>,
    pub(crate) loaded: BTreeSet<(String, String)>,
}

#[derive(Debug, Clone)]
pub(crate) struct Transaction {
    pub(crate) id: TransactionId,
    pub(crate) name: String,
    /// Begun by BEGIN, not by a statement for itself.
    pub(crate) explicit: bool,
    pub(crate) started: jiff::Timestamp,
    /// By the identity of the table.
    pub(crate) changes: BTreeMap<u64, Changes>,
}

/// Who holds a table.
#[derive(Debug, Clone)]
pub(crate) struct Lock {
    pub(crate) holder: TransactionId,
    pub(crate) table: String,
    pub(crate) acquired: jiff::Timestamp,
}

impl Transaction {
    /// By BEGIN, with or without a name.
    pub(crate) fn begin(id: TransactionId, name: Option<String>) -> Self {
        Self {
            name: name.unwrap_or_else(|| format!("{id:032x}")),
            explicit: true,
            ..Self::of_statement(id)
        }
    }

    /// One that lasts as long as one statement.
    pub(crate) fn of_statement(id: TransactionId) -> Self {
        Self {
            id,
            name: String::new(),
            explicit: false,
            started: jiff::Timestamp::now(),
            changes: BTreeMap::new(),
        }
    }

    pub(crate) fn changes_of(&mut self, table: &Table) -> &mut Changes {
        self.changes.entry(table.identity).or_default()
    }

    /// The rows of a table as this transaction sees them.
    pub(crate) fn rows(&self, table: &Table) -> Vec<(RowId, Row)> {
        let changes = self.changes.get(&table.identity);
        let committed = table.rows.iter().filter_map(|(id, row)| {
            match changes.and_then(|changes| changes.replaced.get(id)) {
                None => Some((*id, row.clone())),
                Some(replaced) => replaced.clone().map(|row| (*id, row)),
            }
        });
        let appended = changes.into_iter().flat_map(|changes| &changes.appended);
        committed
            .chain(appended.map(|(id, row)| (*id, row.clone())))
            .collect()
    }

    /// True if this transaction or an earlier one has loaded the file.
    pub(crate) fn has_loaded(&self, table: &Table, file: &(String, String)) -> bool {
        let mine = self.changes.get(&table.identity);
        table.loaded.contains(file) || mine.is_some_and(|changes| changes.loaded.contains(file))
    }

    /// Makes it all visible.
    ///
    /// # Errors
    /// A table with changes is not there any more; nothing is applied.
    pub(crate) fn commit(self, catalog: &mut Catalog) -> Result<()> {
        let known: BTreeSet<u64> = catalog
            .tables
            .values()
            .map(|table| table.identity)
            .collect();
        let wrote =
            |changes: &Changes| !changes.appended.is_empty() || !changes.replaced.is_empty();
        if self
            .changes
            .iter()
            .any(|(identity, changes)| wrote(changes) && !known.contains(identity))
        {
            let text = format!(
                "Transaction {} was aborted: a table it wrote to was dropped.",
                self.id
            );
            return Err(Refusal::new("000640", "40001", text));
        }
        for table in catalog.tables.values_mut() {
            let Some(changes) = self.changes.get(&table.identity) else {
                continue;
            };
            for (id, row) in &changes.replaced {
                match row {
                    Some(row) => table.rows.insert(*id, row.clone()),
                    None => table.rows.remove(id),
                };
            }
            table.rows.extend(changes.appended.clone());
            table.loaded.extend(changes.loaded.clone());
        }
        Ok(())
    }
}
