//! Everything a server knows: accounts, sessions, tables, stages, locks.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::catalog::Catalog;
use crate::session::Session;
use crate::transaction::Lock;
use crate::uploads::Uploads;

/// Who may log in.
#[derive(Debug, Clone)]
pub struct User {
    /// Upper case.
    pub name: String,
    /// `None`: no login by password.
    pub password: Option<String>,
    /// The public key in PEM; `None`: no login by key pair.
    pub public_key: Option<String>,
    /// The first is the default.
    pub roles: Vec<String>,
    /// The warehouse of sessions that name none.
    pub default_warehouse: Option<String>,
}

/// How to start a server.
#[derive(Debug, Clone)]
pub struct SnowflakeOptions {
    /// Where to listen; port 0 for a free one.
    pub address: std::net::SocketAddr,
    /// The account's name, upper case, without a region.
    pub account: String,
    /// The only database, upper case.
    pub database: String,
    /// Its only schema, upper case.
    pub schema: String,
    /// Warehouses, upper case.
    pub warehouses: Vec<String>,
    /// Roles that may look and not touch.
    pub read_only_roles: Vec<String>,
    /// Who may log in.
    pub users: Vec<User>,
    /// Where PUT tells clients to upload to; `None`: the server itself.
    pub upload_end_point: Option<String>,
    /// How long a session token holds.
    pub session_validity: Duration,
    /// How long a master token holds.
    pub master_validity: Duration,
}

impl SnowflakeOptions {
    /// A server at a free port with the user `LOADER` (password `test-secret`, `public_key`), the roles `INGEST` and
    /// `READER` (which may only look), the database `SHOP`, the schema `PUBLIC` and the warehouse `LOADING`.
    pub fn local(public_key: Option<String>) -> Self {
        let text = str::to_owned;
        Self {
            address: std::net::SocketAddr::from(([127, 0, 0, 1], 0)),
            account: text("TESTACCOUNT"),
            database: text("SHOP"),
            schema: text("PUBLIC"),
            warehouses: vec![text("LOADING")],
            read_only_roles: vec![text("READER")],
            users: vec![User {
                name: text("LOADER"),
                password: Some(text("test-secret")),
                public_key,
                roles: vec![text("INGEST"), text("READER")],
                default_warehouse: Some(text("LOADING")),
            }],
            upload_end_point: None,
            session_validity: Duration::from_secs(3600),
            master_validity: Duration::from_secs(4 * 3600),
        }
    }
}

/// The state behind one lock.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) options: SnowflakeOptions,
    pub(crate) catalog: Catalog,
    pub(crate) sessions: BTreeMap<u64, Session>,
    /// How many logins there were.
    pub(crate) logins: u64,
    /// By the identity of the table.
    pub(crate) locks: BTreeMap<u64, Lock>,
    pub(crate) uploads: Uploads,
    pub(crate) warehouse_suspended: bool,
    /// Answers of statements that were "in progress", by query.
    pub(crate) results: BTreeMap<String, InProgress>,
}

/// A finished statement whose answer is not given yet.
#[derive(Debug)]
pub(crate) struct InProgress {
    pub(crate) answer: serde_json::Value,
    pub(crate) ready: std::time::Instant,
}

impl World {
    pub(crate) fn new(options: SnowflakeOptions) -> Self {
        Self {
            options,
            catalog: Catalog::default(),
            sessions: BTreeMap::new(),
            logins: 0,
            locks: BTreeMap::new(),
            uploads: Uploads::new(),
            warehouse_suspended: false,
            results: BTreeMap::new(),
        }
    }

    /// Ends a session; what it had not committed is rolled back.
    pub(crate) fn close(&mut self, id: u64) {
        let Some(session) = self.sessions.remove(&id) else {
            return;
        };
        for stage in &session.temporary_stages {
            self.catalog.stages.remove(stage);
        }
        if let Some(open) = session.transaction {
            self.locks.retain(|_, lock| lock.holder != open.id);
        }
    }

    /// The session with this token, if it is one that has not expired.
    pub(crate) fn session_of(&mut self, token: &str) -> Result<u64, TokenRefusal> {
        let session = self
            .sessions
            .values()
            .find(|session| session.token.text == token);
        match session {
            None => Err(TokenRefusal::Unknown),
            Some(session) if session.token.is_expired() => Err(TokenRefusal::Expired),
            Some(session) => Ok(session.id),
        }
    }
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenRefusal {
    /// 390104
    Unknown,
    /// 390112
    Expired,
}
