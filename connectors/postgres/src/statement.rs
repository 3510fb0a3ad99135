//! The SQL that writes rows. Texts only: nothing here talks to a server.

use crate::config::InsertMode;
use crate::identifier::Identifier;
use crate::table::{Column, Table};

/// The column of a staging table that counts rows: of several with one key the last wins.
const ROW: &str = "\"__sluice_row\"";

/// What happens to the staged rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Merge {
    /// Every row is inserted.
    Insert,
    /// Rows whose key exists are left out.
    InsertNew,
    /// Rows are inserted or replace the one with their key.
    Upsert,
    /// Rows change the one with their key.
    Update,
    /// The rows with their keys are deleted.
    Delete,
}

impl From<InsertMode> for Merge {
    fn from(mode: InsertMode) -> Self {
        match mode {
            InsertMode::Insert => Self::Insert,
            InsertMode::Upsert => Self::Upsert,
            InsertMode::Update => Self::Update,
        }
    }
}

/// The columns that rows are written to, and which of them are the key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) table: &'a Table,
    pub(crate) columns: &'a [&'a Column],
    pub(crate) keys: &'a [&'a Column],
}

fn list<'a>(columns: impl IntoIterator<Item = &'a &'a Column>) -> String {
    join(columns, ", ", |column| column.name.quoted())
}

fn join<'a>(
    columns: impl IntoIterator<Item = &'a &'a Column>,
    separator: &str,
    text: impl Fn(&Column) -> String,
) -> String {
    let parts: Vec<_> = columns.into_iter().map(|column| text(column)).collect();
    parts.join(separator)
}

/// COPY of rows straight into a table.
pub(crate) fn copy(table: &Table, columns: &[&Column]) -> String {
    let (name, columns) = (table.name.quoted(), list(columns));
    format!("COPY {name} ({columns}) FROM STDIN (FORMAT binary)")
}

/// COPY into a staging table: the columns, then the row's number.
pub(crate) fn copy_stage(stage: &Identifier, columns: &[&Column]) -> String {
    let (stage, columns) = (stage.quoted(), list(columns));
    format!("COPY pg_temp.{stage} ({columns}, {ROW}) FROM STDIN (FORMAT binary)")
}

/// Makes a staging table whose columns are those of the table, or text where the server casts.
pub(crate) fn create_stage(stage: &Identifier, table: &Table, columns: &[&Column]) -> String {
    let selected = join(columns, ", ", |column| {
        let name = column.name.quoted();
        if column.is_cast() {
            format!("NULL::text AS {name}")
        } else {
            name
        }
    });
    let (stage, table) = (stage.quoted(), table.name.quoted());
    format!(
        "CREATE TEMPORARY TABLE {stage} ON COMMIT DELETE ROWS AS SELECT {selected}, 0::int4 AS {ROW} FROM {table} WITH NO DATA"
    )
}

/// Empties a staging table within a transaction.
pub(crate) fn truncate_stage(stage: &Identifier) -> String {
    format!("TRUNCATE pg_temp.{}", stage.quoted())
}

/// Brings staged rows into the table. `None` if there is nothing to do: an update without columns beside the key.
pub(crate) fn merge(merge: Merge, stage: &Identifier, target: &Target<'_>) -> Option<String> {
    let table = target.table.name.quoted();
    let keys = list(target.keys);
    let others: Vec<_> = target
        .columns
        .iter()
        .copied()
        .filter(|column| !target.keys.iter().any(|key| key.name == column.name))
        .collect();
    let insert = |rows: &str| {
        let (columns, values) = (list(target.columns), cast_list(target.columns));
        format!("INSERT INTO {table} ({columns}) SELECT {values} FROM {rows}")
    };
    let latest = latest(stage, target.keys);
    let joined = join(target.keys, " AND ", |key| {
        let name = key.name.quoted();
        format!(
            "target.{name} = {}",
            key.cast_from(&format!("staged.{name}"))
        )
    });
    Some(match merge {
        Merge::Insert => insert(&format!("pg_temp.{} ORDER BY {ROW}", stage.quoted())),
        Merge::InsertNew => {
            let rows = insert(&format!("pg_temp.{} ORDER BY {ROW}", stage.quoted()));
            format!("{rows} ON CONFLICT ({keys}) DO NOTHING")
        }
        Merge::Upsert if others.is_empty() => {
            format!("{} ON CONFLICT ({keys}) DO NOTHING", insert(&latest))
        }
        Merge::Upsert => {
            let sets = join(&others, ", ", |column| {
                let name = column.name.quoted();
                format!("{name} = EXCLUDED.{name}")
            });
            let rows = insert(&latest);
            format!("{rows} ON CONFLICT ({keys}) DO UPDATE SET {sets}")
        }
        Merge::Update if others.is_empty() => return None,
        Merge::Update => {
            let sets = join(&others, ", ", |column| {
                let name = column.name.quoted();
                format!("{name} = {}", column.cast_from(&format!("staged.{name}")))
            });
            format!("UPDATE {table} AS target SET {sets} FROM {latest} WHERE {joined}")
        }
        Merge::Delete => format!("DELETE FROM {table} AS target USING {latest} WHERE {joined}"),
    })
}

fn cast_list(columns: &[&Column]) -> String {
    join(columns, ", ", |column| {
        column.cast_from(&column.name.quoted())
    })
}

/// The last staged row of every key, in the order of keys: two tasks that change the same rows lock them in one order.
fn latest(stage: &Identifier, keys: &[&Column]) -> String {
    let keys = cast_list(keys);
    let stage = stage.quoted();
    format!(
        "(SELECT DISTINCT ON ({keys}) * FROM pg_temp.{stage} ORDER BY {keys}, {ROW} DESC) AS staged"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::ColumnType;
    use crate::config::Quoting;
    use crate::identifier::TableName;

    fn column(name: &str, kind: ColumnType) -> Column {
        Column {
            name: Identifier::new(name, Quoting::Always),
            kind,
            declared: "inet".to_owned(),
        }
    }

    fn sql(merging: Merge, columns: &[&Column]) -> Option<String> {
        let table = Table {
            name: TableName::parse("shop.orders", Quoting::Always).unwrap(),
            columns: Vec::new(),
            takes_copy: true,
            fingerprint: None,
        };
        let stage = Identifier::new("stage", Quoting::Always);
        let keys = &columns[..1];
        merge(
            merging,
            &stage,
            &Target {
                table: &table,
                columns,
                keys,
            },
        )
    }

    #[test]
    fn an_upsert_takes_the_last_row_of_a_key_and_casts_what_came_as_text() {
        let (id, host) = (
            column("id", ColumnType::Integer),
            column("host", ColumnType::Cast),
        );
        assert_eq!(
            sql(Merge::Upsert, &[&id, &host]).unwrap(),
            "INSERT INTO \"shop\".\"orders\" (\"id\", \"host\") SELECT \"id\", \"host\"::inet FROM \
             (SELECT DISTINCT ON (\"id\") * FROM pg_temp.\"stage\" ORDER BY \"id\", \"__sluice_row\" DESC) AS staged \
             ON CONFLICT (\"id\") DO UPDATE SET \"host\" = EXCLUDED.\"host\""
        );
    }

    #[test]
    fn rows_that_are_only_key_have_nothing_to_change() {
        let id = column("id", ColumnType::Integer);
        let upsert = sql(Merge::Upsert, &[&id]).unwrap();
        assert!(
            upsert.ends_with("ON CONFLICT (\"id\") DO NOTHING"),
            "{upsert}"
        );
        assert_eq!(sql(Merge::Update, &[&id]), None);
    }
}
