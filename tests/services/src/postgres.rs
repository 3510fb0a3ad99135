//! PostgreSQL: one server in a folder of its own.
//!
//! The server refuses to run as root. Where the tests do, it runs as the user `nobody`, who then owns the folder.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::process::{Service, free_port};

/// The user and group `nobody`, on every Linux.
const NOBODY: u32 = 65534;
/// How long a server may take to answer.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// How to start a server.
#[derive(Debug, Clone, Default)]
pub struct PostgresOptions {
    /// More of `postgresql.conf`; they win.
    pub settings: BTreeMap<String, String>,
    /// Certificate chain and key, in PEM: the server then also speaks TLS.
    pub tls: Option<(String, String)>,
}

/// A running server; killed when dropped.
#[derive(Debug)]
pub struct Postgres {
    folder: TempDir,
    programs: PathBuf,
    port: u16,
    service: Option<Service>,
}

impl Postgres {
    /// The superuser's name.
    pub const USER: &str = "tester";
    /// The superuser's password.
    pub const PASSWORD: &str = "tester's secret";

    /// Makes a cluster, starts a server and waits until it answers.
    pub fn start(options: &PostgresOptions) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut postgres = Self {
            programs: programs()?,
            port: free_port()?,
            folder,
            service: None,
        };
        postgres.initialize()?;
        postgres.configure(options)?;
        postgres.launch()?;
        Ok(postgres)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL that a JDBC connector takes.
    pub fn jdbc_url(&self, database: &str) -> String {
        format!("jdbc:postgresql://127.0.0.1:{}/{database}", self.port)
    }

    /// Runs SQL with psql: columns separated by `|`, a row per line.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String> {
        let output = self.psql(database, &["-c", sql])?;
        if !output.status.success() {
            bail!("psql: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    /// Runs psql to its end.
    pub fn psql(&self, database: &str, arguments: &[&str]) -> Result<Output> {
        Command::new(self.programs.join("psql"))
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-d",
                database,
            ])
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(["-U", Self::USER])
            .args(arguments)
            .env("PGPASSWORD", Self::PASSWORD)
            .output()
            .context("starting psql")
    }

    /// Kills the server with -9.
    pub fn kill9(&mut self) -> Result<()> {
        self.service
            .take()
            .context("the server is not running")?
            .kill9()
    }

    /// Starts a killed server again on its old data and port.
    pub fn restart(&mut self) -> Result<()> {
        let until = Instant::now() + START_DEADLINE;
        // What is left of the old server may hold its shared memory for a moment.
        while let Err(error) = self.launch() {
            if Instant::now() > until {
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn initialize(&self) -> Result<()> {
        let password = self.folder.path().join("password");
        fs::write(&password, Self::PASSWORD)?;
        if is_root()? {
            chown(self.folder.path(), Some(NOBODY), Some(NOBODY))?;
            chown(&password, Some(NOBODY), Some(NOBODY))?;
        }
        let output = self
            .program("initdb")?
            .args(["--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"])
            .args(["--auth=scram-sha-256", "--username", Self::USER])
            .arg(format!("--pwfile={}", password.display()))
            .arg(self.data())
            .output()
            .context("starting initdb")?;
        if !output.status.success() {
            bail!("initdb: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    fn configure(&self, options: &PostgresOptions) -> Result<()> {
        let mut settings: BTreeMap<String, String> = [
            ("listen_addresses", "'127.0.0.1'".to_owned()),
            ("port", self.port.to_string()),
            ("unix_socket_directories", "''".to_owned()),
            // A killed process loses nothing that it has handed to the kernel.
            ("fsync", "off".to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        if let Some((certificate, key)) = &options.tls {
            self.write_private("server.crt", certificate)?;
            self.write_private("server.key", key)?;
            settings.insert("ssl".to_owned(), "on".to_owned());
        }
        settings.extend(options.settings.clone());
        let lines: Vec<_> = settings
            .iter()
            .map(|(key, value)| format!("{key} = {value}\n"))
            .collect();
        self.write_private("postgresql.auto.conf", &lines.concat())
    }

    fn write_private(&self, name: &str, text: &str) -> Result<()> {
        let path = self.data().join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        if is_root()? {
            chown(&path, Some(NOBODY), Some(NOBODY))?;
        }
        Ok(())
    }

    fn program(&self, name: &str) -> Result<Command> {
        let program = self.programs.join(name);
        if !is_root()? {
            return Ok(Command::new(program));
        }
        let mut command = Command::new("setpriv");
        command
            .arg(format!("--reuid={NOBODY}"))
            .arg(format!("--regid={NOBODY}"))
            .arg("--clear-groups")
            .arg(program)
            .current_dir(self.folder.path());
        Ok(command)
    }

    fn launch(&mut self) -> Result<()> {
        let mut command = self.program("postgres")?;
        command.arg("-D").arg(self.data());
        let log = self.folder.path().join("server.log");
        let mut service = Service::start(&command, &log)?;
        let until = Instant::now() + START_DEADLINE;
        while !self.answers() {
            if !service.is_running() || Instant::now() > until {
                bail!("the server does not answer: {}", fs::read_to_string(&log)?);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.service = Some(service);
        Ok(())
    }

    fn answers(&self) -> bool {
        self.sql("postgres", "SELECT 1").is_ok()
    }
}

fn is_root() -> Result<bool> {
    Ok(fs::metadata("/proc/self")?.uid() == 0)
}

/// The folder with `initdb`, `postgres` and `psql`: Debian keeps them out of the path, one folder per version.
fn programs() -> Result<PathBuf> {
    let mut versions: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .collect();
    versions.sort_unstable();
    let newest = versions
        .last()
        .map(|version| Path::new("/usr/lib/postgresql").join(format!("{version}/bin")));
    let path = env::var_os("PATH").unwrap_or_default();
    newest
        .into_iter()
        .chain(env::split_paths(&path))
        .find(|folder| ["initdb", "postgres", "psql"].iter().all(|name| folder.join(name).exists()))
        .context("no initdb, postgres and psql here: is PostgreSQL installed? `make test` installs it on Debian")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_starts_survives_a_kill_and_keeps_its_rows() {
        let mut postgres = Postgres::start(&PostgresOptions::default()).unwrap();
        let made = "CREATE TABLE kept (id int); INSERT INTO kept VALUES (1), (2)";
        postgres.sql("postgres", made).unwrap();
        postgres.kill9().unwrap();
        postgres.restart().unwrap();
        let rows = postgres.sql("postgres", "SELECT id FROM kept ORDER BY id");
        assert_eq!(rows.unwrap(), "1\n2");
    }
}
