//! What an engine asks of the process itself: that it hears SIGTERM at any moment, and that its health is told in time.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use sluice_services::{Kafka, free_port};

use crate::support::{SLUICE, WorkerProcess};

/// A server that takes connections and says nothing.
fn silent_server() -> Result<(TcpListener, String)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    Ok((listener, address))
}

/// The next connection; an error if none comes.
fn connection(listener: &TcpListener) -> Result<TcpStream> {
    listener.set_nonblocking(true)?;
    let until = Instant::now() + Duration::from_secs(20);
    while Instant::now() < until {
        match listener.accept() {
            Ok((stream, _)) => return Ok(stream),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
    bail!("no one has come")
}

/// Waits for the end; kills what does not end in time.
fn ended(mut process: Child, deadline: Duration) -> Result<ExitStatus> {
    let until = Instant::now() + deadline;
    while Instant::now() < until {
        if let Some(status) = process.try_wait()? {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    process.kill()?;
    process.wait()?;
    bail!("it did not end within {deadline:?}")
}

#[test]
fn a_worker_that_still_waits_for_kafka_stops_when_it_is_told_to() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (kafka, address) = silent_server()?;
    let worker = Command::new(SLUICE)
        .arg("worker")
        .env("CONNECT_BOOTSTRAP_SERVERS", address)
        .env("CONNECT_LISTENERS", "http://127.0.0.1:0")
        .env("CONNECT_DATA_DIR", folder.path())
        .stderr(Stdio::null())
        .spawn()?;
    let _waiting = connection(&kafka)?;
    let told = Command::new("kill")
        .args(["-s", "TERM", &worker.id().to_string()])
        .status()?;
    ensure!(told.success());
    // An exit code, not the signal: the worker has heard it.
    assert_eq!(ended(worker, Duration::from_secs(5))?.code(), Some(0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_waits_for_its_brokers_says_so_and_starts_once_they_are_there() -> Result<()>
{
    let folder = tempfile::tempdir()?;
    let kafka = tokio::task::spawn_blocking(|| Kafka::shared().map(Kafka::bootstrap)).await??;
    let door = free_port()?;
    let worker = WorkerProcess::start(folder.path(), Some(format!("127.0.0.1:{door}")))?;
    let health = reqwest::get(worker.url("/health")).await?;
    assert_eq!(health.status().as_u16(), 503);
    let told: serde_json::Value = health.json().await?;
    let message = told["message"].as_str().unwrap_or_default();
    let starting = "Worker is still starting up. The worker is currently opening its log and its stores, which began at ";
    ensure!(
        told["status"] == "starting" && message.starts_with(starting),
        "{told}"
    );
    let asked = tokio::spawn(reqwest::get(worker.url("/connectors")));
    open_door(door, kafka)?;
    assert_eq!(asked.await??.text().await?, "[]");
    assert_eq!(
        reqwest::get(worker.url("/health")).await?.status().as_u16(),
        200
    );
    Ok(())
}

/// Passes connections at `port` on to `address` from now on.
fn open_door(port: u16, address: String) -> Result<()> {
    let door = TcpListener::bind(("127.0.0.1", port))?;
    std::thread::spawn(move || -> Result<()> {
        for inside in door.incoming() {
            let (inside, outside) = (inside?, TcpStream::connect(&address)?);
            for (mut from, mut to) in [
                (inside.try_clone()?, outside.try_clone()?),
                (outside, inside),
            ] {
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            }
        }
        Ok(())
    });
    Ok(())
}

#[test]
fn a_worker_that_says_nothing_is_unhealthy_in_time() -> Result<()> {
    let (_worker, address) = silent_server()?;
    let asking = Command::new(SLUICE)
        .args(["health", "--timeout", "1", "--url"])
        .arg(format!("http://{address}"))
        .stderr(Stdio::piped())
        .spawn()
        .context("starting sluice")?;
    let begun = Instant::now();
    assert_eq!(ended(asking, Duration::from_secs(10))?.code(), Some(1));
    ensure!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    Ok(())
}
