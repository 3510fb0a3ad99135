//! The ready configs, and the script that makes a key pair for the first of them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use connect_core::config::{ConfigMap, connector_from_map};
use serde_json::Value as Json;
use sluice_stand_in_snowflake::SnowflakeOptions;

use crate::harness::{PASSWORD, World, each_once, numbered, partition};
use crate::keys::bare;

const KEY_PAIR: &str = include_str!("../../../../connector-configs/snowflake_connector.json");
const BY_PASSWORD: &str =
    include_str!("../../../../connector-configs/snowflake_connector_password.json");

fn path(below_root: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(below_root)
}

/// A ready config with what the environment would say, and with the place of the stand-in.
fn ready(file: &str, environment: &[(&str, String)]) -> ConfigMap {
    let file: Json = serde_json::from_str(file).unwrap();
    let mut config: ConfigMap = serde_json::from_value(file["config"].clone()).unwrap();
    for value in config.values_mut() {
        if let Some(name) = value.strip_prefix("${env:") {
            let name = name.strip_suffix('}').unwrap();
            let found = environment.iter().find(|(known, _)| *known == name);
            value.clone_from(&found.unwrap().1);
        }
    }
    let account = "snowflake.account.name".to_owned();
    config.insert(account, "testaccount".to_owned());
    config
}

/// An account with the names that the ready configs use.
async fn account(public_key: Option<String>) -> World {
    let mut options = SnowflakeOptions::local(public_key);
    options.database = "RETAIL".to_owned();
    options.schema = "SALES".to_owned();
    options.warehouses = vec!["KAFKA_LOADING".to_owned()];
    options.users[0].roles = vec!["KAFKA_CONNECTOR".to_owned()];
    World::with(options).await
}

async fn loads(world: &World, config: &ConfigMap) {
    connector_from_map(config).unwrap().start().await.unwrap();
    let mut driver = world.owner(config, &[partition(0)]).await;
    let mut records = numbered(0, 0..20);
    for record in &mut records {
        record.topic = "sales_events".into();
    }
    driver.write(records).await.unwrap();
    assert_eq!(world.places("SALES_EVENTS"), each_once(1, 20));
}

/// Makes a key pair with the script, as users do; what it prints.
fn key_pair(folder: &Path, passphrase: &str) -> Output {
    let mut command = Command::new(path("deploy/snowflake_key_pair.sh"));
    command.arg("loader").arg(folder);
    command.env("SNOWFLAKE_PRIVATE_KEY_PASSPHRASE", passphrase);
    command.output().unwrap()
}

#[tokio::test]
async fn key_pairs_from_the_script_work_with_the_ready_config() {
    for passphrase in ["", "correct horse"] {
        let folder = tempfile::tempdir().unwrap();
        let made = key_pair(folder.path(), passphrase);
        let told = String::from_utf8(made.stdout).unwrap();
        let statement = "ALTER USER loader SET RSA_PUBLIC_KEY='MII";
        assert!(told.contains(statement), "{told}");
        let public = std::fs::read_to_string(folder.path().join("rsa_key.pub")).unwrap();
        let private = std::fs::read_to_string(folder.path().join("rsa_key.p8")).unwrap();
        let world = account(Some(public)).await;
        let environment = [
            ("SNOWFLAKE_URL", world.server.url()),
            ("SNOWFLAKE_USER", "loader".to_owned()),
            ("SNOWFLAKE_PRIVATE_KEY", bare(&private)),
        ];
        let mut config = ready(KEY_PAIR, &environment);
        let option = "snowflake.private.key.passphrase".to_owned();
        config.insert(option, passphrase.to_owned());
        loads(&world, &config).await;
        // A second call leaves the key alone, and the private key is never printed.
        assert!(!key_pair(folder.path(), passphrase).status.success());
        assert!(!told.contains(&bare(&private)));
    }
}

#[tokio::test]
async fn the_ready_config_with_a_password_works() {
    let world = account(None).await;
    let environment = [
        ("SNOWFLAKE_URL", world.server.url()),
        ("SNOWFLAKE_USER", "loader".to_owned()),
        ("SNOWFLAKE_PASSWORD", PASSWORD.to_owned()),
    ];
    loads(&world, &ready(BY_PASSWORD, &environment)).await;
}

#[tokio::test]
async fn a_placeholder_that_nobody_has_looked_up_is_named() {
    let world = World::new().await;
    let key = [
        ("snowflake.password", ""),
        ("snowflake.private.key", "${env:SNOWFLAKE_PRIVATE_KEY}"),
    ];
    let error = connector_from_map(&world.config(&key)).map(drop);
    let error = error.unwrap_err().trace();
    assert!(error.contains("config.providers"), "{error}");
}
