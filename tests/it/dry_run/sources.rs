//! Sources: what a dry run polls is what a run then writes; nothing is produced, stored, moved or registered.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sluice_services::SchemaRegistry;

use super::world::{DEADLINE, World, outcomes};
use crate::support::{kcat, wait_until};

/// The values that the log would be given.
fn stored(report: &Value) -> Vec<&str> {
    let records = report["records"].as_array().map_or(&[][..], Vec::as_slice);
    let outputs = records
        .iter()
        .flat_map(|record| record["output"].as_array().into_iter().flatten());
    outputs
        .filter_map(|output| output["stored"]["value"]["content"].as_str())
        .collect()
}

fn lines(world: &World, topic: &str) -> Result<Value> {
    let file = world.folder.path().join("lines.txt");
    std::fs::write(&file, "one\ntwo\nthree\n")?;
    Ok(json!({
        "connector.class": "FileStreamSource",
        "tasks.max": "1",
        "topic": topic,
        "file": file.display().to_string(),
        "transforms": "hoist",
        "transforms.hoist.type": "org.apache.kafka.connect.transforms.HoistField$Value",
        "transforms.hoist.field": "line",
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_behind_transforms_are_those_that_are_then_produced() -> Result<()> {
    let name = "dry-lines";
    let world = World::start(name).await?;
    let config = lines(&world, name)?;
    let report = world.dry_run(name, "?records=3", Some(&config)).await?;
    ensure!(outcomes(&report) == ["passed"; 3], "{report:#}");
    ensure!(
        report["records"][0]["source_offset"]["position"] == 4,
        "{report:#}"
    );
    let expected = stored(&report);
    ensure!(
        expected
            == [
                r#"{"line":"one"}"#,
                r#"{"line":"two"}"#,
                r#"{"line":"three"}"#
            ],
        "{report:#}"
    );
    world.topic(name, 1).await?;
    world.worker.put_config(name, &config).await?;
    wait_until("all lines are produced", DEADLINE, async || {
        Ok(kcat::records(&world.kafka.bootstrap(), name)?.len() == 3)
    })
    .await?;
    let produced: Vec<_> = kcat::records(&world.kafka.bootstrap(), name)?
        .into_iter()
        .map(|letter| letter.value)
        .collect();
    ensure!(produced == expected, "{produced:?}");
    wait_until("offsets are stored", DEADLINE, async || {
        let offsets = world
            .worker
            .get(&format!("/connectors/{name}/offsets"))
            .await?;
        Ok(offsets["offsets"][0]["offset"]["position"] == 14)
    })
    .await?;
    // From where the connector would go on there is nothing; from the beginning, everything.
    let report = world.dry_run(name, "?records=3", None).await?;
    ensure!(
        outcomes(&report).is_empty() && report["notes"].to_string().contains("no records"),
        "{report:#}"
    );
    let report = world
        .dry_run(name, "?records=2&from=earliest", None)
        .await?;
    ensure!(stored(&report) == expected[..2], "{report:#}");
    let (status, answer) = world.call(name, "?from=latest-2", None).await?;
    ensure!(status == 400, "{answer}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_a_run_would_move_stay_where_they_are() -> Result<()> {
    let name = "dry-files";
    let world = World::start(name).await?;
    let folder = world.folder.path().join("in");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("a.csv"), "id,name\n1,x\n2,y\n")?;
    std::fs::write(folder.join("empty.csv"), "")?;
    let done = world.folder.path().join("done");
    let config = json!({
        "connector.class": "sluice.file.FileSourceConnector",
        "tasks.max": "1", "topic": name, "format": "csv",
        "file": folder.join("*.csv").display().to_string(),
        "finished.action": "move",
        "finished.directory": done.display().to_string(),
        "finished.after.ms": "0",
    });
    let report = world.dry_run(name, "?records=10", Some(&config)).await?;
    ensure!(stored(&report).len() == 2, "{report:#}");
    ensure!(
        folder.join("a.csv").exists() && folder.join("empty.csv").exists(),
        "moved"
    );
    ensure!(!done.exists(), "a folder was made");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_schema_is_registered_but_one_that_is_there_is_used() -> Result<()> {
    let name = "dry-registry";
    let world = World::start(name).await?;
    let registry = SchemaRegistry::shared()?;
    let mut config = lines(&world, name)?;
    config["value.converter"] = json!("io.confluent.connect.avro.AvroConverter");
    config["value.converter.schema.registry.url"] = json!(registry.url());
    let subjects = async || -> Result<String> {
        Ok(reqwest::get(format!("{}/subjects", registry.url()))
            .await?
            .text()
            .await?)
    };
    let before = subjects().await?;
    let report = world.dry_run(name, "?records=3", Some(&config)).await?;
    ensure!(subjects().await? == before, "a schema was registered");
    ensure!(
        outcomes(&report) == ["passed"; 3] && stored(&report).is_empty(),
        "{report:#}"
    );
    let notes = report["notes"].as_array().context("notes")?;
    let told = notes
        .iter()
        .filter(|note| note.to_string().contains(&format!("subject {name}-value")));
    ensure!(told.count() == 1, "told once: {report:#}");

    world.topic(name, 1).await?;
    world.worker.put_config(name, &config).await?;
    wait_until("the schema is registered", DEADLINE, async || {
        Ok(subjects().await?.contains(&format!("\"{name}-value\"")))
    })
    .await?;
    let report = world
        .dry_run(name, "?records=3&from=earliest", None)
        .await?;
    let value = &report["records"][0]["output"][0]["stored"]["value"];
    ensure!(
        value["form"] == "base64"
            && value["content"]
                .as_str()
                .is_some_and(|text| text.starts_with("AAAA")),
        "{report:#}"
    );
    Ok(())
}
