//! `/metrics` as its users read it: by a real Prometheus, which also loads the alert rules and runs the dashboard's queries.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sluice_services::{Service, free_port};
use sluice_stand_in_s3::S3StandIn;

use crate::support::{WorkerProcess, ready_config, s3_server, wait_until};

const SOURCE: &str = "sales-source";
const SINK: &str = "s3-sink-sales";
const EVENTS: u64 = 2_500;

fn monitoring(file: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("deploy/monitoring").join(file)
}

/// A worker that moves [`EVENTS`] sales from the generator to S3.
async fn busy_worker(folder: &Path) -> Result<(WorkerProcess, S3StandIn)> {
    let s3 = s3_server(folder).await?;
    let worker = WorkerProcess::start(folder, None)?;
    deploy_source(&worker, SOURCE).await?;
    deploy_sink(&worker, &s3).await?;
    Ok((worker, s3))
}

async fn deploy_source(worker: &WorkerProcess, name: &str) -> Result<()> {
    let count = EVENTS.to_string();
    let changes = [("name", name), ("rate", "5000"), ("count", count.as_str())];
    let config = ready_config("demo-sales-source.json", &changes)?;
    worker.put_config(name, &config).await?;
    Ok(())
}

async fn deploy_sink(worker: &WorkerProcess, s3: &S3StandIn) -> Result<()> {
    let url = s3.url();
    let sink = ready_config(
        "s3-sink-sales.json",
        &[
            ("store.url", &url),
            ("aws.access.key.id", "test"),
            ("aws.secret.access.key", "test-secret"),
            ("s3.retry.backoff.ms", "20"),
            ("rotate.interval.ms", "1000"),
            ("transforms", "bare"),
            ("transforms.bare.type", "DropHeaders"),
            ("transforms.bare.headers", "none"),
            ("transforms.bare.predicate", "gone"),
            ("predicates", "gone"),
            ("predicates.gone.type", "RecordIsTombstone"),
        ],
    )?;
    worker.put_config(SINK, &sink).await?;
    Ok(())
}

/// The page in the form that is asked for.
async fn page(worker: &WorkerProcess, form: &str) -> Result<String> {
    let asked = reqwest::Client::new()
        .get(worker.url("/metrics"))
        .header("accept", format!("{form};q=0.9,*/*;q=0.1"));
    let answer = asked.send().await?;
    let kind = answer.headers()["content-type"].to_str()?.to_owned();
    ensure!(kind.starts_with(form), "{kind}");
    Ok(answer.text().await?)
}

/// The series of `/metrics` by name and labels as they are written.
async fn series(worker: &WorkerProcess) -> Result<BTreeMap<String, f64>> {
    let text = page(worker, "application/openmetrics-text").await?;
    ensure!(text.ends_with("# EOF\n"), "cut off: {text}");
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').context("a series")?;
            Ok((name.to_owned(), value.parse()?))
        })
        .collect()
}

async fn value_of(worker: &WorkerProcess, name: &str) -> Result<Option<f64>> {
    Ok(series(worker).await?.get(name).copied())
}

/// The name with the labels of the only task of a connector.
fn of_task(name: &str, connector: &str) -> String {
    format!("{name}{{connector=\"{connector}\",task=\"0\"}}")
}

async fn wait_for(worker: &WorkerProcess, name: &str, wanted: f64) -> Result<()> {
    wait_until(
        &format!("{name} is {wanted}"),
        Duration::from_secs(30),
        || async { Ok(value_of(worker, name).await? == Some(wanted)) },
    )
    .await
}

#[tokio::test]
async fn tasks_count_what_they_move_and_the_status_tells_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (worker, s3) = busy_worker(folder.path()).await?;
    let events = EVENTS as f64;
    let read = of_task(
        "kafka_connect_sink_task_metrics_sink_record_read_total",
        SINK,
    );
    wait_for(&worker, &read, events).await?;
    let written = "kafka_connect_source_task_metrics_source_record_write_total";
    wait_for(&worker, &of_task(written, SOURCE), events).await?;
    let lag = "sluice_sink_task_consumer_lag{connector=\"s3-sink-sales\",task=\"0\",topic=\"sales_events\",partition=\"0\"}";
    wait_for(&worker, lag, 0.0).await?;
    let running = "kafka_connect_connector_task_metrics_status{connector=\"s3-sink-sales\",task=\"0\",status=\"running\"}";
    wait_for(&worker, running, 1.0).await?;
    let text = reqwest::get(worker.url("/metrics")).await?.text().await?;
    for made_of in [
        "kafka_connect_connector_task_metrics{connector=\"s3-sink-sales\",task=\"0\",connector_type=\"sink\",connector_class=\"io.confluent.connect.s3.S3SinkConnector\"",
        "task_class=\"io.confluent.connect.s3.S3SinkTask\"",
        "value_converter_class=\"org.apache.kafka.connect.json.JsonConverter\"",
        "kafka_connect_connector_transform_metrics{connector=\"s3-sink-sales\",task=\"0\",transform=\"bare\",transform_class=\"org.apache.kafka.connect.transforms.DropHeaders\"",
        "kafka_connect_connector_predicate_metrics{connector=\"s3-sink-sales\",task=\"0\",predicate=\"gone\",predicate_class=\"org.apache.kafka.connect.transforms.predicates.RecordIsTombstone\"",
    ] {
        ensure!(text.contains(made_of), "no {made_of} in {text}");
    }
    let buffered = of_task("sluice_task_buffered_bytes", SINK);
    wait_for(&worker, &buffered, 0.0).await?;

    let status = worker.get(&format!("/connectors/{SINK}/status")).await?;
    let told = &status["tasks"][0]["sluice"];
    assert_eq!(told["lag"], json!(0), "{status}");
    let key = told["last_written"].as_str().context("last_written")?;
    ensure!(s3.folder().join("bronze").join(key).is_file(), "{key}");
    ensure!(
        told["last_commit"].is_string() && told["since"].is_string(),
        "{told}"
    );
    ensure!(told["last_error"].is_null(), "{told}");
    Ok(())
}

#[tokio::test]
async fn a_failing_target_shows_and_a_deleted_connector_leaves_nothing() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (worker, s3) = busy_worker(folder.path()).await?;
    let read = of_task(
        "kafka_connect_sink_task_metrics_sink_record_read_total",
        SINK,
    );
    wait_for(&worker, &read, EVENTS as f64).await?;
    s3.faults().down(true);
    deploy_source(&worker, "more-sales").await?;
    let retries = of_task("kafka_connect_task_error_metrics_total_retries", SINK);
    wait_until("retries", Duration::from_secs(30), || async {
        Ok(value_of(&worker, &retries).await?.unwrap_or(0.0) > 0.0)
    })
    .await?;
    let status = worker.get(&format!("/connectors/{SINK}/status")).await?;
    let error = &status["tasks"][0]["sluice"]["last_error"];
    ensure!(
        error["message"]
            .as_str()
            .is_some_and(|text| text.contains("SlowDown")),
        "{error}"
    );
    s3.faults().down(false);

    let url = worker.url(&format!("/connectors/{SINK}"));
    ensure!(
        reqwest::Client::new()
            .delete(url)
            .send()
            .await?
            .status()
            .is_success()
    );
    let left: Vec<_> = series(&worker)
        .await?
        .into_keys()
        .filter(|name| name.contains(SINK))
        .collect();
    assert_eq!(left, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn states_of_connectors_and_tasks_follow_what_users_do() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (worker, _s3) = busy_worker(folder.path()).await?;
    let url = worker.url(&format!("/connectors/{SINK}/pause"));
    reqwest::Client::new()
        .put(url)
        .send()
        .await?
        .error_for_status()?;
    let paused = "kafka_connect_connector_task_metrics_status{connector=\"s3-sink-sales\",task=\"0\",status=\"paused\"}";
    wait_for(&worker, paused, 1.0).await?;
    let count = "kafka_connect_connect_worker_metrics_connector_paused_task_count{connector=\"s3-sink-sales\"}";
    wait_for(&worker, count, 1.0).await?;
    let tasks = "kafka_connect_connect_worker_metrics_task_count{}";
    wait_for(&worker, tasks, 2.0).await
}

/// The path of Prometheus; fetched now if need be.
fn program() -> Result<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/prometheus.sh");
    let found = Command::new(script).output()?;
    let errors = String::from_utf8_lossy(&found.stderr);
    ensure!(found.status.success(), "{errors}");
    Ok(String::from_utf8(found.stdout)?.trim().to_owned())
}

/// Of names it does not like those that are Kafka Connect's own.
#[tokio::test]
async fn prometheus_own_tool_finds_nothing_wrong_with_the_page() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (worker, _s3) = busy_worker(folder.path()).await?;
    wait_for(
        &worker,
        &of_task("kafka_connect_sink_task_metrics_partition_count", SINK),
        1.0,
    )
    .await?;
    let text = page(&worker, "text/plain").await?;
    let file = folder.path().join("metrics");
    std::fs::write(&file, &text)?;
    let checked = Command::new(Path::new(&program()?).with_file_name("promtool"))
        .args(["check", "metrics"])
        .stdin(std::fs::File::open(file)?)
        .output()?;
    let said = String::from_utf8(checked.stderr)?;
    let is_of_kafka = |line: &&str| {
        line.starts_with("kafka_connect_")
            && (line.ends_with("should not have \"_count\" suffix")
                || line.ends_with("should not contain abbreviated units"))
    };
    let found: Vec<_> = said.lines().filter(|line| !is_of_kafka(line)).collect();
    ensure!(found.is_empty(), "{found:?}\n{text}");
    Ok(())
}

#[test]
fn each_alert_is_raised_when_it_should_be_and_not_else() -> Result<()> {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/alerts.yaml");
    let tested = Command::new(Path::new(&program()?).with_file_name("promtool"))
        .args(["test", "rules"])
        .arg(&rules)
        .output()?;
    let said = String::from_utf8_lossy(&tested.stdout);
    ensure!(tested.status.success(), "{said}");
    let names = |text: &str, before: &str| {
        let lines = text.lines();
        let named = lines.filter_map(|line| line.trim().strip_prefix(before));
        named.map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let alerts = std::fs::read_to_string(monitoring("alerts.yaml"))?;
    let tests = std::fs::read_to_string(rules)?;
    assert_eq!(
        names(&tests, "- alertname: "),
        names(&alerts, "- alert: "),
        "one is not tried"
    );
    Ok(())
}

/// A Prometheus that scrapes the worker each second, with the alert rules of deploy/.
struct Prometheus {
    port: u16,
    _service: Service,
}

impl Prometheus {
    fn start(folder: &Path, worker: &WorkerProcess) -> Result<Self> {
        let program = program()?;
        let config = std::fs::read_to_string(monitoring("prometheus.yaml"))?;
        let config = config
            .replace("sluice:8083", worker.url("").trim_start_matches("http://"))
            .replace("15s", "1s");
        std::fs::write(folder.join("prometheus.yaml"), config)?;
        std::fs::copy(monitoring("alerts.yaml"), folder.join("alerts.yaml"))?;
        let port = free_port()?;
        let mut command = Command::new(program.trim());
        command
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.join("prometheus").display()
            ))
            .arg(format!(
                "--config.file={}",
                folder.join("prometheus.yaml").display()
            ));
        let log = folder.join("prometheus.log");
        let service = Service::start(&command, &log)?;
        Ok(Self {
            port,
            _service: service,
        })
    }

    async fn ask(&self, path: &str, query: &[(&str, &str)]) -> Result<Value> {
        let url = format!("http://127.0.0.1:{}/api/v1/{path}", self.port);
        let answer = reqwest::Client::new().get(url).query(query).send().await?;
        let answer: Value = answer.json().await?;
        ensure!(answer["status"] == "success", "{path} {query:?}: {answer}");
        Ok(answer["data"].clone())
    }

    /// How many series a query gives.
    async fn count(&self, query: &str) -> Result<usize> {
        let data = self.ask("query", &[("query", query)]).await?;
        Ok(data["result"].as_array().context("a result")?.len())
    }
}

/// The queries of the dashboard, for all workers and connectors.
fn dashboard_queries() -> Result<Vec<String>> {
    let dashboard: Value =
        serde_json::from_str(&std::fs::read_to_string(monitoring("grafana/sluice.json"))?)?;
    let panels = dashboard["panels"].as_array().context("panels")?;
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array());
    let queries: Vec<_> = targets
        .flatten()
        .filter_map(|target| target["expr"].as_str())
        .map(|query| {
            query
                .replace("$instance", ".*")
                .replace("$connector", ".*")
                .replace("$__rate_interval", "10s")
        })
        .collect();
    ensure!(queries.len() > 20, "too few: {queries:?}");
    Ok(queries)
}

/// Names of metrics in a query.
fn names_in(query: &str) -> impl Iterator<Item = &str> {
    let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    query
        .split(move |character| !is_name(character))
        .filter(|word| {
            ["kafka_connect_", "sluice_", "process_"]
                .iter()
                .any(|prefix| word.starts_with(prefix))
        })
}

#[tokio::test]
async fn prometheus_reads_all_that_dashboard_and_alerts_name() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (worker, _s3) = busy_worker(folder.path()).await?;
    let prometheus = Prometheus::start(folder.path(), &worker)?;
    wait_until("commits are scraped", Duration::from_secs(60), || async {
        let query = "sluice_task_last_commit_timestamp_seconds and on (connector) sluice_sink_task_consumer_lag == 0";
        Ok(prometheus.count(query).await? == 1)
    })
    .await?;
    let known = prometheus.ask("label/__name__/values", &[]).await?;
    let known: BTreeSet<_> = known
        .as_array()
        .context("names")?
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let mut unknown = BTreeSet::new();
    for query in &dashboard_queries()? {
        unknown.extend(
            names_in(query)
                .filter(|name| !known.contains(name))
                .map(str::to_owned),
        );
        wait_until(query, Duration::from_secs(15), || async {
            Ok(prometheus.count(query).await? > 0)
        })
        .await?;
    }
    let rules = prometheus.ask("rules", &[]).await?;
    let rules = rules["groups"][0]["rules"].as_array().context("rules")?;
    ensure!(rules.len() >= 9, "{rules:?}");
    for rule in rules {
        assert_eq!(rule["health"], json!("ok"), "{rule}");
        let query = rule["query"].as_str().context("a query")?;
        ensure!(
            query.contains("up{") || names_in(query).next().is_some(),
            "{query}"
        );
        unknown.extend(
            names_in(query)
                .filter(|name| !known.contains(name))
                .map(str::to_owned),
        );
        assert_eq!(
            prometheus.count(query).await?,
            0,
            "all is well, and yet {query}"
        );
    }
    assert_eq!(unknown, BTreeSet::new(), "not on /metrics");
    Ok(())
}

#[tokio::test]
async fn an_alert_is_raised_for_a_task_that_has_failed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (worker, _s3) = busy_worker(folder.path()).await?;
    let url = worker.url(&format!("/connectors/{SINK}/status"));
    // A record that is no JSON ends the task.
    let broken = json!({"name": "broken", "connector.class": "sluice.datagen.DatagenSourceConnector", "kafka.topic": "sales_events",
        "event.type": "sales", "count": "1", "value.converter": "org.apache.kafka.connect.storage.StringConverter"});
    worker.put_config("broken", &broken).await?;
    wait_until("the task fails", Duration::from_secs(30), || async {
        let status: Value = reqwest::get(&url).await?.json().await?;
        Ok(status["tasks"][0]["state"] == "FAILED")
    })
    .await?;
    let prometheus = Prometheus::start(folder.path(), &worker)?;
    wait_until("the alert is pending", Duration::from_secs(60), || async {
        let alerts = prometheus.ask("alerts", &[]).await?;
        Ok(alerts["alerts"]
            .as_array()
            .context("alerts")?
            .iter()
            .any(|alert| {
                alert["labels"]["alertname"] == "SluiceTaskFailed"
                    && alert["labels"]["connector"] == SINK
            }))
    })
    .await
}
