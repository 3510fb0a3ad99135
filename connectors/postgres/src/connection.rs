//! One connection to the server that takes writes.
//!
//! Holds always: when a [`Connection`] is dropped its socket is closed at once, so that a transaction whose COMMIT was
//! not sent is rolled back by the server.

use std::time::Duration;

use connect_core::{Error, ErrorKind, Result, Secret};
use tokio::task::JoinHandle;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::{Client, NoTls};
use tracing::{debug, info};

use crate::config::{PostgresSinkConfig, SslMode};
use crate::error::{Cause, WriteError};
use crate::tls::{Tls, TlsSettings, mode_named};
use crate::url::Parameter;

/// How long reaching one server may take, unless the URL says otherwise.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// How long one transaction may take, unless the URL's `socketTimeout` says otherwise.
const WRITE_DEADLINE: Duration = Duration::from_secs(300);
/// A server that does not answer for so long is gone.
const DEAD_PEER: Duration = Duration::from_secs(60);
/// A lock that does not come is waited for so long, then everything is tried again. A transaction that we have begun and
/// forgotten, because the process was stopped, gives up its locks after the same time.
const SESSION: &str = "SET lock_timeout = '60s'; SET idle_in_transaction_session_timeout = '60s'; \
     SET client_min_messages = 'warning'; SET DateStyle = 'ISO, YMD'; SET bytea_output = 'hex'; \
     SET standard_conforming_strings = on";

/// A server that knows how (14 and later) looks whether we are still there while it waits for a lock.
const NOTICE_LOSS: &str = "SELECT set_config(name, '10s', false) FROM pg_settings \
     WHERE name = 'client_connection_check_interval'";

/// How to reach the server: checked once, used for every connection.
#[derive(Clone)]
pub(crate) struct Target {
    config: tokio_postgres::Config,
    tls: Option<Tls>,
    schema: Option<String>,
    timezone: String,
    /// How long one transaction may take.
    pub(crate) write_deadline: Duration,
    /// `host:port/database`, for messages.
    pub(crate) shown: String,
}

impl Target {
    /// Puts options and URL together; options win.
    ///
    /// # Errors
    /// A configuration error if a certificate or key cannot be read.
    pub(crate) fn new(config: &PostgresSinkConfig) -> Result<Self> {
        let options = &config.connection;
        let url = config.jdbc_url();
        let given = |parameter| url.parameter(parameter).map(str::to_owned);
        let user = options.user.clone().or_else(|| given(Parameter::User));
        let password = options
            .password
            .clone()
            .or_else(|| given(Parameter::Password).map(Secret::new));
        let mut target = base_config();
        for (host, port) in &url.hosts {
            target.host(host).port(*port);
        }
        let user = user.unwrap_or_else(|| "postgres".to_owned());
        let database = if url.database.is_empty() {
            &user
        } else {
            &url.database
        };
        target.user(&user).dbname(database);
        if let Some(password) = password {
            target.password(password.expose());
        }
        if let Some(options) = given(Parameter::Options) {
            target.options(options);
        }
        let name = given(Parameter::ApplicationName).unwrap_or_else(|| "sluice".to_owned());
        target.application_name(name);
        let connect = url.seconds(Parameter::ConnectTimeout);
        target.connect_timeout(connect.unwrap_or(CONNECT_DEADLINE));
        let tls = tls_of(config)?;
        target.ssl_mode(client_mode(tls.mode));
        let hosts: Vec<_> = url
            .hosts
            .iter()
            .map(|(host, port)| format!("{host}:{port}"))
            .collect();
        Ok(Self {
            shown: format!("{}/{database}", hosts.join(",")),
            config: target,
            tls: match tls.mode {
                SslMode::Disable => None,
                _ => Some(Tls::new(&tls)?),
            },
            schema: given(Parameter::CurrentSchema),
            timezone: config.data.timezone.clone(),
            write_deadline: url
                .seconds(Parameter::SocketTimeout)
                .unwrap_or(WRITE_DEADLINE),
        })
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// What the server or the network said.
    pub(crate) async fn connect(&self) -> Result<Connection, WriteError> {
        let deadline = self.write_deadline.min(DEAD_PEER);
        let connecting = async {
            let connection = match &self.tls {
                None => {
                    let connected = self.config.connect(NoTls).await;
                    let (client, driver) = connected.map_err(|error| self.refused(error))?;
                    Connection::drive(client, driver)
                }
                Some(tls) => {
                    let connected = self.config.connect(tls.clone()).await;
                    let (client, driver) = connected.map_err(|error| self.refused(error))?;
                    Connection::drive(client, driver)
                }
            };
            connection.client.batch_execute(SESSION).await?;
            connection.client.batch_execute(NOTICE_LOSS).await?;
            if jiff::tz::TimeZone::get(&self.timezone).is_ok() {
                let zone = "SELECT set_config('TimeZone', $1, false)";
                connection.client.query(zone, &[&self.timezone]).await?;
            }
            if let Some(schema) = &self.schema {
                let path = "SELECT set_config('search_path', $1, false)";
                connection.client.query(path, &[schema]).await?;
            }
            Ok(connection)
        };
        let connection = tokio::time::timeout(deadline, connecting)
            .await
            .unwrap_or(Err(WriteError::Deadline(deadline)))?;
        info!(server = self.shown, "connected");
        Ok(connection)
    }

    /// Why no connection came about: what neither the server said nor the network is a login that we cannot do.
    fn refused(&self, error: tokio_postgres::Error) -> WriteError {
        let error = WriteError::from(error);
        if error.is_from_server() || error.cause() != Cause::Other {
            return error;
        }
        let text = match self.config.get_password() {
            Some(_) => "logging in failed",
            None => "logging in failed, and connection.password is not set",
        };
        WriteError::Known(
            Error::new(ErrorKind::Auth, text)
                .operation("connect to")
                .target(&self.shown)
                .source(error),
        )
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Target").field(&self.shown).finish()
    }
}

/// What every connection has: only a server that takes writes is good; one that is silent is noticed.
fn base_config() -> tokio_postgres::Config {
    let mut config = tokio_postgres::Config::new();
    config
        .target_session_attrs(TargetSessionAttrs::ReadWrite)
        .keepalives(true)
        .keepalives_idle(DEAD_PEER / 3)
        .keepalives_interval(DEAD_PEER / 6)
        .keepalives_retries(3)
        .tcp_user_timeout(DEAD_PEER);
    config
}

fn client_mode(mode: SslMode) -> tokio_postgres::config::SslMode {
    match mode {
        SslMode::Disable => tokio_postgres::config::SslMode::Disable,
        SslMode::Prefer => tokio_postgres::config::SslMode::Prefer,
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
            tokio_postgres::config::SslMode::Require
        }
    }
}

fn tls_of(config: &PostgresSinkConfig) -> Result<TlsSettings> {
    let options = &config.connection;
    let url = config.jdbc_url();
    let given = |parameter| url.parameter(parameter).map(str::to_owned);
    // As in the Java driver: `ssl`, alone or `true`, means the strictest mode unless `sslmode` says otherwise.
    let by_ssl = given(Parameter::Ssl)
        .filter(|value| value.is_empty() || value.eq_ignore_ascii_case("true"))
        .map(|_| SslMode::VerifyFull);
    let by_url = given(Parameter::SslMode)
        .map(|name| {
            mode_named(&name).ok_or_else(|| Error::config(format!("unknown sslmode {name}")))
        })
        .transpose()?;
    Ok(TlsSettings {
        mode: options
            .ssl_mode
            .or(by_url)
            .or(by_ssl)
            .unwrap_or(SslMode::Prefer),
        root: options
            .ssl_root_cert
            .clone()
            .or_else(|| given(Parameter::SslRootCert)),
        certificate: options
            .ssl_cert
            .clone()
            .or_else(|| given(Parameter::SslCert)),
        key: options.ssl_key.clone().or_else(|| given(Parameter::SslKey)),
    })
}

/// An open connection.
pub(crate) struct Connection {
    /// The client of this connection.
    pub(crate) client: Client,
    driver: JoinHandle<()>,
}

impl Connection {
    fn drive<S, T>(client: Client, driver: tokio_postgres::Connection<S, T>) -> Self
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
        T: tokio_postgres::tls::TlsStream + Unpin + Send + 'static,
    {
        let driver = tokio::spawn(async move {
            if let Err(error) = driver.await {
                debug!(%error, "the connection has ended");
            }
        });
        Self { client, driver }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
