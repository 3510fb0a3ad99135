//! One statement, with its transaction, its locks and its privileges.

use jiff::Timestamp;

use super::{Answer, INTEGER, StatementKind, TEXT, copy, ddl, files, merge, query};
use crate::catalog::Catalog;
use crate::error::{Refusal, Result};
use crate::session::Session;
use crate::sql::ast::{Expression, Items, ObjectName, Query, Statement};
use crate::transaction::{Lock, Transaction, TransactionId};
use crate::value::Value;
use crate::world::World;

/// How a statement went.
#[derive(Debug)]
pub(crate) enum Flow {
    Done(Answer),
    /// Somebody else holds a lock it needs: try again later.
    Blocked(TransactionId),
}

/// Runs a statement in the session's transaction, or in one of its own.
///
/// # Errors
/// The refusal; what the transaction did before stays, and stays open.
pub(crate) fn run(world: &mut World, session: &mut Session, statement: &Statement) -> Result<Flow> {
    match statement {
        Statement::Begin(name) => return begin(world, session, name.clone()).map(Flow::Done),
        Statement::Commit => {
            end(world, session, true)?;
            return Ok(Flow::Done(succeeded()));
        }
        Statement::Rollback => {
            end(world, session, false)?;
            return Ok(Flow::Done(succeeded()));
        }
        _ => {}
    }
    if statement.is_ddl() || statement.sets_autocommit() {
        end(world, session, true)?;
    }
    if !session.autocommit() && statement.opens_transaction() {
        begin(world, session, None)?;
    }
    let explicit = session.transaction.is_some();
    if !explicit {
        let id = world.catalog.next_number();
        session.transaction = Some(Transaction::of_statement(id));
    }
    let before = session.transaction.clone();
    let flow = dispatch(world, session, statement);
    match &flow {
        Ok(Flow::Done(_)) if !explicit => end(world, session, true)?,
        Ok(Flow::Done(_)) => {}
        _ if explicit => session.transaction = before,
        _ => end(world, session, false)?,
    }
    flow
}

fn succeeded() -> Answer {
    Answer::status(StatementKind::Control, "Statement executed successfully.")
}

fn begin(world: &mut World, session: &mut Session, name: Option<String>) -> Result<Answer> {
    if session.transaction.is_none() {
        let id = world.catalog.next_number();
        session.transaction = Some(Transaction::begin(id, name));
    }
    Ok(succeeded())
}

/// Ends the transaction if there is one; COMMIT without one succeeds, as in Snowflake.
pub(crate) fn end(world: &mut World, session: &mut Session, commit: bool) -> Result<()> {
    let Some(transaction) = session.transaction.take() else {
        return Ok(());
    };
    let id = transaction.id;
    let outcome = if commit {
        transaction.commit(&mut world.catalog)
    } else {
        Ok(())
    };
    world.locks.retain(|_, lock| lock.holder != id);
    outcome
}

fn dispatch(world: &mut World, session: &mut Session, statement: &Statement) -> Result<Flow> {
    if let Some(holder) = lock(world, session, statement)? {
        return Ok(Flow::Blocked(holder));
    }
    needs_warehouse(world, session, statement)?;
    let catalog = &mut world.catalog;
    let answer = match statement {
        Statement::Query(asked) => match abort_call(asked) {
            Some(id) => abort(world, session, &id),
            None => query::select(catalog, session, asked),
        },
        ddl if ddl.is_ddl() => ddl::run(catalog, session, ddl),
        Statement::Describe(name) => ddl::describe(catalog, session, name),
        Statement::Put {
            file,
            to,
            overwrite,
        } => files::put(catalog, session, &mut world.uploads, file, to, *overwrite),
        Statement::Get => Err(Refusal::new("002075", "0A000", "GET is not offered here")),
        Statement::List(path) => files::list(catalog, session, path),
        Statement::Remove(path) => files::remove(catalog, session, path),
        Statement::Copy(_)
        | Statement::Merge(_)
        | Statement::Insert { .. }
        | Statement::Delete { .. } => write(catalog, session, statement),
        Statement::Use(kind, name) => use_object(world, session, kind, name),
        Statement::AlterSession(parameters) => {
            session.parameters.extend(parameters.iter().cloned());
            Ok(succeeded())
        }
        Statement::ShowLocks => Ok(show_locks(world, session)),
        Statement::ShowTransactions => Ok(show_transactions(world, session)),
        _ => Ok(succeeded()),
    };
    answer.map(Flow::Done)
}

fn write(catalog: &mut Catalog, session: &mut Session, statement: &Statement) -> Result<Answer> {
    match statement {
        Statement::Copy(asked) => {
            writable(session, &asked.table)?;
            copy::copy(catalog, session, asked)
        }
        Statement::Merge(asked) => {
            writable(session, &asked.table)?;
            merge::merge(catalog, session, asked)
        }
        Statement::Insert {
            table,
            columns,
            query,
        } => {
            writable(session, table)?;
            merge::insert(catalog, session, table, columns, query)
        }
        Statement::Delete { table, filter } => {
            writable(session, table)?;
            merge::delete(catalog, session, table, filter.as_ref())
        }
        _ => Ok(succeeded()),
    }
}

fn writable(session: &Session, table: &ObjectName) -> Result<()> {
    session.may_write("table", &session.resolve(table)?)
}

/// MERGE and DELETE lock their table for themselves; the holder if it is somebody else.
fn lock(
    world: &mut World,
    session: &Session,
    statement: &Statement,
) -> Result<Option<TransactionId>> {
    let table = match statement {
        Statement::Merge(asked) => &asked.table,
        Statement::Delete { table, .. } => table,
        _ => return Ok(None),
    };
    let name = session.resolve(table)?;
    let (Some(found), Some(open)) = (world.catalog.tables.get(&name), &session.transaction) else {
        return Ok(None);
    };
    let lock = world.locks.entry(found.identity).or_insert_with(|| Lock {
        holder: open.id,
        table: name,
        acquired: Timestamp::now(),
    });
    Ok((lock.holder != open.id).then_some(lock.holder))
}

fn needs_warehouse(world: &World, session: &Session, statement: &Statement) -> Result<()> {
    let needs = match statement {
        Statement::Query(asked) => asked.from.is_some(),
        Statement::Copy(_)
        | Statement::Merge(_)
        | Statement::Insert { .. }
        | Statement::Delete { .. } => true,
        _ => false,
    };
    let running = session.warehouse.is_some() && !world.warehouse_suspended;
    if !needs || running {
        return Ok(());
    }
    let text = "No active warehouse selected in the current session.  Select an active warehouse with the 'use warehouse' command.";
    Err(Refusal::new("000606", "57P03", text))
}

/// `SELECT SYSTEM$ABORT_TRANSACTION(id)`
fn abort_call(query: &Query) -> Option<String> {
    let Items::List(items) = &query.items else {
        return None;
    };
    match items.first().map(|item| &item.expression) {
        Some(Expression::Call(name, arguments)) if name == "SYSTEM$ABORT_TRANSACTION" => {
            match arguments.first() {
                Some(Expression::Value(value)) => Some(value.plain()),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Rolls back a transaction of the same user, in whatever session it is.
fn abort(world: &mut World, session: &Session, id: &str) -> Result<Answer> {
    let holder = world.sessions.values_mut().find(|other| {
        let open = other.transaction.as_ref();
        other.user == session.user && open.is_some_and(|open| open.id.to_string() == id)
    });
    let Some(aborted) = holder.and_then(|other| other.transaction.take()) else {
        let text = format!("Transaction {id} does not exist or was committed or rolled back.");
        return Err(Refusal::new("000621", "01000", text));
    };
    world.locks.retain(|_, lock| lock.holder != aborted.id);
    let text = format!("Transaction is aborted. Transaction id: {id}");
    let columns = [("SYSTEM$ABORT_TRANSACTION", TEXT)];
    Ok(Answer::new(
        StatementKind::Select,
        &columns,
        vec![vec![Value::text(text)]],
    ))
}

fn use_object(
    world: &World,
    session: &mut Session,
    kind: &str,
    name: &ObjectName,
) -> Result<Answer> {
    let last = name.last().to_owned();
    let known = match kind {
        "ROLE" => session.roles.contains(&last),
        "WAREHOUSE" => world.options.warehouses.contains(&last),
        "DATABASE" => world.options.database == last,
        _ => world.options.schema == last,
    };
    if !known {
        return Err(Refusal::missing("Object", &last));
    }
    match kind {
        "ROLE" => {
            session.read_only = world.options.read_only_roles.contains(&last);
            session.role = last;
        }
        "WAREHOUSE" => session.warehouse = Some(last),
        "DATABASE" => session.database = Some(last),
        _ => session.schema = Some(last),
    }
    Ok(succeeded())
}

fn show_locks(world: &World, session: &Session) -> Answer {
    let place = |name: &str| {
        let database = session.database.as_deref().unwrap_or_default();
        let schema = session.schema.as_deref().unwrap_or_default();
        format!("{database}.{schema}.{name}")
    };
    let rows = world.locks.values().map(|lock| {
        vec![
            Value::text(place(&lock.table)),
            Value::text("PARTITIONS"),
            Value::text(lock.holder.to_string()),
            Value::text(lock.acquired.to_string()),
            Value::text("HOLDING"),
            Value::text(lock.acquired.to_string()),
        ]
    });
    let columns = [
        ("resource", TEXT),
        ("type", TEXT),
        ("transaction", TEXT),
        ("transaction_started_on", TEXT),
        ("status", TEXT),
        ("acquired_on", TEXT),
    ];
    Answer::new(StatementKind::Select, &columns, rows.collect())
}

fn show_transactions(world: &World, session: &Session) -> Answer {
    let mine = world
        .sessions
        .values()
        .filter(|other| other.user == session.user);
    let rows = mine.filter_map(|other| {
        let open = other.transaction.as_ref()?;
        Some(vec![
            Value::text(open.id.to_string()),
            Value::text(other.user.as_str()),
            Value::number(&other.id.to_string())?,
            Value::text(open.name.as_str()),
            Value::text(open.started.to_string()),
            Value::text("running"),
        ])
    });
    let columns = [
        ("id", TEXT),
        ("user", TEXT),
        ("session", INTEGER),
        ("name", TEXT),
        ("started_on", TEXT),
        ("state", TEXT),
    ];
    Answer::new(StatementKind::Select, &columns, rows.collect())
}
