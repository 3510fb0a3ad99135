//! Apache Kafka's own quickstart for Connect, with its files: on the embedded log and on a real Kafka; then a crash, and
//! standard input and output.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sluice_services::{Kafka, Service, free_port};

use crate::support::{SLUICE, kcat, states_at, wait_until};

const SOON: Duration = Duration::from_secs(60);

/// `config/connect-file-source.properties` of Apache Kafka, without its comments.
const SOURCE: &str = "name=local-file-source
connector.class=FileStreamSource
tasks.max=1
file=test.txt
topic=connect-test
";

/// `config/connect-file-sink.properties` of Apache Kafka, without its comments.
const SINK: &str = "name=local-file-sink
connector.class=FileStreamSink
tasks.max=1
file=test.sink.txt
topics=connect-test
";

/// A folder with the quickstart's files, and the worker that is started in it.
struct Quickstart {
    folder: PathBuf,
    port: u16,
    starts: u32,
    worker: Option<Service>,
}

impl Quickstart {
    /// `config/connect-standalone.properties` with what a test needs: other ports and folders, and offsets stored soon.
    fn prepare(folder: &Path, kafka: Option<&Kafka>) -> Result<Self> {
        let port = free_port()?;
        let mut worker = format!(
            "key.converter=org.apache.kafka.connect.json.JsonConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
key.converter.schemas.enable=true
value.converter.schemas.enable=true
offset.storage.file.filename={shown}/connect.offsets
offset.flush.interval.ms=500
plugin.path=libs/connect-file-4.3.1.jar
listeners=http://127.0.0.1:{port}
data.dir={shown}/data
consumer.session.timeout.ms=6000
consumer.heartbeat.interval.ms=2000
",
            shown = folder.display()
        );
        if let Some(kafka) = kafka {
            writeln!(worker, "bootstrap.servers={}", kafka.bootstrap())?;
        }
        std::fs::write(folder.join("worker.properties"), worker)?;
        std::fs::write(folder.join("source.properties"), SOURCE)?;
        std::fs::write(folder.join("sink.properties"), SINK)?;
        Ok(Self {
            folder: folder.to_owned(),
            port,
            starts: 0,
            worker: None,
        })
    }

    fn launch(&mut self) -> Result<()> {
        self.starts += 1;
        let mut command = Command::new("env");
        command.arg("-C").arg(&self.folder).args([SLUICE, "worker"]);
        command.args(["worker.properties", "source.properties", "sink.properties"]);
        let log = self.folder.join(format!("worker-{}.log", self.starts));
        self.worker = Some(Service::start(&command, &log)?);
        Ok(())
    }

    fn running(&mut self) -> Result<Service> {
        self.worker.take().context("the worker is not running")
    }

    fn log(&self) -> String {
        let log = self.folder.join(format!("worker-{}.log", self.starts));
        std::fs::read_to_string(log).unwrap_or_default()
    }

    fn append(&self, text: &str) -> Result<()> {
        let mut options = std::fs::OpenOptions::new();
        let path = self.folder.join("test.txt");
        let mut file = options.append(true).create(true).open(path)?;
        Ok(file.write_all(text.as_bytes())?)
    }

    fn sunk(&self) -> String {
        std::fs::read_to_string(self.folder.join("test.sink.txt")).unwrap_or_default()
    }

    /// Waits until the sink's file is just this.
    async fn expect(&self, text: &str) -> Result<()> {
        let arrived = wait_until("the lines", SOON, || async { Ok(self.sunk() == text) });
        let shown = || format!("{:?}\n{}", self.sunk(), self.log());
        arrived.await.with_context(shown)
    }

    /// Waits until a line is in the sink's file.
    async fn expect_line(&self, line: &str) -> Result<()> {
        let line = format!("{line}\n");
        let arrived = wait_until(&line, SOON, || async { Ok(self.sunk().ends_with(&line)) });
        arrived.await.with_context(|| self.log())
    }

    async fn ensure_running(&self) -> Result<()> {
        let url = format!("http://127.0.0.1:{}", self.port);
        for name in ["local-file-source", "local-file-sink"] {
            let states = states_at(&url, name).await?;
            ensure!(states == "RUNNING [RUNNING]", "{name}: {states}");
        }
        Ok(())
    }
}

/// The quickstart, then a restart in good order: nothing is read or written again.
async fn run_quickstart(quickstart: &mut Quickstart) -> Result<()> {
    quickstart.append("foo\nbar\n")?;
    quickstart.launch()?;
    quickstart.expect("foo\nbar\n").await?;
    quickstart.append("Another line\n")?;
    quickstart.expect("foo\nbar\nAnother line\n").await?;
    quickstart.ensure_running().await?;
    quickstart.running()?.stop(SOON)?;
    quickstart.append("Written meanwhile\n")?;
    quickstart.launch()?;
    let all = "foo\nbar\nAnother line\nWritten meanwhile\n";
    quickstart.expect(all).await
}

/// Kills the worker while it reads, some times over: every line comes, whole and in order; what comes twice was not committed.
async fn run_crashes(quickstart: &mut Quickstart) -> Result<()> {
    let mut chance = fastrand::Rng::with_seed(7);
    let mut next = 0_u32;
    for _crash in 0..4 {
        let until = Instant::now() + Duration::from_millis(chance.u64(600..1_800));
        while Instant::now() < until {
            let lines: String = (next..next + 50)
                .map(|line| format!("line {line}\n"))
                .collect();
            quickstart.append(&lines)?;
            next += 50;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        quickstart.running()?.kill9()?;
        quickstart.launch()?;
    }
    quickstart.append("the end\n")?;
    quickstart.expect_line("the end").await?;
    let sunk = quickstart.sunk();
    let mut expected = 0;
    for line in sunk.lines().filter_map(|line| line.strip_prefix("line ")) {
        let line: u32 = line
            .parse()
            .with_context(|| format!("line {line} is not whole"))?;
        ensure!(line <= expected, "line {expected} is missing before {line}");
        expected = expected.max(line + 1);
    }
    ensure!(expected == next, "{expected} of {next} lines");
    // Offsets were stored between the crashes: the beginning of the file was not read again.
    let beginnings = sunk.lines().filter(|line| *line == "foo").count();
    ensure!(
        beginnings == 1,
        "the file was read from its beginning {beginnings} times"
    );
    Ok(())
}

#[tokio::test]
async fn the_quickstart_works_on_the_embedded_log_and_survives_crashes() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut quickstart = Quickstart::prepare(folder.path(), None)?;
    run_quickstart(&mut quickstart).await?;
    run_crashes(&mut quickstart).await?;
    quickstart.running()?.stop(SOON)
}

#[tokio::test]
async fn the_quickstart_works_on_kafka_and_survives_crashes() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let kafka = Kafka::start(&sluice_services::KafkaOptions::default())?;
    let mut quickstart = Quickstart::prepare(folder.path(), Some(&kafka))?;
    run_quickstart(&mut quickstart).await?;
    let consumed = kcat::lines(&kafka.bootstrap(), "connect-test", "%k|%s")?;
    // As the quickstart shows them.
    let expected = ["foo", "bar", "Another line", "Written meanwhile"].map(|line| {
        let schema = r#"{"type":"string","optional":false}"#;
        format!("|{{\"schema\":{schema},\"payload\":\"{line}\"}}")
    });
    assert_eq!(consumed, expected);
    run_crashes(&mut quickstart).await?;
    quickstart.running()?.stop(SOON)
}

#[tokio::test]
async fn a_named_pipe_that_nobody_reads_does_not_hold_up_the_end() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut quickstart = Quickstart::prepare(folder.path(), None)?;
    let pipe = folder.path().join("test.sink.txt");
    ensure!(Command::new("mkfifo").arg(pipe).status()?.success());
    quickstart.append("foo\n")?;
    quickstart.launch()?;
    let url = format!("http://127.0.0.1:{}", quickstart.port);
    let reading = wait_until("the source", SOON, || async {
        Ok(states_at(&url, "local-file-source").await? == "RUNNING [RUNNING]")
    });
    reading.await.with_context(|| quickstart.log())?;
    quickstart.running()?.stop(Duration::from_secs(20))
}

/// A worker with our pipes as its standard input and output; killed when dropped.
struct Piped(Child);

impl Piped {
    fn start(folder: &Path) -> Result<Self> {
        let quickstart = Quickstart::prepare(folder, None)?;
        let without_file = |name: &str, text: &str| {
            let lines = text.lines().filter(|line| !line.starts_with("file="));
            let text: Vec<_> = lines.collect();
            std::fs::write(quickstart.folder.join(name), text.join("\n"))
        };
        without_file("source.properties", SOURCE)?;
        without_file("sink.properties", SINK)?;
        let log = std::fs::File::create(folder.join("worker.log"))?;
        let child = Command::new(SLUICE)
            .args([
                "worker",
                "worker.properties",
                "source.properties",
                "sink.properties",
            ])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        Ok(Self(child))
    }

    /// Asks it to stop, with its standard input still open; the exit code.
    fn terminated(&mut self) -> Result<Option<i32>> {
        let told = Command::new("kill")
            .args(["-s", "TERM", &self.0.id().to_string()])
            .status()?;
        ensure!(told.success());
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status.code());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        anyhow::bail!("it does not stop while its standard input is open")
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[tokio::test]
async fn without_files_lines_go_from_standard_input_to_standard_output() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut worker = Piped::start(folder.path())?;
    let mut input = worker.0.stdin.take().context("standard input is piped")?;
    let output = worker.0.stdout.take().context("standard output is piped")?;
    input.write_all(b"one\r\ntwo\nheld ba")?;
    let (sender, mut lines) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let lines = BufReader::new(output).lines();
        for line in lines.map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let mut next = async || tokio::time::timeout(SOON, lines.recv()).await;
    assert_eq!(next().await?.as_deref(), Some("one"));
    assert_eq!(next().await?.as_deref(), Some("two"));
    input.write_all(b"ck\n")?;
    assert_eq!(next().await?.as_deref(), Some("held back"));
    assert_eq!(worker.terminated()?, Some(0));
    Ok(())
}
