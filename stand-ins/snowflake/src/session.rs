//! A session: who it is, where it works, its tokens and its open transaction.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::error::{Refusal, Result};
use crate::sql::ast::ObjectName;
use crate::transaction::Transaction;
use crate::world::{SnowflakeOptions, User};

/// A token until it expires.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) until: Instant,
}

impl Token {
    pub(crate) fn new(kind: &str, validity: Duration) -> Self {
        let text = format!(
            "{kind}-{:016x}{:016x}",
            fastrand::u64(..),
            fastrand::u64(..)
        );
        Self {
            text,
            until: Instant::now() + validity,
        }
    }

    pub(crate) fn is_expired(&self) -> bool {
        Instant::now() >= self.until
    }
}

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: u64,
    pub(crate) user: String,
    pub(crate) role: String,
    pub(crate) roles: Vec<String>,
    /// The role may look and not touch.
    pub(crate) read_only: bool,
    pub(crate) database: Option<String>,
    pub(crate) schema: Option<String>,
    pub(crate) warehouse: Option<String>,
    pub(crate) token: Token,
    pub(crate) master: Token,
    pub(crate) transaction: Option<Transaction>,
    /// Stages that go with it.
    pub(crate) temporary_stages: Vec<String>,
    pub(crate) parameters: BTreeMap<String, String>,
    /// Answers by request id: a request that comes again gets the same one.
    pub(crate) answered: VecDeque<(String, serde_json::Value)>,
}

impl Session {
    /// A session with a user's defaults, in the only schema.
    pub(crate) fn of_user(id: u64, user: &User, options: &SnowflakeOptions) -> Self {
        let role = user.roles.first().cloned().unwrap_or_default();
        Self {
            id,
            user: user.name.clone(),
            roles: user.roles.clone(),
            read_only: options.read_only_roles.contains(&role),
            role,
            database: Some(options.database.clone()),
            schema: Some(options.schema.clone()),
            warehouse: user.default_warehouse.clone(),
            token: Token::new("session", options.session_validity),
            master: Token::new("master", options.master_validity),
            transaction: None,
            temporary_stages: Vec::new(),
            parameters: BTreeMap::new(),
            answered: VecDeque::new(),
        }
    }

    /// The name inside the schema, if the parts before it are this session's.
    ///
    /// # Errors
    /// Another database or schema, or none.
    pub(crate) fn resolve(&self, name: &ObjectName) -> Result<String> {
        let missing = || Refusal::missing("Object", &name.to_string());
        let (Some(database), Some(schema)) = (&self.database, &self.schema) else {
            let text = format!(
                "Cannot perform operation. This session does not have a current database. Call 'USE DATABASE', or use a qualified name for '{name}'."
            );
            return Err(Refusal::new("090105", "22000", text));
        };
        match name.0.as_slice() {
            [last] => Ok(last.clone()),
            [in_schema, last] if in_schema == schema => Ok(last.clone()),
            [in_database, in_schema, last] if in_database == database && in_schema == schema => {
                Ok(last.clone())
            }
            _ => Err(missing()),
        }
    }

    /// # Errors
    /// The role may not.
    pub(crate) fn may_write(&self, kind: &str, name: &str) -> Result<()> {
        if self.read_only {
            return Err(Refusal::privilege(kind, name));
        }
        Ok(())
    }

    /// How long a statement waits for a lock.
    pub(crate) fn lock_timeout(&self) -> Duration {
        let seconds = self.parameters.get("LOCK_TIMEOUT");
        let seconds = seconds.and_then(|text| text.parse().ok());
        Duration::from_secs(seconds.unwrap_or(43_200))
    }

    /// Whether a statement outside a transaction is one of its own.
    pub(crate) fn autocommit(&self) -> bool {
        let value = self.parameters.get("AUTOCOMMIT");
        value.is_none_or(|value| !value.eq_ignore_ascii_case("FALSE"))
    }

    /// The answer to a request that came before.
    pub(crate) fn answer_to(&self, request: &str) -> Option<serde_json::Value> {
        let mut answered = self.answered.iter();
        let found = answered.find(|(id, _)| id == request && !id.is_empty());
        found.map(|(_, answer)| answer.clone())
    }

    pub(crate) fn remember(&mut self, request: &str, answer: serde_json::Value) {
        const MOST: usize = 100;
        self.answered.push_back((request.to_owned(), answer));
        if self.answered.len() > MOST {
            self.answered.pop_front();
        }
    }
}
