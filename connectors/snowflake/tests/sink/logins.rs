//! Both logins, and every form of a private key.

use connect_core::config::connector_from_map;
use sluice_stand_in_snowflake::SnowflakeOptions;

use crate::harness::{World, each_once, numbered};
use crate::keys::{PASSPHRASE, bare, registered, stranger};

async fn world() -> World {
    World::with(SnowflakeOptions::local(Some(registered().public.clone()))).await
}

/// Options with which no password is left.
fn by_key<'a>(key: &'a str, passphrase: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("snowflake.password", ""),
        ("snowflake.private.key", key),
        ("snowflake.private.key.passphrase", passphrase),
    ]
}

#[tokio::test]
async fn every_form_of_a_private_key_logs_in() {
    let world = world().await;
    let pair = registered();
    let plain = pair.plain();
    let forms = [
        (plain.clone(), ""),
        (bare(&plain), ""),
        (plain.replace('\n', "\\n"), ""),
        (plain.replace('\n', "\r\n"), ""),
        // A passphrase that is not needed does no harm.
        (plain, PASSPHRASE),
        (pair.encrypted_aes(), PASSPHRASE),
        (bare(&pair.encrypted_aes()), PASSPHRASE),
        (pair.encrypted_des3(), PASSPHRASE),
    ];
    for (index, (key, passphrase)) in forms.iter().enumerate() {
        let mut driver = world.driver(&by_key(key, passphrase)).await;
        let offset = i64::try_from(index).unwrap();
        driver.write(numbered(0, offset..offset + 1)).await.unwrap();
    }
    assert_eq!(world.places("SALES"), each_once(1, 8));
}

#[tokio::test]
async fn a_password_logs_in() {
    let world = World::new().await;
    let mut driver = world.driver(&[]).await;
    driver.write(numbered(0, 0..3)).await.unwrap();
    assert_eq!(world.places("SALES"), each_once(1, 3));
}

#[tokio::test]
async fn a_key_pair_wins_over_a_password_unless_the_authenticator_says_otherwise() {
    let world = world().await;
    let key = stranger().plain();
    let both = [("snowflake.private.key", key.as_str())];
    let connector = connector_from_map(&world.config(&both)).unwrap();
    assert!(connector.start().await.is_err());
    let by_password = [both[0], ("snowflake.authenticator", "snowflake")];
    let connector = connector_from_map(&world.config(&by_password)).unwrap();
    connector.start().await.unwrap();
}

#[tokio::test]
async fn keys_that_are_none_are_refused_by_what_is_wrong_and_never_shown() {
    let world = world().await;
    let encrypted = registered().encrypted_aes();
    let wrong = [
        (encrypted.as_str(), "", "passphrase is needed"),
        (encrypted.as_str(), "wrong", "the passphrase is wrong"),
        ("bm90IGEga2V5", "", "not a private key in PKCS#8"),
        ("not!base64", "", "not base64"),
        ("", "", "snowflake.private.key is needed"),
    ];
    for (key, passphrase, reason) in wrong {
        let config = world.config(&by_key(key, passphrase));
        let error = connector_from_map(&config).map(drop).unwrap_err().trace();
        assert!(error.contains(reason), "{error}");
        assert!(error.contains("snowflake.private.key"), "{error}");
        assert!(key.is_empty() || !error.contains(key), "{error}");
    }
}
