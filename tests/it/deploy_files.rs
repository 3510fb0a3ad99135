//! The files of deploy/: valid for the programs that read them, and in agreement with one another and with the ready configs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sluice_services::{Service, free_port, kafka_jars};

use crate::support::{SLUICE, wait_until};

/// What reads YAML and knows the schemas.
const PACKAGES: [&str; 2] = ["check-jsonschema==0.39.0", "kubernetes-validate==1.37.0"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn deploy(file: &str) -> PathBuf {
    root().join("deploy").join(file)
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

/// Runs tests/it/deploy_files.py.
fn script(arguments: &[&str], input: &str) -> Result<String> {
    let found = Command::new(root().join("scripts/python.sh"))
        .args(PACKAGES)
        .output()?;
    let python = String::from_utf8(found.stdout)?;
    ensure!(found.status.success(), "scripts/python.sh failed");
    let mut running = Command::new(python.trim())
        .arg(root().join("tests/it/deploy_files.py"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = running.stdin.take().context("standard input is piped")?;
    stdin.write_all(input.as_bytes())?;
    drop(stdin);
    let output = running.wait_with_output()?;
    let said = String::from_utf8(output.stdout)?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{arguments:?}: {said}{errors}");
    Ok(said)
}

/// The services of compose files, with `more` beside what .env.example says.
fn services(files: &[&str], more: &str) -> Result<Value> {
    let environment = format!("{}\n{more}", read(&deploy(".env.example"))?);
    let arguments: Vec<_> = std::iter::once("resolve")
        .chain(files.iter().copied())
        .collect();
    Ok(serde_json::from_str(&script(&arguments, &environment)?)?)
}

fn environment_of(services: &Value) -> Result<BTreeMap<String, String>> {
    serde_json::from_value(services["sluice"]["environment"].clone()).context("no environment")
}

/// The worker's environment in compose.yaml, as it is with .env.example as .env.
pub(crate) fn worker_environment() -> Result<BTreeMap<String, String>> {
    environment_of(&services(&["compose.yaml"], "")?)
}

#[test]
fn compose_files_and_the_kubernetes_manifest_are_valid() -> Result<()> {
    let said = script(&["check"], "")?;
    for kind in [
        "4 compose files",
        "Deployment",
        "PersistentVolumeClaim",
        "Service",
    ] {
        ensure!(said.contains(kind), "{kind} was not checked: {said}");
    }
    Ok(())
}

#[test]
fn a_profile_starts_what_its_pipeline_needs_where_its_users_look_for_it() -> Result<()> {
    let all = services(&["compose.yaml"], "")?;
    for (profile, ports) in [
        ("none", "8083"),
        ("retail-sales-to-snowflake", "8083 8090 9092"),
        (
            "dealer-systems-to-csv-and-postgres",
            "5432 8083 8888 9000 9001 9092",
        ),
        ("retail-sales-to-s3", "8083 8090 9000 9001 9092"),
        ("api-or-csv-to-postgres", "5432 8083 8090 9092"),
        ("transactions-to-delta", "8083 8090 9000 9001 9092"),
    ] {
        assert_eq!(published(&all, profile)?, ports, "{profile}");
    }
    Ok(())
}

/// The ports of this machine that a profile takes.
fn published(services: &Value, profile: &str) -> Result<String> {
    let mut ports = BTreeSet::new();
    for service in services.as_object().context("services")?.values() {
        let profiles = service["profiles"].as_array();
        if profiles.is_some_and(|all| !all.iter().any(|one| one == profile)) {
            continue;
        }
        for port in service["ports"].as_array().into_iter().flatten() {
            let (outside, _) = port
                .as_str()
                .and_then(|port| port.split_once(':'))
                .context("a port")?;
            ensure!(
                ports.insert(outside.to_owned()),
                "{profile}: {outside} is taken twice"
            );
        }
    }
    Ok(ports.into_iter().collect::<Vec<_>>().join(" "))
}

#[test]
fn a_worker_on_amazon_msk_is_told_how_to_log_in() -> Result<()> {
    let login = "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"sales\" password=\"hush\";";
    for (file, security) in [
        ("compose.msk-tls.yaml", vec![("SECURITY_PROTOCOL", "SSL")]),
        (
            "compose.msk-scram.yaml",
            vec![
                ("SECURITY_PROTOCOL", "SASL_SSL"),
                ("SASL_MECHANISM", "SCRAM-SHA-512"),
                ("SASL_JAAS_CONFIG", login),
            ],
        ),
        (
            "compose.msk-iam.yaml",
            vec![
                ("SECURITY_PROTOCOL", "SASL_SSL"),
                ("SASL_MECHANISM", "AWS_MSK_IAM"),
            ],
        ),
    ] {
        let refused = services(&["compose.yaml", file], "");
        ensure!(
            refused.is_err_and(|error| error.to_string().contains("MSK_BROKERS is not set")),
            "{file} without brokers"
        );
        let set = "MSK_BROKERS=b-1.example:9096\nMSK_USER=sales\nMSK_PASSWORD=hush\n";
        let services = services(&["compose.yaml", file], set)?;
        let environment = environment_of(&services)?;
        assert_eq!(environment["CONNECT_BOOTSTRAP_SERVERS"], "b-1.example:9096");
        let ui = &services["kafka-ui"]["environment"];
        for (key, value) in security {
            assert_eq!(environment[&format!("CONNECT_{key}")], value, "{file}");
            assert_eq!(
                ui[format!("KAFKA_CLUSTERS_0_PROPERTIES_{key}")],
                value,
                "{file}"
            );
        }
    }
    Ok(())
}

/// Every `marker`NAME`}` of a text.
fn variables<'text>(text: &'text str, marker: &'text str) -> impl Iterator<Item = &'text str> {
    text.split(marker).skip(1).filter_map(|rest| {
        let end =
            rest.find(|character: char| !character.is_ascii_alphanumeric() && character != '_')?;
        rest.get(..end)
    })
}

#[test]
fn every_variable_of_a_ready_config_is_in_the_example_and_reaches_the_worker() -> Result<()> {
    let example = read(&deploy(".env.example"))?;
    let known: BTreeSet<_> = example
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    let handed_on = worker_environment()?;
    let mut looked_up = 0;
    for entry in std::fs::read_dir(root().join("connector-configs"))? {
        let path = entry?.path();
        let text = read(&path)?;
        for name in variables(&text, "${env:") {
            ensure!(known.contains(name), "{}: {name}", path.display());
            ensure!(handed_on.contains_key(name), "{}: {name}", path.display());
            looked_up += 1;
        }
        for name in variables(&text, "${")
            .filter(|name| *name == name.to_ascii_uppercase() && !name.is_empty())
        {
            ensure!(known.contains(name), "{}: {name}", path.display());
        }
    }
    ensure!(looked_up > 0, "no ready config looks anything up");
    Ok(())
}

#[test]
fn systemd_takes_the_unit() -> Result<()> {
    let unit = read(&deploy("sluice.service"))?.replace("/usr/local/bin/sluice", SLUICE);
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("sluice.service");
    std::fs::write(&path, unit)?;
    let verified = Command::new("systemd-analyze")
        .arg("verify")
        .arg(&path)
        .output()
        .context("starting systemd-analyze: scripts/setup.sh installs it on Debian")?;
    let said = String::from_utf8_lossy(&verified.stderr);
    ensure!(
        verified.status.success() && !said.contains("sluice.service"),
        "{said}"
    );
    Ok(())
}

/// What an image is apart from its files.
fn settings(dockerfile: &str) -> Result<Vec<String>> {
    let text = read(&deploy(dockerfile))?;
    let (_, last_stage) = text.rsplit_once("FROM scratch\n").context("FROM scratch")?;
    let lines = last_stage.lines().filter(|line| !line.starts_with("COPY"));
    Ok(lines.map(str::to_owned).collect())
}

#[test]
fn the_image_from_source_is_set_up_as_the_one_from_the_binary() -> Result<()> {
    let from_binary = settings("Dockerfile.binary")?;
    ensure!(from_binary.len() > 5, "{from_binary:?}");
    assert_eq!(settings("Dockerfile")?, from_binary);
    let toolchain = read(&root().join("rust-toolchain.toml"))?;
    let version = toolchain
        .lines()
        .find_map(|line| line.strip_prefix("channel = \""))
        .context("no channel")?
        .trim_end_matches('"');
    let dockerfile = read(&deploy("Dockerfile"))?;
    ensure!(
        dockerfile.contains(&format!("FROM rust:{version}-")),
        "{version}"
    );
    ensure!(
        dockerfile.contains(&format!("RUSTUP_TOOLCHAIN={version}\n")),
        "{version}"
    );
    Ok(())
}

/// A main class of Kafka, told what `server.properties` says.
fn kafka(class: &str, arguments: &[&str], folder: &Path) -> Result<Command> {
    let jars = kafka_jars()?;
    let jars = jars.display();
    let mut command = Command::new("java");
    command.args(["-Xmx256m", "-cp", &format!("{jars}/*")]);
    command.arg(format!("-Dlog4j2.configurationFile={jars}/log4j2.xml"));
    command.arg(class).args(arguments);
    command.arg(folder.join("server.properties"));
    Ok(command)
}

/// The broker's settings in compose.yaml, on this machine and with other ports: that of the host and that of containers.
fn broker_settings(folder: &Path, host: u16, inside: u16) -> Result<String> {
    let services = services(&["compose.yaml"], "")?;
    let settings = services["kafka"]["environment"].as_object();
    let controller = free_port()?;
    let mut text = String::new();
    for (key, value) in settings.context("no environment")? {
        let key = key.trim_start_matches("KAFKA_").to_ascii_lowercase();
        let value = match value.as_str().context("a text")? {
            "/var/lib/kafka/data" => folder.join("data").display().to_string(),
            other => other
                .replace("kafka:", "localhost:")
                .replace(":29092", &format!(":{inside}"))
                .replace(":9092", &format!(":{host}"))
                .replace(":9093", &format!(":{controller}")),
        };
        text.push_str(&format!("{}={value}\n", key.replace('_', ".")));
    }
    Ok(text)
}

#[tokio::test]
async fn the_broker_of_the_compose_file_is_reached_from_the_host_and_from_containers() -> Result<()>
{
    let folder = tempfile::tempdir()?;
    let (host, inside) = (free_port()?, free_port()?);
    let properties = folder.path().join("server.properties");
    std::fs::write(properties, broker_settings(folder.path(), host, inside)?)?;
    let format = ["format", "-t", "c2x1aWNlLXRlc3RzLTAwMA", "-c"];
    let formatted = kafka("kafka.tools.StorageTool", &format, folder.path())?.output()?;
    ensure!(formatted.status.success(), "{formatted:?}");
    let log = folder.path().join("server.log");
    let _broker = Service::start(&kafka("kafka.Kafka", &[], folder.path())?, &log)?;
    for port in [host, inside] {
        let address = format!("localhost:{port}");
        let answers = wait_until(&address, Duration::from_secs(60), || async {
            let listing = Command::new("kcat")
                .args(["-L", "-m", "1", "-t", "sales_events", "-b", &address])
                .output()?;
            let said = String::from_utf8_lossy(&listing.stdout).into_owned();
            // The broker sends its clients where they have come from, and makes topics of three partitions.
            Ok(said.contains(&format!("broker 1 at {address}")) && said.contains("3 partitions"))
        });
        answers
            .await
            .with_context(|| read(&log).unwrap_or_default())?;
    }
    Ok(())
}
