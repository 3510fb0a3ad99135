//! Apache Kafka: a node, KRaft, in a folder of its own; alone unless [`crate::KafkaCluster`] starts it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::jars::kafka_jars;
use crate::process::Service;

/// How to start a broker.
#[derive(Debug, Clone, Default)]
pub struct KafkaOptions {
    /// More of `server.properties`; they win.
    pub properties: BTreeMap<String, String>,
    /// Listeners beside the plain one: `SASL_SSL://127.0.0.1:9094`.
    pub listeners: Vec<String>,
}

/// A running broker; killed when dropped.
#[derive(Debug)]
pub struct Kafka {
    folder: TempDir,
    jars: PathBuf,
    node: Node,
    service: Option<Service>,
}

/// A node of a cluster: its number, and where it listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    pub(crate) id: u32,
    /// To clients.
    pub(crate) port: u16,
    /// To the other nodes' controllers.
    controller: u16,
}

impl Node {
    /// So many nodes at free ports, counted from 1.
    pub(crate) fn some(count: u32) -> Result<Vec<Self>> {
        // None is free again before all are known.
        let mut held = Vec::new();
        let mut free_port = || -> Result<u16> {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let port = listener.local_addr()?.port();
            held.push(listener);
            Ok(port)
        };
        let node = |id| {
            Ok(Self {
                id,
                port: free_port()?,
                controller: free_port()?,
            })
        };
        (1..=count).map(node).collect()
    }
}

/// How long a broker may take to answer.
const START_DEADLINE: Duration = Duration::from_secs(90);

impl Kafka {
    /// Fetches Kafka if need be, formats a log folder, starts a broker and waits until it answers.
    pub fn start(options: &KafkaOptions) -> Result<Self> {
        let nodes = Node::some(1)?;
        let node = *nodes.first().context("one was asked for")?;
        let mut kafka = Self::formatted(node, &nodes, options)?;
        kafka.restart()?;
        Ok(kafka)
    }

    /// A node of a cluster, ready to be launched.
    pub(crate) fn formatted(node: Node, nodes: &[Node], options: &KafkaOptions) -> Result<Self> {
        let (jars, folder) = (kafka_jars()?, tempfile::tempdir()?);
        fs::write(
            folder.path().join("server.properties"),
            properties(&folder, node, nodes, options)?,
        )?;
        let kafka = Self {
            folder,
            jars,
            node,
            service: None,
        };
        let server_properties = kafka.properties_path();
        let format = kafka.tool(
            "kafka.tools.StorageTool",
            &[
                "format",
                "-t",
                "c2x1aWNlLXRlc3RzLTAwMA",
                "-c",
                &server_properties,
            ],
        )?;
        if !format.status.success() {
            bail!(
                "formatting the log folder: {}",
                String::from_utf8_lossy(&format.stderr)
            );
        }
        Ok(kafka)
    }

    /// One broker for all tests of this process: it dies, and its folder is removed, when the process ends.
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Kafka> = OnceLock::new();
        static STARTING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kafka) = SHARED.get() {
            return Ok(kafka);
        }
        let kafka = Self::start_for_process(&KafkaOptions::default())?;
        Ok(SHARED.get_or_init(|| kafka))
    }

    /// As [`Kafka::start`], for a broker that is never dropped: its folder is removed when the process ends.
    pub fn start_for_process(options: &KafkaOptions) -> Result<Self> {
        let kafka = Self::start(options)?;
        remove_at_exit(kafka.folder.path())?;
        Ok(kafka)
    }

    /// `host:port` for clients.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.node.port)
    }

    /// Sends the broker a signal by name: `STOP` freezes it, `CONT` lets it go on.
    pub fn signal(&self, name: &str) -> Result<()> {
        let service = self.service.as_ref();
        service.context("the broker is not running")?.signal(name)
    }

    /// Kills the broker with -9.
    pub fn kill9(&mut self) -> Result<()> {
        self.service
            .take()
            .context("the broker is not running")?
            .kill9()
    }

    /// Starts a killed broker again on its old data and port.
    pub fn restart(&mut self) -> Result<()> {
        self.launch()?;
        self.await_answer()
    }

    /// Runs one of Kafka's tools (a main class) to its end.
    pub fn tool(&self, class: &str, arguments: &[&str]) -> Result<Output> {
        let mut command = self.java(class, "128m");
        command.args(arguments);
        command
            .output()
            .context("starting java: is a JDK installed?")
    }

    /// Makes a topic.
    pub fn create_topic(&self, name: &str, partitions: u32, settings: &[&str]) -> Result<()> {
        let (bootstrap, partitions) = (self.bootstrap(), partitions.to_string());
        let mut arguments = vec![
            "--bootstrap-server",
            &bootstrap,
            "--create",
            "--topic",
            name,
            "--partitions",
            &partitions,
        ];
        for setting in settings {
            arguments.extend(["--config", setting]);
        }
        let output = self.tool("org.apache.kafka.tools.TopicCommand", &arguments)?;
        if !output.status.success() {
            bail!(
                "making topic {name}: {}",
                String::from_utf8_lossy(&output.stdout)
            );
        }
        Ok(())
    }

    /// What Kafka's own tool says of a topic.
    pub fn describe_topic(&self, topic: &str) -> Result<String> {
        let bootstrap = self.bootstrap();
        let arguments = [
            "--bootstrap-server",
            &bootstrap,
            "--describe",
            "--topic",
            topic,
        ];
        let output = self.tool("org.apache.kafka.tools.TopicCommand", &arguments)?;
        Ok(String::from_utf8(output.stdout)?)
    }

    /// `kafka-consumer-groups --describe --group`.
    pub fn describe_group(&self, group: &str) -> Result<String> {
        let bootstrap = self.bootstrap();
        let output = self.tool(
            "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
            &[
                "--bootstrap-server",
                &bootstrap,
                "--describe",
                "--group",
                group,
            ],
        )?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// One of Apache Kafka's main classes, ready to be started.
    pub(crate) fn java(&self, class: &str, heap: &str) -> Command {
        let mut command = Command::new("java");
        command
            .args([
                format!("-Xmx{heap}").as_str(),
                "-XX:TieredStopAtLevel=1",
                "-cp",
            ])
            .arg(format!("{}/*", self.jars.display()))
            .arg(format!(
                "-Dlog4j2.configurationFile={}/log4j2.xml",
                self.jars.display()
            ))
            .arg(class);
        command
    }

    fn properties_path(&self) -> String {
        self.folder
            .path()
            .join("server.properties")
            .display()
            .to_string()
    }

    /// Starts the process, and does not wait for it.
    pub(crate) fn launch(&mut self) -> Result<()> {
        let mut command = self.java("kafka.Kafka", "512m");
        command.arg(self.properties_path());
        self.service = Some(Service::start(&command, &self.log_path())?);
        Ok(())
    }

    pub(crate) fn await_answer(&mut self) -> Result<()> {
        let until = Instant::now() + START_DEADLINE;
        while !self.answers() {
            let is_running = self.service.as_mut().is_some_and(Service::is_running);
            if !is_running || Instant::now() > until {
                let log = fs::read_to_string(self.log_path())?;
                bail!("the broker does not answer: {log}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    /// True once the listener is open: a broker opens it when it is ready for clients.
    fn answers(&self) -> bool {
        TcpStream::connect(("127.0.0.1", self.node.port)).is_ok()
    }
}

/// Leaves a process behind that removes `folder` once this one has ended, however it ends.
pub(crate) fn remove_at_exit(folder: &Path) -> Result<()> {
    const JANITOR: &str = r#"cat >/dev/null; until rm -rf "$1" 2>/dev/null; do sleep 0.2; done"#;
    let mut janitor = Command::new("bash")
        .args(["-c", JANITOR, "janitor"])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("starting bash")?;
    // Its standard input closes when this process ends.
    std::mem::forget(janitor.stdin.take());
    Ok(())
}

fn properties(
    folder: &TempDir,
    node: Node,
    nodes: &[Node],
    options: &KafkaOptions,
) -> Result<String> {
    let voters = nodes.iter();
    let voters = voters.map(|voter| format!("{}@127.0.0.1:{}", voter.id, voter.controller));
    let replicas = nodes.len().to_string();
    let mut properties: BTreeMap<String, String> = [
        ("process.roles", "broker,controller".to_owned()),
        ("node.id", node.id.to_string()),
        (
            "controller.quorum.voters",
            voters.collect::<Vec<_>>().join(","),
        ),
        (
            "listeners",
            format!(
                "PLAINTEXT://127.0.0.1:{},CONTROLLER://127.0.0.1:{}",
                node.port, node.controller
            ),
        ),
        ("controller.listener.names", "CONTROLLER".to_owned()),
        ("log.dirs", folder.path().join("data").display().to_string()),
        ("default.replication.factor", replicas.clone()),
        ("offsets.topic.replication.factor", replicas.clone()),
        ("offsets.topic.num.partitions", "4".to_owned()),
        ("transaction.state.log.replication.factor", replicas.clone()),
        ("transaction.state.log.min.isr", "1".to_owned()),
        ("transaction.state.log.num.partitions", "4".to_owned()),
        ("share.coordinator.state.topic.replication.factor", replicas),
        ("share.coordinator.state.topic.min.isr", "1".to_owned()),
        ("group.initial.rebalance.delay.ms", "0".to_owned()),
        ("group.min.session.timeout.ms", "1000".to_owned()),
        // Compacts soon: the default is to look every 15 s.
        ("log.cleaner.backoff.ms", "500".to_owned()),
        ("message.max.bytes", "10485760".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    if let Some(listeners) = properties.get_mut("listeners") {
        for listener in &options.listeners {
            write!(listeners, ",{listener}")?;
        }
    }
    properties.extend(options.properties.clone());
    let mut text = String::new();
    for (key, value) in properties {
        writeln!(text, "{key}={value}")?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_starts_survives_a_kill_and_keeps_its_topics() {
        let mut kafka = Kafka::start(&KafkaOptions::default()).unwrap();
        kafka.create_topic("kept", 3, &[]).unwrap();
        kafka.kill9().unwrap();
        kafka.restart().unwrap();
        let bootstrap = kafka.bootstrap();
        let listed = kafka
            .tool(
                "org.apache.kafka.tools.TopicCommand",
                &["--bootstrap-server", &bootstrap, "--list"],
            )
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&listed.stdout).trim(), "kept");
    }
}
