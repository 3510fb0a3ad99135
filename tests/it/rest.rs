//! The REST API of a worker process on the embedded log: what tools for Kafka Connect rely on.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::support::{BUCKET, SLUICE, WorkerProcess, changed, s3_server, s3_sink, wait_until};

const SOON: Duration = Duration::from_secs(20);

/// What was answered.
#[derive(Debug)]
struct Answer {
    status: u16,
    location: Option<String>,
    body: Value,
}

impl Answer {
    fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }

    /// Fails unless it is an error answer of this status whose message holds `words`.
    fn refused(&self, status: u16, words: &str) -> Result<()> {
        ensure!(self.status == status, "not {status}: {self:?}");
        ensure!(self.body["error_code"] == json!(status), "{self:?}");
        ensure!(
            self.message().contains(words),
            "no word of {words}: {self:?}"
        );
        Ok(())
    }
}

async fn call(
    worker: &WorkerProcess,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> Result<Answer> {
    let mut request = Client::new().request(method, worker.url(path));
    if let Some(body) = body {
        request = request.json(&body);
    }
    let response = request.send().await?;
    let location = response.headers().get("location");
    Ok(Answer {
        status: response.status().as_u16(),
        location: location.and_then(|value| Some(value.to_str().ok()?.to_owned())),
        body: serde_json::from_str(&response.text().await?).unwrap_or(Value::Null),
    })
}

async fn get(worker: &WorkerProcess, path: &str) -> Result<Answer> {
    call(worker, Method::GET, path, None).await
}

async fn put(worker: &WorkerProcess, path: &str) -> Result<Answer> {
    call(worker, Method::PUT, path, None).await
}

async fn post(worker: &WorkerProcess, path: &str, body: Option<Value>) -> Result<Answer> {
    call(worker, Method::POST, path, body).await
}

fn generator(topic: &str, tasks: &str) -> Value {
    json!({
        "connector.class": "sluice.datagen.DatagenSourceConnector",
        "tasks.max": tasks,
        "kafka.topic": topic,
        "event.type": "sales",
        "rate": "50",
    })
}

#[tokio::test]
async fn a_connector_lives_from_create_to_delete() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let worker = WorkerProcess::start(folder.path(), None)?;
    let root = get(&worker, "/").await?;
    ensure!(root.body["version"] == "4.3.1", "{root:?}");
    ensure!(root.body["kafka_cluster_id"].is_string(), "{root:?}");
    ensure!(get(&worker, "/health").await?.body["status"] == "healthy");

    let request = json!({ "name": "generator", "config": generator("sales", "2") });
    let created = post(&worker, "/connectors", Some(request.clone())).await?;
    ensure!(created.status == 201, "{created:?}");
    ensure!(created.location == Some(worker.url("/connectors/generator")));
    ensure!(created.body["type"] == "source", "{created:?}");
    ensure!(
        created.body["config"]["name"] == "generator",
        "the name belongs to the config"
    );
    post(&worker, "/connectors", Some(request))
        .await?
        .refused(409, "Connector generator already exists")?;
    worker
        .await_states("generator", "RUNNING [RUNNING, RUNNING]", SOON)
        .await?;

    let listed = get(&worker, "/connectors/").await?;
    ensure!(listed.body == json!(["generator"]), "{listed:?}");
    let expanded = get(&worker, "/connectors?expand=status&expand=info").await?;
    let entry = &expanded.body["generator"];
    ensure!(
        entry["status"]["connector"]["state"] == "RUNNING",
        "{expanded:?}"
    );
    ensure!(
        entry["info"]["tasks"].as_array().map(Vec::len) == Some(2),
        "{expanded:?}"
    );
    let tasks = get(&worker, "/connectors/generator/tasks").await?;
    ensure!(
        tasks.body[1]["id"] == json!({ "connector": "generator", "task": 1 }),
        "{tasks:?}"
    );
    let task = get(&worker, "/connectors/generator/tasks/1/status").await?;
    ensure!(task.body["state"] == "RUNNING", "{task:?}");

    let deleted = call(&worker, Method::DELETE, "/connectors/generator", None).await?;
    ensure!(deleted.status == 204 && deleted.body.is_null());
    get(&worker, "/connectors/generator")
        .await?
        .refused(404, "Connector generator not found")?;
    get(&worker, "/connectors/generator/status")
        .await?
        .refused(404, "No status found for connector generator")?;
    Ok(())
}

#[tokio::test]
async fn pause_resume_stop_and_restart_do_what_they_say() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let worker = WorkerProcess::start(folder.path(), None)?;
    worker
        .put_config("generator", &generator("sales", "1"))
        .await?;
    worker
        .await_states("generator", "RUNNING [RUNNING]", SOON)
        .await?;
    for (call, status, states) in [
        ("pause", 202, "PAUSED [PAUSED]"),
        ("pause", 202, "PAUSED [PAUSED]"),
        ("resume", 202, "RUNNING [RUNNING]"),
        ("stop", 204, "STOPPED []"),
        ("resume", 202, "RUNNING [RUNNING]"),
    ] {
        let answer = put(&worker, &format!("/connectors/generator/{call}")).await?;
        ensure!(
            answer.status == status && answer.body.is_null(),
            "{call}: {answer:?}"
        );
        worker.await_states("generator", states, SOON).await?;
    }
    let request =
        json!({ "name": "later", "config": generator("sales", "2"), "initial_state": "PAUSED" });
    let created = post(&worker, "/connectors", Some(request)).await?;
    ensure!(
        created.body["tasks"] == json!([]),
        "no tasks before the first start: {created:?}"
    );
    worker.await_states("later", "PAUSED []", SOON).await?;
    put(&worker, "/connectors/later/resume").await?;
    worker
        .await_states("later", "RUNNING [RUNNING, RUNNING]", SOON)
        .await?;
    put(&worker, "/connectors/nobody/pause")
        .await?
        .refused(404, "Unknown connector nobody")?;

    let alone = post(&worker, "/connectors/generator/restart", None).await?;
    ensure!(alone.status == 204, "{alone:?}");
    let all = post(
        &worker,
        "/connectors/generator/restart?includeTasks=true",
        None,
    )
    .await?;
    ensure!(all.status == 202, "{all:?}");
    ensure!(
        all.body["connector"]["state"] == "RESTARTING",
        "what is chosen shows RESTARTING: {all:?}"
    );
    ensure!(all.body["tasks"][0]["state"] == "RESTARTING", "{all:?}");
    worker
        .await_states("generator", "RUNNING [RUNNING]", SOON)
        .await?;
    let none_failed = "/connectors/generator/restart?includeTasks=true&onlyFailed=true";
    let nothing = post(&worker, none_failed, None).await?;
    ensure!(
        nothing.body["connector"]["state"] == "RUNNING",
        "{nothing:?}"
    );
    let task = post(&worker, "/connectors/generator/tasks/0/restart", None).await?;
    ensure!(task.status == 204, "{task:?}");
    post(&worker, "/connectors/generator/tasks/9/restart", None)
        .await?
        .refused(404, "Unknown task: generator-9")?;
    Ok(())
}

#[tokio::test]
async fn a_change_of_config_is_taken_up_and_a_wrong_one_changes_nothing() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let worker = WorkerProcess::start(folder.path(), None)?;
    let path = "/connectors/generator/config";
    let first = call(&worker, Method::PUT, path, Some(generator("sales", "1"))).await?;
    ensure!(first.status == 201, "{first:?}");
    worker
        .await_states("generator", "RUNNING [RUNNING]", SOON)
        .await?;
    put(&worker, "/connectors/generator/pause").await?;
    let second = call(&worker, Method::PUT, path, Some(generator("sales", "3"))).await?;
    ensure!(second.status == 200, "{second:?}");
    worker
        .await_states("generator", "PAUSED [PAUSED, PAUSED, PAUSED]", SOON)
        .await?;

    let patch = json!({ "seed": 7, "tasks.max": null });
    let patched = call(&worker, Method::PATCH, path, Some(patch)).await?;
    ensure!(
        patched.status == 200 && patched.body["config"]["seed"] == "7",
        "{patched:?}"
    );
    ensure!(
        patched.body["config"]["tasks.max"].is_null(),
        "null removes a key: {patched:?}"
    );
    worker
        .await_states("generator", "PAUSED [PAUSED]", SOON)
        .await?;

    let before = get(&worker, path).await?.body;
    let wrong =
        json!({ "connector.class": "DatagenSource", "event.type": "weather", "rate": "fast" });
    let refused = call(&worker, Method::PUT, path, Some(wrong)).await?;
    refused.refused(
        400,
        "Connector configuration is invalid and contains the following 3 error(s)",
    )?;
    for key in ["kafka.topic", "event.type", "rate"] {
        ensure!(refused.message().contains(key), "{key}: {refused:?}");
    }
    ensure!(
        get(&worker, path).await?.body == before,
        "a refused config changes nothing"
    );
    call(
        &worker,
        Method::PATCH,
        "/connectors/nobody/config",
        Some(json!({})),
    )
    .await?
    .refused(404, "Connector nobody not found")?;
    Ok(())
}

#[tokio::test]
async fn wrong_requests_get_kafka_connects_errors() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let worker = WorkerProcess::start(folder.path(), None)?;
    get(&worker, "/nowhere").await?.refused(404, "HTTP 404")?;
    put(&worker, "/connectors")
        .await?
        .refused(405, "HTTP 405")?;
    let no_class = json!({ "name": "x", "config": {} });
    post(&worker, "/connectors", Some(no_class))
        .await?
        .refused(400, "contains no connector type")?;
    let unknown = json!({ "name": "x", "config": { "connector.class": "org.example.Nothing" } });
    post(&worker, "/connectors", Some(unknown)).await?.refused(
        400,
        "Failed to find any class that implements Connector and which name matches org.example.Nothing",
    )?;
    let mut other_name = generator("sales", "1");
    other_name["name"] = json!("other");
    let request = json!({ "name": "x", "config": other_name });
    post(&worker, "/connectors", Some(request))
        .await?
        .refused(400, "doesn't match connector name in the URL")?;
    let more = json!({ "name": "x", "config": generator("sales", "1"), "surprise": 1 });
    post(&worker, "/connectors", Some(more))
        .await?
        .refused(500, "Unrecognized field")?;
    let state =
        json!({ "name": "x", "config": generator("sales", "1"), "initial_state": "FLYING" });
    post(&worker, "/connectors", Some(state))
        .await?
        .refused(500, "Cannot construct instance")?;

    let raw = |kind: &'static str, body: &'static str| {
        Client::new()
            .post(worker.url("/connectors"))
            .header("content-type", kind)
            .body(body)
            .send()
    };
    ensure!(raw("application/json", "{broken").await?.status() == 500);
    ensure!(raw("text/plain", "{}").await?.status() == 415);
    let picky = Client::new()
        .get(worker.url("/connectors"))
        .header("accept", "text/html");
    ensure!(picky.send().await?.status() == 406);
    ensure!(
        get(&worker, "/connectors").await?.body == json!([]),
        "nothing was made"
    );
    Ok(())
}

#[tokio::test]
async fn names_may_hold_anything_but_control_characters() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let worker = WorkerProcess::start(folder.path(), None)?;
    let name = "a/b c ü";
    let request =
        json!({ "name": name, "config": generator("sales", "1"), "initial_state": "stopped" });
    let created = post(&worker, "/connectors", Some(request)).await?;
    ensure!(created.status == 201, "{created:?}");
    let path = "/connectors/a%2Fb%20c%20%C3%BC";
    let status = get(&worker, &format!("{path}/status")).await?;
    ensure!(
        status.body["name"] == name && status.body["connector"]["state"] == "STOPPED",
        "{status:?}"
    );
    let deleted = call(&worker, Method::DELETE, path, None).await?;
    ensure!(deleted.status == 204, "{deleted:?}");
    let control = json!({ "name": "a\u{1}b", "config": generator("sales", "1") });
    post(&worker, "/connectors", Some(control))
        .await?
        .refused(400, "may not contain control sequences")?;
    let empty = json!({ "name": " ", "config": generator("sales", "1") });
    post(&worker, "/connectors", Some(empty))
        .await?
        .refused(400, "may not be empty")?;
    Ok(())
}

#[tokio::test]
async fn plugins_are_listed_and_configs_validated() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let worker = WorkerProcess::start(folder.path(), None)?;
    let plugins = get(&worker, "/connector-plugins").await?;
    let classes: Vec<_> = plugins
        .body
        .as_array()
        .context("a list")?
        .iter()
        .filter_map(|plugin| plugin["class"].as_str())
        .collect();
    ensure!(
        classes.contains(&"io.confluent.connect.s3.S3SinkConnector"),
        "{classes:?}"
    );
    let path = "/connector-plugins/S3SinkConnector/config/validate";
    let config = json!({ "connector.class": "S3SinkConnector", "name": "x", "topics": "a", "flush.size": "-3", "tasks.max": "x" });
    let checked = call(&worker, Method::PUT, path, Some(config)).await?;
    ensure!(checked.status == 200, "{checked:?}");
    let errors_of = |key: &str| {
        let configs = checked.body["configs"].as_array().into_iter().flatten();
        let mut named = configs.filter(|config| config["value"]["name"] == key);
        named
            .next()
            .map(|config| config["value"]["errors"].clone())
            .unwrap_or_default()
    };
    ensure!(
        errors_of("tasks.max")[0]
            == "Invalid value x for configuration tasks.max: Not a number of type INT"
    );
    ensure!(
        errors_of("s3.bucket.name")[0]
            == "Missing required configuration \"s3.bucket.name\" which has no default value."
    );
    ensure!(errors_of("flush.size")[0].is_string());
    ensure!(errors_of("topics") == json!([]));
    ensure!(
        checked.body["error_count"].as_u64() >= Some(5),
        "{checked:?}"
    );
    let other = json!({ "connector.class": "DatagenSource" });
    call(&worker, Method::PUT, path, Some(other))
        .await?
        .refused(400, "does not match request type")?;
    get(&worker, "/connector-plugins/Nothing/config")
        .await?
        .refused(404, "Unknown plugin Nothing")?;
    Ok(())
}

#[tokio::test]
async fn a_failing_task_shows_its_trace_and_disturbs_nobody() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let s3 = s3_server(folder.path()).await?;
    let worker = WorkerProcess::start(folder.path(), None)?;
    worker
        .put_config("generator", &generator("sales", "1"))
        .await?;
    worker
        .put_config("good", &s3_sink("sales", &s3, &[("name", "good")]))
        .await?;
    let repaired = s3_sink("sales", &s3, &[("name", "bad"), ("topics.dir", "bad")]);
    let format = "io.confluent.connect.s3.format.bytearray.ByteArrayFormat";
    let bad = changed(repaired.clone(), &[("format.class", format)]);
    worker.put_config("bad", &bad).await?;
    worker.await_states("bad", "RUNNING [FAILED]", SOON).await?;
    let status = get(&worker, "/connectors/bad/status").await?;
    let trace = status.body["tasks"][0]["trace"]
        .as_str()
        .unwrap_or_default();
    for words in ["sales-0 at offset", "ByteArrayConverter"] {
        ensure!(trace.contains(words), "no word of {words}: {trace}");
    }
    worker
        .await_states("good", "RUNNING [RUNNING]", SOON)
        .await?;
    wait_until("the good one goes on", SOON, || async {
        let objects = sluice_stand_in_s3::list_objects(s3.folder(), BUCKET)?;
        Ok(objects.len() >= 3)
    })
    .await?;
    // Repaired, it goes on with the records it could not write.
    worker.put_config("bad", &repaired).await?;
    worker
        .await_states("bad", "RUNNING [RUNNING]", SOON)
        .await?;
    wait_until("the first object of the repaired one", SOON, || async {
        let objects = sluice_stand_in_s3::list_objects(s3.folder(), BUCKET)?;
        let first = "bad/sales/partition=0/sales+0+0000000000.json";
        Ok(objects.iter().any(|(key, _)| key == first))
    })
    .await
}

#[tokio::test]
async fn a_second_worker_on_the_same_folder_is_refused() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut worker = WorkerProcess::start(folder.path(), None)?;
    let data = folder.path().join("data");
    let second = std::process::Command::new(SLUICE)
        .args(["worker", "--set", "listeners=http://127.0.0.1:0", "--set"])
        .arg(format!("data.dir={}", data.display()))
        .output()?;
    let said = String::from_utf8_lossy(&second.stderr);
    ensure!(!second.status.success(), "{said}");
    ensure!(said.contains("another worker uses this folder"), "{said}");
    worker.kill9()?;
    worker.launch()
}

#[tokio::test]
async fn configs_and_states_survive_a_worker_that_is_killed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut worker = WorkerProcess::start(folder.path(), None)?;
    for name in ["running", "paused", "stopped"] {
        worker.put_config(name, &generator(name, "1")).await?;
        worker.await_states(name, "RUNNING [RUNNING]", SOON).await?;
    }
    put(&worker, "/connectors/paused/pause").await?;
    put(&worker, "/connectors/stopped/stop").await?;
    let configs = get(&worker, "/connectors?expand=info").await?.body;
    worker.kill9()?;
    worker.launch()?;
    worker
        .await_states("running", "RUNNING [RUNNING]", SOON)
        .await?;
    worker
        .await_states("paused", "PAUSED [PAUSED]", SOON)
        .await?;
    worker.await_states("stopped", "STOPPED []", SOON).await?;
    let after = get(&worker, "/connectors?expand=info").await?.body;
    for name in ["running", "paused", "stopped"] {
        ensure!(
            configs[name]["info"]["config"] == after[name]["info"]["config"],
            "{name}"
        );
    }
    worker.stop()?;
    Ok(())
}
