//! A session: statements in, rows out.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use serde_json::Value as Json;
use snowflake_api::{
    AuthArgs, AuthType, CertificateArgs, PasswordArgs, QueryResult, SnowflakeApi,
    SnowflakeApiBuilder,
};

use crate::config::{Authenticator, SnowflakeSinkConfig};
use crate::error::SnowflakeError;
use crate::wire::{LoginNames, Wire};

type Result<T, E = SnowflakeError> = std::result::Result<T, E>;

/// How long the end of a session may take.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);
/// How long a connection may take to come about.
const CONNECT_DEADLINE: Duration = Duration::from_secs(20);

/// Rows of an answer, as text by column.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    columns: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
}

impl Rows {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// A value by row and column; columns are found in any case.
    pub(crate) fn get(&self, row: usize, column: &str) -> Option<&str> {
        let position = self
            .columns
            .iter()
            .position(|name| name.eq_ignore_ascii_case(column))?;
        self.rows.get(row)?.get(position)?.as_deref()
    }

    /// The first value of the first row.
    pub(crate) fn first(&self) -> Option<&str> {
        self.rows.first()?.first()?.as_deref()
    }
}

/// An open session. Ends when dropped: what it had not committed is rolled back.
pub(crate) struct Session {
    api: Option<SnowflakeApi>,
    wire: Arc<Wire>,
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Session {
    /// Prepares a session; the first statement logs in.
    ///
    /// # Errors
    /// A configuration error.
    pub(crate) fn new(config: &SnowflakeSinkConfig) -> Result<Self> {
        let wrong = |reason: String| SnowflakeError::Known(connect_core::Error::config(reason));
        let login = &config.login;
        let url = config.url().map_err(wrong)?;
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_DEADLINE)
            .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|cause| wrong(format!("no HTTP client: {cause}")))?;
        let wire = Arc::new(Wire::new(url, names(config)));
        let client = reqwest_middleware::ClientBuilder::new(http)
            .with_arc(wire.clone())
            .build();
        let auth_type = match config.authenticator() {
            Authenticator::KeyPair => AuthType::Certificate(CertificateArgs {
                private_key_pem: config.private_key().map_err(wrong)?,
            }),
            Authenticator::Password => AuthType::Password(PasswordArgs {
                password: login
                    .password
                    .as_ref()
                    .map(|password| password.expose().clone())
                    .unwrap_or_default(),
            }),
        };
        let arguments = AuthArgs {
            account_identifier: config.account(),
            warehouse: None,
            database: None,
            schema: None,
            username: login.user.clone(),
            role: None,
            auth_type,
        };
        let api = SnowflakeApiBuilder::new(arguments)
            .with_client(client)
            .build()
            .map_err(|cause| SnowflakeError::Protocol(cause.to_string()))?;
        Ok(Self {
            api: Some(api),
            wire,
        })
    }

    /// Runs a statement.
    ///
    /// # Errors
    /// What Snowflake says, or that it said nothing.
    pub(crate) async fn run(&self, sql: &str) -> Result<Rows> {
        let api = self
            .api
            .as_ref()
            .ok_or_else(|| SnowflakeError::Protocol("the session is closed".to_owned()))?;
        tracing::debug!(sql, "statement");
        let answer = api.exec(sql).await.map_err(|cause| {
            // The middleware keeps its errors: the crate would lose codes on the way.
            let kept = self.wire.take_failure();
            kept.unwrap_or_else(|| SnowflakeError::Protocol(cause.to_string()))
        });
        match answer? {
            QueryResult::Empty => Ok(Rows::default()),
            QueryResult::Json(json) => Ok(Rows {
                columns: json.schema.into_iter().map(|column| column.name).collect(),
                rows: json_rows(&json.value),
            }),
            QueryResult::Arrow(batches) => Ok(arrow_rows(&batches)),
        }
    }

    /// Asks where files for a folder of a stage are to be uploaded to.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub(crate) async fn put(&self, stage: &str, folder: &str) -> Result<Json> {
        // The line break keeps snowflake-api from uploading by itself. The file's name is not used.
        let sql = format!(
            "\nPUT file:///tmp/upload @{stage}/{folder} AUTO_COMPRESS=FALSE OVERWRITE=TRUE"
        );
        self.run(&sql).await?;
        self.wire
            .take_upload()
            .ok_or_else(|| SnowflakeError::Protocol("a reply to PUT without a place".to_owned()))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let (Some(mut api), Ok(runtime)) = (self.api.take(), tokio::runtime::Handle::try_current())
        else {
            return;
        };
        runtime.spawn(async move {
            let closed = tokio::time::timeout(CLOSE_DEADLINE, api.close_session()).await;
            if !matches!(closed, Ok(Ok(()))) {
                tracing::debug!("a session was left to expire");
            }
        });
    }
}

fn names(config: &SnowflakeSinkConfig) -> LoginNames {
    let login = &config.login;
    let mut parameters = vec![
        ("databaseName", login.database.clone()),
        ("schemaName", login.schema.clone()),
    ];
    if let Some(warehouse) = &login.warehouse {
        parameters.push(("warehouse", warehouse.clone()));
    }
    if let Some(role) = &login.role {
        parameters.push(("roleName", role.clone()));
    }
    LoginNames { parameters }
}

fn json_rows(value: &Json) -> Vec<Vec<Option<String>>> {
    let rows = value.as_array().into_iter().flatten();
    rows.map(|row| {
        let values = row.as_array().into_iter().flatten();
        values
            .map(|value| match value {
                Json::Null => None,
                Json::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            })
            .collect()
    })
    .collect()
}

/// Columns of text; ours are, as every query of ours casts to VARCHAR.
fn arrow_rows(batches: &[RecordBatch]) -> Rows {
    let mut rows = Rows::default();
    for batch in batches {
        if rows.columns.is_empty() {
            let schema = batch.schema();
            rows.columns = schema
                .fields()
                .iter()
                .map(|field| field.name().clone())
                .collect();
        }
        for row in 0..batch.num_rows() {
            let text = |column: &arrow_array::ArrayRef| {
                let texts = column.as_string_opt::<i32>()?;
                let is_value = arrow_array::Array::is_valid(texts, row);
                is_value.then(|| texts.value(row).to_owned())
            };
            rows.rows.push(batch.columns().iter().map(text).collect());
        }
    }
    rows
}
