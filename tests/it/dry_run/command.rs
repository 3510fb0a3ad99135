//! `sluice connector dry-run`: of a file that is not deployed, of a connector, for people and as JSON; secrets stay hidden.

use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::s3::config;
use super::world::World;
use crate::support::{SLUICE, s3_server};

const SECRET: &str = "a-secret-that-is-planted";

/// What it prints, and whether it succeeds.
fn run(world: &World, arguments: &[&str]) -> Result<(String, bool)> {
    let output = Command::new(SLUICE)
        .args(["connector", "dry-run", "--url", &world.worker.url("")])
        .args(arguments)
        .output()?;
    let said = String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?;
    Ok((said, output.status.success()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_and_a_connector_can_be_tried() -> Result<()> {
    let name = "dry-command";
    let world = World::start(name).await?;
    let s3 = s3_server(world.folder.path()).await?;
    world.topic(name, 1).await?;
    let values = [&b"{\"n\":1}"[..], b"{\"n\":2}", b"broken"];
    world.write(name, 0, values.map(<[u8]>::to_vec)).await?;
    let config = config(name, &s3, &[("flush.size", "2")]);
    let file = world.folder.path().join("config.json");
    std::fs::write(&file, json!({ "name": name, "config": config }).to_string())?;
    let path = file.display().to_string();

    let (said, succeeded) = run(&world, &[&path, "--records", "2"])?;
    ensure!(succeeded, "{said}");
    let object =
        format!("object topics/{name}/partition=0/{name}+0+0000000000.json\n  2 records, 16 bytes");
    ensure!(
        said.contains(&object) && said.contains("  {\"n\":1}\n  {\"n\":2}\n"),
        "{said}"
    );
    ensure!(said.ends_with("nothing was changed\n"), "{said}");
    let (said, succeeded) = run(&world, &[&path])?;
    ensure!(
        !succeeded && said.contains("the task would be FAILED"),
        "{said}"
    );

    let (said, succeeded) = run(&world, &[name])?;
    ensure!(!succeeded && said.contains("not found"), "{said}");
    let (said, succeeded) = run(&world, &[&path, "--records", "2", "--json"])?;
    let report: Value = serde_json::from_str(&said)?;
    ensure!(succeeded && report["effects"][0]["records"] == 2, "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_from_a_provider_is_not_shown_wherever_it_goes() -> Result<()> {
    let provider = [
        "config.providers=file",
        "config.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider",
    ];
    let name = "dry-secret";
    let world = World::start_with(name, &provider).await?;
    let s3 = s3_server(world.folder.path()).await?;
    let kept = world.folder.path().join("kept.properties");
    std::fs::write(&kept, format!("secret={SECRET}\n"))?;
    world.topic(name, 1).await?;
    world
        .write(name, 0, [b"{\"n\":1}".to_vec(), b"broken".to_vec()])
        .await?;
    let placeholder = format!("${{file:{}:secret}}", kept.display());
    let insert = [
        ("aws.secret.access.key", placeholder.as_str()),
        ("flush.size", "1"),
        ("transforms", "insert"),
        (
            "transforms.insert.type",
            "org.apache.kafka.connect.transforms.InsertField$Value",
        ),
        ("transforms.insert.static.field", "secret"),
        ("transforms.insert.static.value", placeholder.as_str()),
    ];
    let config = config(name, &s3, &insert);
    let report = world.dry_run(name, "", Some(&config)).await?.to_string();
    ensure!(
        !report.contains(SECRET) && report.contains("kept.properties:secret"),
        "{report}"
    );
    ensure!(!world.worker.log().contains(SECRET), "the log has it");
    Ok(())
}
