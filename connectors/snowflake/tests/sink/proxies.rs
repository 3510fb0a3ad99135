//! A proxy that the environment names is used for everything, uploads too.

use std::process::Command;

use sluice_stand_in_snowflake::SnowflakeOptions;

use crate::harness::{World, each_once, numbered, partition};

/// Names that nobody can look up: only a proxy gets there.
const ACCOUNT: &str = "http://testaccount.snowflake.invalid";
const STAGES: &str = "http://stages.invalid";
/// Says that this process is the one behind the proxy.
const BEHIND: &str = "SLUICE_TEST_BEHIND_PROXY";

/// The environment of a process is the same for all its tests, so the sink has a process of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn login_statements_and_uploads_go_through_it() {
    if std::env::var_os(BEHIND).is_some() {
        return behind_the_proxy().await;
    }
    let mut options = SnowflakeOptions::local(None);
    options.upload_end_point = Some(STAGES.to_owned());
    // A server that is asked as a proxy answers for everybody.
    let world = World::with(options).await;
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args([
            "--exact",
            "proxies::login_statements_and_uploads_go_through_it",
        ])
        .env(BEHIND, "1")
        .env("HTTP_PROXY", world.server.url())
        .env_remove("NO_PROXY")
        .env_remove("no_proxy");
    let ended = tokio::task::spawn_blocking(move || child.output().unwrap());
    let output = ended.await.unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
    assert_eq!(world.places("SALES"), each_once(1, 5));
}

async fn behind_the_proxy() {
    let world = World::new().await;
    let config = world.config(&[("snowflake.url.name", ACCOUNT)]);
    let mut driver = world.owner(&config, &[partition(0)]).await;
    driver.write(numbered(0, 0..5)).await.unwrap();
}
