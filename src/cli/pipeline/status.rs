//! `sluice pipeline status`: every connector and task of a pipeline, with its state and its lag where the worker tells it.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};

use super::catalog::Pipeline;
use super::configs::{Selection, names};
use crate::cli::deployment::{exit_code, runs, status_of, tasks, text, traces};
use crate::cli::output::{Table, print_text};
use crate::cli::rest_client::RestClient;

/// The state of a connector that the worker does not have.
const MISSING: &str = "MISSING";

/// The statuses of the pipeline's connectors, sinks first. A place whose connector the worker does not have is a status
/// in the state MISSING.
pub(super) async fn statuses(
    client: &RestClient,
    pipeline: &Pipeline,
    selection: &Selection,
) -> Result<Vec<Value>> {
    let mut statuses = Vec::new();
    for part in pipeline.parts() {
        let names = names(part, selection.configs.as_deref())?;
        let there = statuses.len();
        for name in names
            .iter()
            .filter(|name| !selection.without.contains(name))
        {
            let is_shown = statuses.iter().any(|known| text(known, "/name") == name);
            if !is_shown && let Some(status) = status_of(client, name).await? {
                statuses.push(status);
            }
        }
        let usual = names
            .into_iter()
            .find(|name| !selection.without.contains(name));
        if let Some(usual) = usual.filter(|_| statuses.len() == there) {
            statuses.push(json!({"name": usual, "connector": {"state": MISSING}, "tasks": []}));
        }
    }
    Ok(statuses)
}

/// Shows the pipeline's state; exit code 0 only if all of it runs.
pub(super) async fn status(
    client: &RestClient,
    pipeline: &Pipeline,
    selection: &Selection,
    as_json: bool,
) -> Result<ExitCode> {
    let statuses = statuses(client, pipeline, selection).await?;
    let all_run = statuses.iter().all(runs);
    if as_json {
        print_text(&format!("{:#}\n", json!(statuses)));
    } else {
        table(&statuses).print();
        let why: Vec<_> = statuses.iter().map(named_traces).collect();
        print_text(&why.concat());
    }
    Ok(exit_code(!all_run))
}

/// A row for each connector and each task.
fn table(statuses: &[Value]) -> Table {
    let mut table = Table::new(&["CONNECTOR", "PART", "STATE", "LAG", "RECORDS/S", "WORKER"]);
    for status in statuses {
        let name = text(status, "/name").to_owned();
        let connector = status.get("connector").unwrap_or(&Value::Null);
        table.row(row(name, text(status, "/type").to_owned(), connector));
        for task in tasks(status) {
            let part = format!("task {}", task.get("id").unwrap_or(&Value::Null));
            table.row(row(String::new(), part, task));
        }
    }
    table
}

fn row(name: String, part: String, value: &Value) -> Vec<String> {
    let number = |pointer| value.pointer(pointer).map(Value::to_string);
    vec![
        name,
        part,
        text(value, "/state").to_owned(),
        number("/sluice/lag").unwrap_or_default(),
        number("/sluice/records_per_second").unwrap_or_default(),
        text(value, "/worker_id").to_owned(),
    ]
}

fn named_traces(status: &Value) -> String {
    let traces = traces(status);
    if traces.is_empty() {
        return traces;
    }
    format!("\n{}{traces}", text(status, "/name"))
}

/// Records of the log that a sink has not made durable yet; `None` if the worker does not tell.
pub(super) fn lag(status: &Value) -> Option<u64> {
    let lags = tasks(status)
        .iter()
        .filter_map(|task| task.pointer("/sluice/lag")?.as_u64());
    lags.reduce(|all, lag| all + lag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connector_and_its_tasks_are_rows_with_what_is_known_of_them() {
        let status = json!({
            "name": "sink", "type": "sink",
            "connector": {"state": "RUNNING", "worker_id": "a:1"},
            "tasks": [
                {"id": 0, "state": "RUNNING", "worker_id": "a:1", "sluice": {"lag": 7, "records_per_second": 1.5}},
                {"id": 1, "state": "FAILED", "worker_id": "a:1", "trace": "no bucket"},
            ],
        });
        assert_eq!(
            table(std::slice::from_ref(&status)).to_text(false),
            "CONNECTOR  PART    STATE    LAG  RECORDS/S  WORKER\n\
             sink       sink    RUNNING                  a:1\n           \
             task 0  RUNNING  7    1.5        a:1\n           \
             task 1  FAILED                   a:1\n"
        );
        assert_eq!(named_traces(&status), "\nsink\ntask 1:\nno bucket\n");
        assert_eq!(lag(&status), Some(7));
        assert_eq!(lag(&json!({"tasks": [{"id": 0}]})), None);
    }
}
