//! Users as an HTTP API and as a CSV file have them: what the sources of `api-postgres` read.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use anyhow::{Context, Result};
use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::ledger::{Ledger, Made};
use super::pace::Pace;

/// Ids of users of the file begin here, those of the API at 1: they share a table.
const FILE_IDS: u64 = 1_000_000;

/// Users the API has, in order of their ids.
type Users = Arc<Mutex<Vec<Value>>>;

/// An HTTP API to which users are added; stops when dropped.
pub(super) struct Api {
    users: Users,
    url: String,
    _running: DropGuard,
}

/// `?since=ID&page=1&limit=500`
#[derive(serde::Deserialize)]
struct Page {
    /// Only users with a higher id.
    since: Option<u64>,
    page: usize,
    limit: usize,
}

impl Api {
    pub(super) async fn start() -> Result<Self> {
        let users = Users::default();
        let router = Router::new()
            .route("/users", get(page))
            .with_state(users.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/users", listener.local_addr()?);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ended = axum::serve(listener, router) => {}
                () = stopped.cancelled() => {}
            }
        });
        Ok(Self {
            users,
            url,
            _running: stop.drop_guard(),
        })
    }

    /// Where it is, for `http.url`.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Adds users at this pace.
    pub(super) fn grow(
        &self,
        pace: Pace,
        ledger: Ledger,
    ) -> impl Future<Output = Result<()>> + use<> {
        let users = self.users.clone();
        async move {
            let mut index = 0;
            while pace.wait_for(index).await {
                let made = SystemTime::now();
                let id = index + 1;
                let user = json!({"id": id, "name": name(id)});
                users
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(user);
                ledger.add(row(id, made));
                index += 1;
            }
            Ok(())
        }
    }
}

async fn page(State(users): State<Users>, Query(page): Query<Page>) -> Json<Value> {
    let since = page.since.unwrap_or(0);
    let users = users.lock().unwrap_or_else(PoisonError::into_inner);
    let newer = |user: &&Value| user.get("id").and_then(Value::as_u64) > Some(since);
    let first = page.page.saturating_sub(1).saturating_mul(page.limit);
    let rows: Vec<_> = users
        .iter()
        .filter(newer)
        .skip(first)
        .take(page.limit)
        .collect();
    Json(json!({ "data": rows }))
}

/// A CSV file to which lines are added.
pub(super) struct CsvFile {
    path: PathBuf,
}

impl CsvFile {
    /// Makes the file with its header.
    pub(super) async fn create(path: PathBuf) -> Result<Self> {
        tokio::fs::write(&path, "id,name\n")
            .await
            .with_context(|| format!("writing {}", path.display()))?;
        Ok(Self { path })
    }

    /// Where it is, for `file`.
    pub(super) fn path(&self) -> String {
        self.path.display().to_string()
    }

    /// Adds a line at this pace.
    pub(super) fn grow(
        &self,
        pace: Pace,
        ledger: Ledger,
    ) -> impl Future<Output = Result<()>> + use<> {
        let path = self.path.clone();
        async move {
            let mut file = tokio::fs::OpenOptions::new()
                .append(true)
                .open(&path)
                .await?;
            let mut index = 0;
            while pace.wait_for(index).await {
                let made = SystemTime::now();
                let id = FILE_IDS + index;
                file.write_all(format!("{id},{}\n", name(id)).as_bytes())
                    .await?;
                file.flush().await?;
                ledger.add(row(id, made));
                index += 1;
            }
            Ok(())
        }
    }
}

fn name(id: u64) -> String {
    format!("user {id}")
}

fn row(id: u64, made: SystemTime) -> Made {
    Made {
        id: id.to_string(),
        made,
        delivery: None,
    }
}
