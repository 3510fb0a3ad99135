//! Any worker may be asked for anything: it answers, or has the answer of the one that may.

use anyhow::{Context, Result, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::members::{Members, SOON};
use crate::support::wait_until;

impl Members {
    /// Asks a worker; the status and the answer, null if there is none.
    async fn ask(
        &self,
        worker: usize,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(StatusCode, Value)> {
        let worker = self
            .workers
            .get(worker)
            .context("there is no such worker")?;
        let mut request = reqwest::Client::new().request(method, worker.url(path));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or_default()))
    }

    /// Asks a worker and expects success with this status.
    async fn expect_answer(
        &self,
        worker: usize,
        (method, path): (&str, &str),
        body: Option<Value>,
        wanted: u16,
    ) -> Result<Value> {
        let asked = self.ask(worker, method.parse()?, path, body).await;
        let (status, answer) = asked?;
        ensure!(
            status == wanted,
            "{method} {path}: {status} {answer}\n{}",
            self.logs()
        );
        Ok(answer)
    }

    /// Waits until a GET at a worker is answered by what is wanted.
    async fn expect_at(&self, worker: usize, path: &str, wanted: Value) -> Result<()> {
        let probe = || async {
            let (_, found) = self.ask(worker, Method::GET, path, None).await?;
            ensure!(found == wanted, "{found}");
            Ok(true)
        };
        let outcome = wait_until(&format!("{path} at {worker}"), SOON, probe).await;
        outcome.with_context(|| self.logs())
    }
}

fn source(file: &str) -> Value {
    json!({ "connector.class": "FileStreamSource", "tasks.max": "1", "file": file, "topic": "lines" })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_worker_takes_every_request() -> Result<()> {
    let members = Members::start(3, &[]).await?;
    let file = members.path("in.txt");
    std::fs::write(&file, "one\ntwo\n")?;
    // Whoever leads, two of these are followers.
    for worker in 0..3 {
        let name = format!("made-{worker}");
        let body = json!({ "name": name, "config": source(&file) });
        let made = members.expect_answer(worker, ("POST", "/connectors"), Some(body.clone()), 201);
        ensure!(made.await?["name"] == json!(name));
        let again = members.expect_answer(worker, ("POST", "/connectors"), Some(body), 409);
        again.await?;
        for other in 0..3 {
            members
                .expect_states(other, &name, "RUNNING [RUNNING]")
                .await?;
        }
    }
    let names = json!(["made-0", "made-1", "made-2"]);
    for worker in 0..3 {
        members
            .expect_at(worker, "/connectors", names.clone())
            .await?;
        pause_restart_and_stop(&members, worker).await?;
        change_offsets(&members, worker).await?;
    }
    for worker in 0..3 {
        let path = format!("/connectors/made-{}", (worker + 1) % 3);
        members
            .expect_answer(worker, ("DELETE", &path), None, 204)
            .await?;
        members
            .expect_answer(worker, ("DELETE", &path), None, 404)
            .await?;
        // Whoever leads knows it at once, though the tasks may still be ending.
        let mut told = Vec::new();
        for other in 0..3 {
            let status = format!("{path}/status");
            told.push(members.ask(other, Method::GET, &status, None).await?.0);
        }
        ensure!(told.contains(&StatusCode::NOT_FOUND), "{told:?}");
    }
    for worker in 0..3 {
        members.expect_at(worker, "/connectors", json!([])).await?;
        let gone = json!({ "error_code": 404, "message": "No status found for connector made-0" });
        members
            .expect_at(worker, "/connectors/made-0/status", gone)
            .await?;
    }
    Ok(())
}

async fn pause_restart_and_stop(members: &Members, worker: usize) -> Result<()> {
    for connector in 0..3 {
        let name = format!("made-{connector}");
        let path = |action: &str| format!("/connectors/{name}/{action}");
        for action in ["restart", "tasks/0/restart"] {
            members
                .expect_answer(worker, ("POST", &path(action)), None, 204)
                .await?;
        }
        let whole = path("restart?includeTasks=true");
        let plan = members
            .expect_answer(worker, ("POST", &whole), None, 202)
            .await?;
        ensure!(plan["tasks"][0]["state"] == "RESTARTING", "{plan}");
        members
            .expect_states(worker, &name, "RUNNING [RUNNING]")
            .await?;
        members
            .expect_answer(worker, ("PUT", &path("pause")), None, 202)
            .await?;
        members
            .expect_states((worker + 1) % 3, &name, "PAUSED [PAUSED]")
            .await?;
        members
            .expect_answer(worker, ("PUT", &path("resume")), None, 202)
            .await?;
        members
            .expect_states((worker + 1) % 3, &name, "RUNNING [RUNNING]")
            .await?;
        let missing = path("tasks/7/restart");
        members
            .expect_answer(worker, ("POST", &missing), None, 404)
            .await?;
    }
    Ok(())
}

async fn change_offsets(members: &Members, worker: usize) -> Result<()> {
    let name = format!("made-{worker}");
    let path = |action: &str| format!("/connectors/{name}/{action}");
    let partition = json!({ "filename": members.path("in.txt") });
    let at = |position: u64| json!({ "offsets": [{ "partition": partition, "offset": { "position": position } }] });
    members
        .expect_at((worker + 1) % 3, &path("offsets"), at(8))
        .await?;
    let refused = members
        .ask(worker, Method::PATCH, &path("offsets"), Some(at(4)))
        .await?;
    ensure!(refused.0 == 400, "{refused:?}");
    members
        .expect_answer(worker, ("PUT", &path("stop")), None, 204)
        .await?;
    members
        .expect_states((worker + 1) % 3, &name, "STOPPED []")
        .await?;
    let offsets = path("offsets");
    members
        .expect_answer(worker, ("PATCH", &offsets), Some(at(4)), 200)
        .await?;
    members
        .expect_at((worker + 2) % 3, &path("offsets"), at(4))
        .await?;
    members
        .expect_answer(worker, ("PUT", &path("resume")), None, 202)
        .await?;
    // The last line is read again.
    members
        .expect_states(worker, &name, "RUNNING [RUNNING]")
        .await?;
    members
        .expect_at((worker + 1) % 3, &path("offsets"), at(8))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_level_of_logging_reaches_the_whole_cluster() -> Result<()> {
    let members = Members::start(2, &[]).await?;
    let path = "/admin/loggers/org.example?scope=cluster";
    let body = json!({ "level": "TRACE" });
    members
        .expect_answer(0, ("PUT", path), Some(body), 204)
        .await?;
    for worker in 0..2 {
        let probe = || async {
            let asked = members.ask(worker, Method::GET, "/admin/loggers/org.example", None);
            Ok(asked.await?.1["level"] == "TRACE")
        };
        wait_until("the level is set", SOON, probe).await?;
    }
    Ok(())
}
