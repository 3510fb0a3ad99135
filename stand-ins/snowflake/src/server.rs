//! The server, and what a test may do to it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use connect_core::{Error, Result};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::catalog::Row;
use crate::error::Refusal;
use crate::faults::Faults;
use crate::http;
use crate::run::{Flow, run};
use crate::session::Session;
use crate::sql::parse;
use crate::value::Value;
use crate::world::{SnowflakeOptions, World};

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Shared {
    world: Mutex<World>,
    pub(crate) faults: Faults,
    /// A lock may be free.
    pub(crate) released: Notify,
}

impl Shared {
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running server; stops when dropped.
#[derive(Debug)]
pub struct SnowflakeStandIn {
    address: SocketAddr,
    shared: Arc<Shared>,
    _running: DropGuard,
}

impl SnowflakeStandIn {
    /// Starts a server.
    ///
    /// # Errors
    /// The port is taken.
    pub async fn start(options: SnowflakeOptions) -> Result<Self> {
        let listener = TcpListener::bind(options.address).await.map_err(|cause| {
            Error::config("cannot listen")
                .operation("Snowflake stand-in at")
                .target(options.address.to_string())
                .source(cause)
        })?;
        let address = listener
            .local_addr()
            .map_err(|cause| Error::external("no local address").source(cause))?;
        let itself = format!("http://{address}");
        let end_point = options.upload_end_point.clone().unwrap_or(itself);
        let mut world = World::new(options);
        world.uploads.end_point = end_point;
        let shared = Arc::new(Shared {
            world: Mutex::new(world),
            faults: Faults::default(),
            released: Notify::new(),
        });
        let stop = CancellationToken::new();
        let router = http::router(shared.clone());
        let stopped = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                served = axum::serve(listener, router) => {
                    if let Err(error) = served {
                        tracing::warn!(%error, "the Snowflake stand-in ended");
                    }
                }
                () = stopped.cancelled() => {}
            }
        });
        Ok(Self {
            address,
            shared,
            _running: stop.drop_guard(),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://host:port`, for `snowflake.url.name`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What goes wrong.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Every session token expires now; master tokens hold.
    pub fn expire_sessions(&self) {
        for session in self.shared.world().sessions.values_mut() {
            session.token.until = Instant::now();
        }
    }

    /// Every session ends now, as after its master token expired; what is open is rolled back.
    pub fn end_sessions(&self) {
        let mut world = self.shared.world();
        let ids: Vec<_> = world.sessions.keys().copied().collect();
        for id in ids {
            world.close(id);
        }
        self.shared.released.notify_waiters();
    }

    /// Leave to upload that was given so far ends now.
    pub fn expire_uploads(&self) {
        self.shared.world().uploads.expire();
    }

    /// Statements that need a warehouse are refused while `suspended`.
    pub fn suspend_warehouse(&self, suspended: bool) {
        self.shared.world().warehouse_suspended = suspended;
    }

    /// Drops a table, as somebody else might.
    pub fn drop_table(&self, table: &str) {
        self.shared.world().catalog.tables.remove(table);
    }

    /// Drops a stage with its files, as somebody else might.
    pub fn drop_stage(&self, stage: &str) {
        self.shared.world().catalog.stages.remove(stage);
    }

    /// Removes the files of a stage, as somebody else might.
    pub fn empty_stage(&self, stage: &str) {
        if let Some(stage) = self.shared.world().catalog.stages.get_mut(stage) {
            stage.files.clear();
        }
    }

    /// Empties a table, as somebody else might.
    pub fn truncate_table(&self, table: &str) {
        if let Some(table) = self.shared.world().catalog.tables.get_mut(table) {
            table.rows.clear();
        }
    }

    /// Runs a statement as the first user, as somebody else might; the rows of its answer.
    ///
    /// # Errors
    /// The refusal.
    pub fn sql(&self, sql: &str) -> Result<Vec<Vec<serde_json::Value>>> {
        let refused =
            |refusal: Refusal| Error::external(format!("{} ({})", refusal.message, refusal.code));
        let statement = parse(sql).map_err(refused)?;
        let mut world = self.shared.world();
        let user = world.options.users.first().cloned();
        let user = user.ok_or_else(|| Error::config("the stand-in has no user"))?;
        let id = world.catalog.next_number();
        let mut session = Session::of_user(id, &user, &world.options);
        match run(&mut world, &mut session, &statement).map_err(refused)? {
            Flow::Done(answer) => Ok(answer.wire_rows()),
            Flow::Blocked(_) => Err(Error::external("another transaction holds the table")),
        }
    }

    /// How many sessions are open.
    pub fn sessions(&self) -> usize {
        self.shared.world().sessions.len()
    }

    /// How many sessions were ever opened.
    pub fn logins(&self) -> u64 {
        self.shared.world().logins
    }

    /// How many transactions are open.
    pub fn open_transactions(&self) -> usize {
        let world = self.shared.world();
        let open = |session: &&Session| session.transaction.is_some();
        world.sessions.values().filter(open).count()
    }

    /// Paths of the files in a stage, in order.
    pub fn staged(&self, stage: &str) -> Vec<String> {
        let world = self.shared.world();
        let stage = world.catalog.stages.get(stage);
        stage.map_or_else(Vec::new, |stage| stage.files.keys().cloned().collect())
    }

    /// The names of all stages, in order.
    pub fn stages(&self) -> Vec<String> {
        self.shared.world().catalog.stages.keys().cloned().collect()
    }

    /// The names of all tables, in order.
    pub fn tables(&self) -> Vec<String> {
        self.shared.world().catalog.tables.keys().cloned().collect()
    }

    /// A table's columns with their types, as DESC TABLE shows them.
    pub fn columns(&self, table: &str) -> Vec<(String, String)> {
        let world = self.shared.world();
        let columns = world.catalog.tables.get(table).map(|table| &table.columns);
        columns
            .into_iter()
            .flatten()
            .map(|column| (column.name.clone(), column.kind.described()))
            .collect()
    }

    /// How many committed rows a table has; 0 if there is none.
    pub fn row_count(&self, table: &str) -> usize {
        let world = self.shared.world();
        let table = world.catalog.tables.get(table);
        table.map_or(0, |table| table.rows.len())
    }

    /// The committed rows of a table, each value as an answer spells it.
    pub fn rows(&self, table: &str) -> Vec<Vec<serde_json::Value>> {
        let world = self.shared.world();
        let Some(table) = world.catalog.tables.get(table) else {
            return Vec::new();
        };
        let padded = |row: &Row| {
            let mut values: Vec<_> = row.iter().map(Value::wire).collect();
            values.resize(table.columns.len(), serde_json::Value::Null);
            values
        };
        table.rows.values().map(padded).collect()
    }
}
