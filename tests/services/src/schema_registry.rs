//! Apicurio Registry: a Schema Registry in memory, with Confluent's API.

use std::fs;
use std::net::TcpStream;
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::jars::registry_folder;
use crate::kafka::remove_at_exit;
use crate::process::{Service, free_port};

/// How long a registry may take to answer.
const START_DEADLINE: Duration = Duration::from_secs(120);

/// A running registry; killed when dropped.
#[derive(Debug)]
pub struct SchemaRegistry {
    port: u16,
    folder: TempDir,
    _service: Service,
}

impl SchemaRegistry {
    /// Fetches the registry if need be, starts it and waits until it answers.
    pub fn start() -> Result<Self> {
        let program = registry_folder()?;
        let runner = fs::read_dir(&program)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.to_string_lossy().ends_with("-runner.jar"));
        let runner = runner.with_context(|| format!("no program in {}", program.display()))?;
        let folder = tempfile::tempdir()?;
        let port = free_port()?;
        let mut command = Command::new("java");
        command
            .args(["-Xmx384m", "-XX:TieredStopAtLevel=1"])
            .arg("-Dquarkus.http.host=127.0.0.1")
            .arg(format!("-Dquarkus.http.port={port}"))
            .arg("-jar")
            .arg(runner);
        let log = folder.path().join("registry.log");
        let mut service = Service::start(&command, &log)?;
        let until = Instant::now() + START_DEADLINE;
        // It listens once it is ready.
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if !service.is_running() || Instant::now() > until {
                bail!(
                    "the registry does not answer: {}",
                    fs::read_to_string(&log)?
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Self {
            port,
            folder,
            _service: service,
        })
    }

    /// One registry for all tests of this process: it dies when the process ends.
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<SchemaRegistry> = OnceLock::new();
        static STARTING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(registry) = SHARED.get() {
            return Ok(registry);
        }
        let registry = Self::start()?;
        remove_at_exit(registry.folder.path())?;
        Ok(SHARED.get_or_init(|| registry))
    }

    /// The address of Confluent's API.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/apis/ccompat/v7", self.port)
    }
}
