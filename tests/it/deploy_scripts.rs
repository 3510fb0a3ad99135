//! The scripts of deploy/, over the binary and over curl alone, against a real worker.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sluice_services::free_port;
use tempfile::TempDir;

use crate::support::{SLUICE, WorkerProcess, ready_config, s3_server};

/// How a script reaches the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Binary,
    Curl,
}

/// A folder that scripts are called from, and the worker they are for.
struct Place {
    folder: TempDir,
    worker: WorkerProcess,
    way: Way,
}

impl Place {
    fn new(way: Way) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let worker = WorkerProcess::start(folder.path(), None)?;
        Ok(Self {
            folder,
            worker,
            way,
        })
    }

    fn file(&self, name: &str, json: &Value) -> Result<String> {
        let path = self.folder.path().join(name);
        std::fs::write(&path, format!("{json:#}"))?;
        Ok(path.display().to_string())
    }

    fn run(&self, script: &str, arguments: &[&str]) -> Result<Ran> {
        let mut command = script_command(script, self.way, self.folder.path());
        command
            .args(arguments)
            .env("CONNECT_REST_URL", self.worker.url(""));
        Ran::of(&mut command)
    }

    /// Runs a script that must succeed.
    fn succeed(&self, script: &str, arguments: &[&str]) -> Result<String> {
        let ran = self.run(script, arguments)?;
        ensure!(ran.success, "{script} {arguments:?}: {ran:?}");
        Ok(ran.out)
    }

    async fn config(&self, name: &str) -> Result<Value> {
        self.worker.get(&format!("/connectors/{name}/config")).await
    }
}

#[derive(Debug)]
struct Ran {
    success: bool,
    out: String,
    err: String,
}

impl Ran {
    fn of(command: &mut Command) -> Result<Self> {
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().context("starting sh")?;
        Ok(Self {
            success: status.success(),
            out: String::from_utf8(stdout)?,
            err: String::from_utf8(stderr)?,
        })
    }
}

fn script_command(script: &str, way: Way, folder: &Path) -> Command {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy");
    let mut command = Command::new("sh");
    command
        .arg(path.join(script))
        .current_dir(folder)
        .env("SLUICE", if way == Way::Binary { SLUICE } else { "" })
        .env_remove("CONNECTOR_NAME")
        .env_remove("ENV_FILE");
    command
}

fn generator(event_type: &str) -> Value {
    json!({
        "connector.class": "sluice.datagen.DatagenSourceConnector",
        "tasks.max": "2",
        "kafka.topic": "events",
        "event.type": event_type,
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schemas.enable": "false"
    })
}

const DEPLOY: &str = "deploy_connector.sh";
const MANAGE: &str = "manage_connector.sh";

async fn deploying_is_safe_to_repeat(way: Way) -> Result<()> {
    let place = Place::new(way)?;
    let nested = json!({"name": "generator", "config": generator("sales")});
    let file = place.file("generator.json", &nested)?;
    for _ in 0..2 {
        let said = place.succeed(DEPLOY, &[&file])?;
        ensure!(
            said.contains("generator: ") && said.contains("RUNNING"),
            "{said}"
        );
        let states = place.worker.states("generator").await?;
        assert_eq!(states, "RUNNING [RUNNING, RUNNING]");
    }
    // An edit, in the flat form.
    let mut flat = generator("orders");
    flat["name"] = json!("generator");
    let file = place.file("generator.json", &flat)?;
    place.succeed(DEPLOY, &[&file])?;
    assert_eq!(place.config("generator").await?["event.type"], "orders");
    // The same file under another name.
    for file in [file, place.file("nested.json", &nested)?] {
        place.succeed(DEPLOY, &[&file, "another"])?;
        assert_eq!(place.config("another").await?["name"], "another");
    }
    let mut names = place.worker.get("/connectors").await?;
    names
        .as_array_mut()
        .context("a list")?
        .sort_by_key(Value::to_string);
    assert_eq!(names, json!(["another", "generator"]));
    Ok(())
}

#[tokio::test]
async fn deploying_with_the_binary_is_safe_to_repeat() -> Result<()> {
    deploying_is_safe_to_repeat(Way::Binary).await
}

#[tokio::test]
async fn deploying_with_curl_alone_is_safe_to_repeat() -> Result<()> {
    deploying_is_safe_to_repeat(Way::Curl).await
}

#[tokio::test]
async fn variables_come_from_the_environment_then_from_the_file_and_are_never_run() -> Result<()> {
    for way in [Way::Binary, Way::Curl] {
        let place = Place::new(way)?;
        let mut config = generator("sales");
        config["kafka.topic"] = json!("${KAFKA_TOPIC}");
        config["note"] = json!("${SECRET} and ${topic} and ${env:HOME}");
        let file = place.file(
            "generator.json",
            &json!({"name": "generator", "config": config}),
        )?;

        let ran = place.run(DEPLOY, &[&file])?;
        ensure!(!ran.success && ran.err.contains("SECRET"), "{ran:?}");
        let secret = r#"a"b\c$(touch run) `touch run` = é"#;
        let env_file = format!("# secrets\n\nKAFKA_TOPIC=from_file\r\nSECRET='{secret}'\n");
        std::fs::write(place.folder.path().join(".env"), env_file)?;
        let mut command = script_command(DEPLOY, way, place.folder.path());
        command
            .arg(&file)
            .env("CONNECT_REST_URL", place.worker.url(""))
            .env("KAFKA_TOPIC", "from_environment");
        let ran = Ran::of(&mut command)?;
        ensure!(ran.success, "{ran:?}");
        ensure!(
            !ran.out.contains(secret),
            "secrets are not printed: {ran:?}"
        );
        let stored = place.config("generator").await?;
        assert_eq!(stored["kafka.topic"], "from_environment");
        assert_eq!(
            stored["note"],
            format!("{secret} and ${{topic}} and ${{env:HOME}}")
        );
        ensure!(!place.folder.path().join("run").exists(), "a value was run");
    }
    Ok(())
}

async fn every_action_does_what_it_says(way: Way) -> Result<()> {
    let place = Place::new(way)?;
    let file = place.file(
        "generator.json",
        &json!({"name": "generator", "config": generator("sales")}),
    )?;
    place.succeed(DEPLOY, &[&file])?;
    for (action, states) in [
        ("stop", "PAUSED [PAUSED, PAUSED]"),
        ("start", "RUNNING [RUNNING, RUNNING]"),
        ("pause", "PAUSED [PAUSED, PAUSED]"),
        ("resume", "RUNNING [RUNNING, RUNNING]"),
        ("restart", "RUNNING [RUNNING, RUNNING]"),
    ] {
        // The only connector needs no name.
        let said = place.succeed(MANAGE, &[action])?;
        ensure!(said.starts_with("generator: "), "{action}: {said}");
        place
            .until_states("generator", states)
            .await
            .context(action)?;
    }
    let status = place.succeed(MANAGE, &["status"])?;
    ensure!(
        status.contains("generator") && status.contains("RUNNING"),
        "{status}"
    );
    let logs = place.succeed(MANAGE, &["logs", "generator"])?;
    assert_eq!(logs, "nothing has failed\n");

    place.succeed(DEPLOY, &[&file, "another"])?;
    let ran = place.run(MANAGE, &["stop"])?;
    ensure!(
        !ran.success && ran.err.contains("another"),
        "which one is asked: {ran:?}"
    );
    let ran = place.run(MANAGE, &["logs", "nothing"])?;
    ensure!(!ran.success && ran.err.contains("nothing"), "{ran:?}");
    let ran = place.run(MANAGE, &["explode", "generator"])?;
    ensure!(!ran.success && ran.err.contains("restart"), "{ran:?}");
    let odd = generator("sales");
    place.worker.put_config("odd%20%2Cname", &odd).await?;
    let status = place.succeed(MANAGE, &["status"])?;
    ensure!(status.contains("another"), "{status}");
    place.succeed(MANAGE, &["delete", "generator"])?;
    let url = place.worker.url("/connectors/odd%20%2Cname");
    reqwest::Client::new().delete(url).send().await?;
    assert_eq!(place.worker.get("/connectors").await?, json!(["another"]));
    Ok(())
}

impl Place {
    async fn until_states(&self, name: &str, wanted: &str) -> Result<()> {
        let deadline = std::time::Duration::from_secs(20);
        crate::support::wait_until(wanted, deadline, || async {
            Ok(self.worker.states(name).await? == wanted)
        })
        .await
    }
}

#[tokio::test]
async fn every_action_does_what_it_says_with_the_binary() -> Result<()> {
    every_action_does_what_it_says(Way::Binary).await
}

#[tokio::test]
async fn every_action_does_what_it_says_with_curl_alone() -> Result<()> {
    every_action_does_what_it_says(Way::Curl).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_that_does_not_run_says_why() -> Result<()> {
    for way in [Way::Binary, Way::Curl] {
        let place = Place::new(way)?;
        let s3 = s3_server(place.folder.path()).await?;
        let url = s3.url();
        let changes = [
            ("store.url", url.as_str()),
            ("s3.bucket.name", "not-there"),
            ("aws.access.key.id", "test"),
            ("aws.secret.access.key", "test-secret"),
        ];
        let file = place.file("sink.json", &ready_config("s3-sink-sales.json", &changes)?)?;
        let ran = place.run(DEPLOY, &[&file])?;
        ensure!(
            !ran.success && ran.err.contains("not-there"),
            "{way:?}: {ran:?}"
        );
        for action in ["logs", "status"] {
            let ran = place.run(MANAGE, &[action, "s3-sink-sales"])?;
            ensure!(!ran.success, "{way:?} {action}: {ran:?}");
            let named = if action == "logs" {
                "not-there"
            } else {
                "FAILED"
            };
            ensure!(ran.out.contains(named), "{way:?} {action}: {ran:?}");
        }

        let wrong = json!({"name": "wrong", "config": {"connector.class": "no.such.Connector"}});
        let ran = place.run(DEPLOY, &[&place.file("wrong.json", &wrong)?])?;
        ensure!(
            !ran.success && ran.err.contains("no.such.Connector"),
            "{way:?}: {ran:?}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_is_judged_by_its_own_start() -> Result<()> {
    let place = Place::new(Way::Binary)?;
    let s3 = s3_server(place.folder.path()).await?;
    let url = s3.url();
    let file = |bucket: &str| {
        let changes = [
            ("store.url", url.as_str()),
            ("s3.bucket.name", bucket),
            ("aws.access.key.id", "test"),
            ("aws.secret.access.key", "test-secret"),
        ];
        place.file("sink.json", &ready_config("s3-sink-sales.json", &changes)?)
    };
    // What the one before has left must never be taken for the answer, whichever it was.
    for round in 0..5 {
        place.succeed(DEPLOY, &[&file("bronze")?])?;
        let ran = place.run(DEPLOY, &[&file("not-there")?])?;
        ensure!(
            !ran.success && ran.err.contains("not-there"),
            "round {round}: {ran:?}"
        );
    }
    Ok(())
}

#[test]
fn a_worker_that_is_not_there_is_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let url = format!("http://127.0.0.1:{}", free_port()?);
    for way in [Way::Binary, Way::Curl] {
        for arguments in [["stop", "x"].as_slice(), &["stop"], &["status"]] {
            let mut command = script_command(MANAGE, way, folder.path());
            let ran = Ran::of(command.args(arguments).env("CONNECT_REST_URL", &url))?;
            ensure!(!ran.success && ran.err.contains(&url), "{way:?}: {ran:?}");
            ensure!(ran.err.contains("CONNECT_REST_URL"), "{way:?}: {ran:?}");
        }
    }
    Ok(())
}
