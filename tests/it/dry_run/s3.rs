//! The S3 sink: keys and bytes of a dry run are those of the run.

use std::collections::BTreeMap;
use std::io::Read;

use anyhow::{Context, Result, ensure};
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use sluice_stand_in_s3::{S3StandIn, list_objects};

use super::world::{World, effects, outcomes};
use crate::support::{BUCKET, changed, s3_server, s3_sink, wait_until};

/// Objects of four records.
pub(super) fn config(name: &str, s3: &S3StandIn, more: &[(&str, &str)]) -> Value {
    changed(s3_sink(name, s3, &[("flush.size", "4")]), more)
}

/// Content before compression and size of each object that the bucket has.
fn written(s3: &S3StandIn) -> Result<BTreeMap<String, (String, u64)>> {
    let mut objects = BTreeMap::new();
    for (key, size) in list_objects(s3.folder(), BUCKET)? {
        let bytes = std::fs::read(s3.folder().join(BUCKET).join(&key))?;
        let mut text = String::new();
        if key.ends_with(".gz") {
            GzDecoder::new(&*bytes).read_to_string(&mut text)?;
        } else {
            text = String::from_utf8(bytes)?;
        }
        objects.insert(key, (text, size));
    }
    Ok(objects)
}

/// The same of the objects that a dry run shows as complete.
fn shown(report: &Value) -> Result<BTreeMap<String, (String, u64)>> {
    let complete = effects(report, "file")
        .into_iter()
        .filter(|file| file["complete"] == true);
    complete
        .map(|file| {
            ensure!(file["content"]["truncated"] == false, "{file}");
            let text = |value: &Value| value.as_str().map(str::to_owned).context("text");
            let size = file["size"].as_u64().context("size")?;
            Ok((
                text(&file["path"])?,
                (text(&file["content"]["content"])?, size),
            ))
        })
        .collect()
}

fn sales(partition: usize) -> impl Iterator<Item = Vec<u8>> {
    (0..10).map(move |number| format!("{{\"p\":{partition}, \"n\":{number}}}").into_bytes())
}

async fn shows_what_is_written(name: &'static str, more: &[(&str, &str)]) -> Result<()> {
    let world = World::start(name).await?;
    let s3 = s3_server(world.folder.path()).await?;
    world.topic(name, 2).await?;
    world.write(name, 0, sales(0)).await?;
    world.write(name, 1, sales(1)).await?;
    let config = config(name, &s3, more);
    // Nothing is deployed: the config comes with the call.
    let report = world.dry_run(name, "?records=100", Some(&config)).await?;
    ensure!(written(&s3)?.is_empty(), "a dry run has written objects");
    ensure!(outcomes(&report) == ["passed"; 20], "{report:#}");
    let expected = shown(&report)?;
    ensure!(
        expected.len() == 4,
        "two objects of each partition: {report:#}"
    );
    let open = effects(&report, "file").len() - expected.len();
    ensure!(open == 2, "what is not full yet is shown, too: {report:#}");
    ensure!(report["failure"].is_null(), "{report:#}");

    world.worker.put_config(name, &config).await?;
    wait_until("objects are written", super::world::DEADLINE, async || {
        Ok(written(&s3)?.len() == expected.len())
    })
    .await?;
    ensure!(
        written(&s3)? == expected,
        "{expected:#?} {:#?}",
        written(&s3)?
    );
    world.wait_until_committed(name, 16).await?;

    // Of what is deployed: from where it would go on, the objects there are not shown again.
    let report = world.dry_run(name, "", None).await?;
    ensure!(
        shown(&report)?.is_empty() && outcomes(&report).len() == 4,
        "{report:#}"
    );
    // Another config for it: it is not deployed by that.
    let mut other = config.clone();
    other["flush.size"] = json!("1");
    let report = world.dry_run(name, "", Some(&other)).await?;
    ensure!(shown(&report)?.len() == 4, "{report:#}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_bytes_of_objects_are_those_that_the_run_writes() -> Result<()> {
    shows_what_is_written("dry-s3-plain", &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_objects_behind_a_transform_are_those_that_the_run_writes() -> Result<()> {
    let more = [
        ("s3.compression.type", "gzip"),
        ("transforms", "rename"),
        (
            "transforms.rename.type",
            "org.apache.kafka.connect.transforms.ReplaceField$Value",
        ),
        ("transforms.rename.renames", "n:number"),
    ];
    shows_what_is_written("dry-s3-gzip", &more).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_the_bucket_already_and_a_missing_bucket_are_told() -> Result<()> {
    let name = "dry-s3-there";
    let world = World::start(name).await?;
    let s3 = s3_server(world.folder.path()).await?;
    world.topic(name, 1).await?;
    world.write(name, 0, sales(0)).await?;
    let mut config = config(name, &s3, &[]);
    world.worker.put_config(name, &config).await?;
    world.wait_until_committed(name, 8).await?;
    let notes = |report: &Value| report["notes"].to_string();
    let report = world.dry_run(name, "?from=earliest", None).await?;
    let key = format!("topics/{name}/partition=0/{name}+0+0000000000.json");
    ensure!(
        notes(&report).contains(&format!("an object {key} already")),
        "{report:#}"
    );
    config["s3.bucket.name"] = json!("missing");
    let report = world.dry_run(name, "?from=earliest", Some(&config)).await?;
    ensure!(notes(&report).contains("would not start"), "{report:#}");
    ensure!(
        !shown(&report)?.is_empty(),
        "objects are shown all the same: {report:#}"
    );
    Ok(())
}
