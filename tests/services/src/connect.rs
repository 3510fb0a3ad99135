//! The real Kafka Connect, distributed, on a broker of the tests: what our worker is compared with.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tempfile::TempDir;

use crate::jars::connect_plugins;
use crate::kafka::Kafka;
use crate::process::{Service, free_port};

/// How long a worker may take until it is healthy.
const START_DEADLINE: Duration = Duration::from_secs(120);

/// How to start a worker.
#[derive(Debug, Clone, Default)]
pub struct ConnectOptions {
    /// More of the worker's properties; they win.
    pub properties: BTreeMap<String, String>,
}

/// A running worker; killed when dropped.
#[derive(Debug)]
pub struct Connect {
    folder: TempDir,
    port: u16,
    service: Service,
}

impl Connect {
    /// Fetches Kafka Connect and its FileStream connectors if need be, starts a worker and waits until it is healthy.
    ///
    /// Its group and its topics are called `connect-jvm…`; records are JSON without schemas.
    pub fn start(kafka: &Kafka, options: &ConnectOptions) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = free_port()?;
        let path = folder.path().join("worker.properties");
        fs::write(&path, properties(kafka, port, options)?)?;
        let mut command = kafka.java("org.apache.kafka.connect.cli.ConnectDistributed", "512m");
        command.arg(&path);
        let log = folder.path().join("worker.log");
        let mut service = Service::start(&command, &log)?;
        let until = Instant::now() + START_DEADLINE;
        while !is_healthy(port) {
            if !service.is_running() || Instant::now() > until {
                bail!(
                    "Kafka Connect does not answer: {}",
                    fs::read_to_string(&log)?
                );
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(Self {
            folder,
            port,
            service,
        })
    }

    /// `host:port` of its REST API.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Stops it in good order.
    pub fn stop(self) -> Result<()> {
        self.service.stop(START_DEADLINE)
    }

    /// What it has logged.
    pub fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(self.folder.path().join("worker.log"))?)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.service.pid()
    }
}

fn is_healthy(port: u16) -> bool {
    let asked = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(15)))?;
        stream.write_all(b"GET /health HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    asked().is_ok_and(|answer| answer.contains(" 200 "))
}

fn properties(kafka: &Kafka, port: u16, options: &ConnectOptions) -> Result<String> {
    let mut properties: BTreeMap<String, String> = [
        ("bootstrap.servers", kafka.bootstrap()),
        ("group.id", "connect-jvm".to_owned()),
        ("config.storage.topic", "connect-jvm-configs".to_owned()),
        ("offset.storage.topic", "connect-jvm-offsets".to_owned()),
        ("status.storage.topic", "connect-jvm-status".to_owned()),
        ("config.storage.replication.factor", "1".to_owned()),
        ("offset.storage.replication.factor", "1".to_owned()),
        ("status.storage.replication.factor", "1".to_owned()),
        ("offset.storage.partitions", "1".to_owned()),
        ("status.storage.partitions", "1".to_owned()),
        (
            "key.converter",
            "org.apache.kafka.connect.storage.StringConverter".to_owned(),
        ),
        (
            "value.converter",
            "org.apache.kafka.connect.json.JsonConverter".to_owned(),
        ),
        ("value.converter.schemas.enable", "false".to_owned()),
        ("offset.flush.interval.ms", "500".to_owned()),
        ("listeners", format!("http://127.0.0.1:{port}")),
        ("plugin.path", connect_plugins()?.display().to_string()),
        // Starts in a third of the time.
        ("plugin.discovery", "service_load".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    properties.extend(options.properties.clone());
    let mut text = String::new();
    for (key, value) in properties {
        writeln!(text, "{key}={value}")?;
    }
    Ok(text)
}
