//! Every file of connector-configs/ is one that the worker takes.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::support::WorkerProcess;

/// True if the option's value is for a config provider to look up: it is not known here, and so not right.
fn is_placeholder(config: &Value, option: &Value) -> bool {
    let name = option["value"]["name"].as_str().unwrap_or_default();
    let value = config[name].as_str().unwrap_or_default();
    value.starts_with("${")
}

#[tokio::test]
async fn every_ready_config_is_valid() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let worker = WorkerProcess::start(folder.path(), None)?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("connector-configs");
    let mut checked = 0;
    for entry in std::fs::read_dir(root)? {
        let path = entry?.path();
        let file: Value = serde_json::from_str(&std::fs::read_to_string(&path)?)
            .with_context(|| path.display().to_string())?;
        let mut config = file["config"].clone();
        config["name"] = file["name"].clone();
        let class = config["connector.class"]
            .as_str()
            .context("no connector.class")?;
        let url = worker.url(&format!("/connector-plugins/{class}/config/validate"));
        let answer = reqwest::Client::new().put(url).json(&config).send().await?;
        let infos: Value = answer.json().await?;
        let wrong: Vec<_> = infos["configs"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|option| option["value"]["errors"] != json!([]))
            .filter(|option| !is_placeholder(&config, option))
            .map(|option| option["value"].to_string())
            .collect();
        ensure!(
            infos["error_count"].is_number() && wrong.is_empty(),
            "{}: {wrong:?} {infos}",
            path.display()
        );
        checked += 1;
    }
    ensure!(checked > 0, "no ready configs");
    Ok(())
}
