//! Postgres: a schema of the demo's own in the database the user names.

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, NoTls};

use super::Stage;
use crate::cli::pipeline::demo::plan::{Origin, Stream};
use crate::cli::ready_config::ReadyConfig;

/// The database, with a schema made anew for this run.
pub(in crate::cli::pipeline::demo) struct PostgresStage {
    client: Client,
    login: Login,
    schema: String,
}

/// How the sink gets there.
struct Login {
    host: String,
    port: u16,
    database: String,
    user: String,
    password: Option<String>,
}

impl Login {
    fn of(config: &Config) -> Result<Self> {
        let host = match config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            _ => bail!("--postgres: a host is needed: postgres://user:password@host:5432/database"),
        };
        let user = config.get_user().context("--postgres: a user is needed")?;
        let password = config.get_password().map(String::from_utf8_lossy);
        Ok(Self {
            host,
            port: config.get_ports().first().copied().unwrap_or(5432),
            database: config.get_dbname().unwrap_or(user).to_owned(),
            user: user.to_owned(),
            password: password.map(std::borrow::Cow::into_owned),
        })
    }
}

impl PostgresStage {
    /// Connects, and makes the schema `sluice_demo_<pipeline>`: what an earlier demo left in it goes.
    pub(in crate::cli::pipeline::demo) async fn start(url: &str, pipeline: &str) -> Result<Self> {
        // The cause may show the URL, and with it the password.
        let config = url.parse::<Config>().ok();
        let config = config.context(
            "--postgres is no address: postgres://user:password@host:5432/database is one",
        )?;
        let login = Login::of(&config)?;
        let at = format!("Postgres at {}:{}", login.host, login.port);
        let connected = config.connect(NoTls).await;
        let (client, connection) = connected.with_context(|| format!("connecting to {at}"))?;
        tokio::spawn(connection);
        let schema = format!("sluice_demo_{}", pipeline.replace('-', "_"));
        let anew = format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}");
        let made = client.batch_execute(&anew).await;
        made.with_context(|| format!("making schema {schema} in {at}"))?;
        Ok(Self {
            client,
            login,
            schema,
        })
    }

    /// The sink's config with this database.
    pub(in crate::cli::pipeline::demo) fn point(&self, sink: ReadyConfig) -> ReadyConfig {
        let Login {
            host,
            port,
            database,
            user,
            password,
        } = &self.login;
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.clone()
        };
        let url = format!(
            "jdbc:postgresql://{host}:{port}/{database}?currentSchema={}",
            self.schema
        );
        let sink = sink
            .with("connection.url", url)
            .with("connection.user", user);
        match password {
            Some(password) => sink.with("connection.password", password),
            None => sink,
        }
    }
}

#[async_trait]
impl Stage for PostgresStage {
    fn name(&self) -> &'static str {
        "Postgres"
    }

    fn place(&self) -> String {
        let Login {
            host,
            port,
            database,
            ..
        } = &self.login;
        format!(
            "schema {} of database {database} at {host}:{port}",
            self.schema
        )
    }

    async fn ids(&self, stream: &Stream) -> Result<Vec<String>> {
        let table = format!("{}.{}", self.schema, stream.topic.replace('-', "_"));
        let there = self
            .client
            .query_one("SELECT to_regclass($1) IS NOT NULL", &[&table])
            .await?;
        if !there.get::<_, bool>(0) {
            return Ok(Vec::new());
        }
        let ids = format!(
            "SELECT coalesce({}::text, '') FROM {table}",
            stream.id_field()
        );
        let rows = match stream.origin {
            Origin::Generated(_) => self.client.query(&ids, &[]).await,
            Origin::Api | Origin::Csv => {
                let of_source = format!("{ids} WHERE source = $1");
                self.client.query(&of_source, &[&stream.name]).await
            }
        };
        let rows = rows.with_context(|| format!("reading {table}"))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_read_from_the_url() {
        let config = "postgres://me:se%20cret@db:5433/shop".parse().unwrap();
        let login = Login::of(&config).unwrap();
        let (host, port) = (login.host.as_str(), login.port);
        assert_eq!((host, port, login.database.as_str()), ("db", 5433, "shop"));
        assert_eq!(login.password.as_deref(), Some("se cret"));
        let config: Config = "postgres://me@db".parse().unwrap();
        let login = Login::of(&config).unwrap();
        assert_eq!((login.port, login.database.as_str()), (5432, "me"));
        assert!(Login::of(&Config::new()).is_err());
    }
}
