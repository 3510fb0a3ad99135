//! Validation connects, and names what is wrong.

use std::time::Duration;

use connect_core::config::connector_from_map;
use connect_core::{Error, ErrorKind};
use sluice_stand_in_snowflake::{Fault, Point, SnowflakeOptions};

use crate::harness::{OFFSETS, PASSWORD, World};
use crate::keys::{registered, stranger};

async fn refusal(world: &World, options: &[(&str, &str)]) -> Error {
    let connector = connector_from_map(&world.config(options)).unwrap();
    connector.start().await.unwrap_err()
}

#[tokio::test]
async fn each_wrong_option_is_named() {
    let world = World::new().await;
    let cases = [
        ("snowflake.password", "not it", ErrorKind::Auth),
        ("snowflake.user.name", "nobody", ErrorKind::Auth),
        ("snowflake.role.name", "owner", ErrorKind::Auth),
        ("snowflake.database.name", "nowhere", ErrorKind::Config),
        ("snowflake.schema.name", "nowhere", ErrorKind::Config),
        ("snowflake.warehouse.name", "nowhere", ErrorKind::Config),
    ];
    for (option, value, kind) in cases {
        let error = refusal(&world, &[(option, value)]).await;
        assert_eq!(error.kind(), kind, "{option}: {}", error.trace());
        assert!(error.trace().contains(option), "{}", error.trace());
        assert!(!error.is_retriable(), "{option}");
        assert!(!error.trace().contains(PASSWORD) && !error.trace().contains("not it"));
    }
}

#[tokio::test]
async fn a_key_that_is_not_the_users_is_named_with_what_to_do() {
    let world = World::with(SnowflakeOptions::local(Some(registered().public.clone()))).await;
    let key = stranger().plain();
    let error = refusal(
        &world,
        &[("snowflake.password", ""), ("snowflake.private.key", &key)],
    )
    .await;
    assert_eq!(error.kind(), ErrorKind::Auth);
    for text in ["RSA_PUBLIC_KEY", "loader", "TESTACCOUNT", "390144"] {
        assert!(error.trace().contains(text), "{}", error.trace());
    }
}

#[tokio::test]
async fn a_role_that_may_not_create_is_told_what_it_needs() {
    let world = World::new().await;
    let error = refusal(&world, &[("snowflake.role.name", "READER")]).await;
    assert_eq!(error.kind(), ErrorKind::Auth);
    for text in ["READER", "CREATE STAGE", "CREATE TABLE", "SHOP", "PUBLIC"] {
        assert!(error.trace().contains(text), "{}", error.trace());
    }
}

#[tokio::test]
async fn a_user_without_a_warehouse_is_told_so() {
    let mut options = SnowflakeOptions::local(None);
    options.users[0].default_warehouse = None;
    let world = World::with(options).await;
    let error = refusal(&world, &[]).await;
    assert!(error.trace().contains("snowflake.warehouse.name"));
    let named = world.config(&[("snowflake.warehouse.name", "loading")]);
    connector_from_map(&named).unwrap().start().await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_busy_stops_nobody() {
    let world = World::new().await;
    world
        .server
        .faults()
        .times(Point::Login, Fault::Status(503), 20);
    let connector = connector_from_map(&world.config(&[])).unwrap();
    connector.start().await.unwrap();
    assert!(world.server.faults().injected() > 1);
}

#[tokio::test]
async fn validation_leaves_nothing_behind() {
    let world = World::new().await;
    let connector = connector_from_map(&world.config(&[])).unwrap();
    connector.start().await.unwrap();
    assert!(!world.server.tables().contains(&OFFSETS.to_owned()));
    let closed = tokio::time::timeout(Duration::from_secs(30), async {
        while world.server.sessions() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    closed.await.unwrap();
    assert!(world.server.stages().is_empty());
}

#[tokio::test]
async fn every_spelling_of_the_url_works_and_streaming_is_refused_by_name() {
    let world = World::new().await;
    let url = world.server.url();
    for spelling in [url.to_uppercase(), format!("{url}/")] {
        let config = world.config(&[("snowflake.url.name", &spelling)]);
        connector_from_map(&config).unwrap().start().await.unwrap();
    }
    let refused = |options: &[(&str, &str)]| {
        let error = connector_from_map(&world.config(options)).map(drop);
        error.unwrap_err().trace()
    };
    let streaming = [("snowflake.ingestion.method", "SNOWPIPE_STREAMING")];
    assert!(refused(&streaming).contains("SNOWPIPE_STREAMING is not supported"));
    let url = refused(&[("snowflake.url.name", "ftp://xy12345")]);
    assert!(url.contains("snowflake.url.name"), "{url}");
    let several = refused(&[
        ("snowflake.topic2table.map", "a:t1,a:t2"),
        ("buffer.count.records", "0"),
    ]);
    assert!(several.contains("Duplicate topic: a"), "{several}");
    assert!(several.contains("buffer.count.records"), "{several}");
}
