//! Dry runs with what they should not be given: each is answered, and nothing is changed.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::s3::config;
use super::world::{World, effects, outcomes};
use crate::support::{s3_server, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_are_refused_with_what_is_wrong() -> Result<()> {
    let name = "dry-wrong";
    let world = World::start(name).await?;
    let s3 = s3_server(world.folder.path()).await?;
    world.topic(name, 1).await?;
    let good = config(name, &s3, &[]);
    let before = world.standing().await?;
    let refused = async |query: &str, config: Option<&Value>| -> Result<(u16, String)> {
        let (status, answer) = world.call(name, query, config).await?;
        Ok((
            status,
            answer["message"].as_str().context("message")?.to_owned(),
        ))
    };
    for number in ["0", "-1", "1001", "99999999999999999999", "many", ""] {
        let (status, message) = refused(&format!("?records={number}"), Some(&good)).await?;
        ensure!(
            status == 400 && message.contains("from 1 to 1000"),
            "{number}: {message}"
        );
    }
    let (status, message) = refused("?from=somewhere", Some(&good)).await?;
    ensure!(status == 400 && message.contains("latest-N"), "{message}");
    let (status, message) = refused("?partition=7", Some(&good)).await?;
    ensure!(
        status == 400 && message.contains("no partition is left"),
        "{message}"
    );
    let (status, message) = refused("", None).await?;
    ensure!(
        status == 404 && message == format!("Connector {name} not found"),
        "{message}"
    );
    let mut unknown = good.clone();
    unknown["connector.class"] = json!("NoSuchConnector");
    let (status, message) = refused("", Some(&unknown)).await?;
    ensure!(
        status == 400 && message.contains("NoSuchConnector"),
        "{message}"
    );
    let mut wrong = good.clone();
    wrong["flush.size"] = json!("none");
    wrong["tasks.max"] = json!("-3");
    let (status, message) = refused("", Some(&wrong)).await?;
    ensure!(
        status == 400 && message.contains("flush.size") && message.contains("tasks.max"),
        "every error is listed: {message}"
    );
    let mut renamed = good.clone();
    renamed["name"] = json!("other");
    let (status, message) = refused("", Some(&renamed)).await?;
    ensure!(
        status == 400 && message.contains("doesn't match"),
        "{message}"
    );
    let mut elsewhere = good.clone();
    elsewhere["topics"] = json!(format!("{name}-missing"));
    let (status, message) = refused("", Some(&elsewhere)).await?;
    ensure!(
        status == 400 && message.contains("-missing does not exist"),
        "{message}"
    );
    // An empty topic is no error.
    let (status, report) = world.call(name, "", Some(&good)).await?;
    ensure!(
        status == 200
            && report["notes"][0]
                .as_str()
                .is_some_and(|note| note.starts_with("no records")),
        "{report}"
    );
    ensure!(world.standing().await? == before, "something has changed");
    Ok(())
}

fn poisoned() -> Vec<Vec<u8>> {
    let values = [
        &b"{\"id\":0}"[..],
        b"{\"id\": broken",
        b"{\"id\":\"x\"}",
        b"{\"id\":3}",
    ];
    values.map(<[u8]>::to_vec).to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_is_shown_with_its_stage_and_with_what_would_become_of_it() -> Result<()> {
    let name = "dry-poison";
    let world = World::start(name).await?;
    let s3 = s3_server(world.folder.path()).await?;
    world.topic(name, 1).await?;
    world.write(name, 0, poisoned()).await?;
    let cast = [
        ("flush.size", "1"),
        ("transforms", "number"),
        (
            "transforms.number.type",
            "org.apache.kafka.connect.transforms.Cast$Value",
        ),
        ("transforms.number.spec", "id:int32"),
    ];
    let mut config = config(name, &s3, &cast);
    let stages = |report: &Value| -> Vec<String> {
        let records = report["records"].as_array().map_or(&[][..], Vec::as_slice);
        let errors = records.iter().filter(|record| !record["error"].is_null());
        errors
            .map(|record| record["error"]["stage"].to_string())
            .collect()
    };
    let both = ["\"VALUE_CONVERTER\"", "\"TRANSFORMATION\""];

    let report = world.dry_run(name, "", Some(&config)).await?;
    ensure!(
        outcomes(&report) == ["passed", "fails-task", "fails-task", "not-reached"],
        "{report:#}"
    );
    ensure!(
        stages(&report) == both && !report["failure"].is_null(),
        "{report:#}"
    );
    ensure!(
        report["records"][1]["input"]["value"]["content"] == "{\"id\": broken",
        "{report:#}"
    );
    ensure!(effects(&report, "file").len() == 1, "{report:#}");

    config["errors.tolerance"] = json!("all");
    let report = world.dry_run(name, "", Some(&config)).await?;
    ensure!(
        outcomes(&report) == ["passed", "skipped", "skipped", "passed"],
        "{report:#}"
    );
    ensure!(
        stages(&report) == both && report["failure"].is_null(),
        "{report:#}"
    );
    ensure!(effects(&report, "file").len() == 2, "{report:#}");

    config["errors.deadletterqueue.topic.name"] = json!("dry-poison-dead");
    let report = world.dry_run(name, "", Some(&config)).await?;
    ensure!(
        outcomes(&report) == ["passed", "dead-letter", "dead-letter", "passed"],
        "{report:#}"
    );

    // What the connector itself refuses: a null value.
    config["transforms"] = json!("");
    config["value.converter"] = json!("org.apache.kafka.connect.storage.StringConverter");
    config["format.class"] = json!("io.confluent.connect.s3.format.bytearray.ByteArrayFormat");
    let report = world.dry_run(name, "", Some(&config)).await?;
    ensure!(outcomes(&report) == ["dead-letter"; 4], "{report:#}");
    ensure!(stages(&report) == ["\"TASK_PUT\""; 4], "{report:#}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn long_values_are_cut_and_binary_ones_marked() -> Result<()> {
    let name = "dry-large";
    let world = World::start(name).await?;
    let s3 = s3_server(world.folder.path()).await?;
    world.topic(name, 1).await?;
    let large = vec![b'x'; 1_000_000 - 1000];
    world
        .write(name, 0, [large.clone(), b"\xff\0\xfe".to_vec()])
        .await?;
    let bytes = [
        (
            "value.converter",
            "org.apache.kafka.connect.converters.ByteArrayConverter",
        ),
        (
            "format.class",
            "io.confluent.connect.s3.format.bytearray.ByteArrayFormat",
        ),
        ("flush.size", "1"),
    ];
    let config = config(name, &s3, &bytes);
    let report = world.dry_run(name, "", Some(&config)).await?;
    let value = &report["records"][0]["output"][0]["value"];
    ensure!(
        value["truncated"] == true && value["size"] == large.len(),
        "{value}"
    );
    ensure!(
        value["content"]
            .as_str()
            .is_some_and(|text| text.len() == 4096),
        "{value}"
    );
    let value = &report["records"][1]["output"][0]["value"];
    let (form, content) = (&value["form"], STANDARD.encode(b"\xff\0\xfe"));
    ensure!(
        form == "base64" && value["content"] == content && value["truncated"] == false,
        "{value}"
    );
    let files = effects(&report, "file");
    ensure!(
        files[0]["content"]["truncated"] == true && files[0]["size"] == large.len() + 1,
        "{}",
        files[0]["size"]
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_some_run_at_a_time_and_one_ends_when_its_client_leaves() -> Result<()> {
    let name = "dry-many";
    let world = World::start(name).await?;
    // A slow source: its tasks are polled until the time is up.
    let slow = json!({
        "connector.class": "sluice.datagen.DatagenSourceConnector", "tasks.max": "3", "kafka.topic": name, "event.type": "sales", "rate": "0.0001",
    });
    let body = slow.to_string();
    let mut leaving = Vec::new();
    for _ in 0..2 {
        let mut stream = tokio::net::TcpStream::connect(world.worker.address()).await?;
        let head = format!(
            "POST /connectors/{name}/dry-run HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        let answer = tokio::time::timeout(Duration::from_millis(500), stream.read_u8()).await;
        ensure!(answer.is_err(), "it is under way and not answered yet");
        leaving.push(stream);
    }
    let (status, answer) = world.call(name, "", Some(&slow)).await?;
    ensure!(status == 429, "{status} {answer}");
    drop(leaving);
    // Long before their time is up there is room again: this one is refused for another reason, and at once.
    let standard_input = json!({ "connector.class": "FileStreamSource", "topic": name });
    wait_until("there is room", Duration::from_secs(8), async || {
        Ok(world.call(name, "", Some(&standard_input)).await?.0 == 400)
    })
    .await
}
