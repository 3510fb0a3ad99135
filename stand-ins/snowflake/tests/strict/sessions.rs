//! Tokens, and what goes with a session.

use std::time::Duration;

use serde_json::json;
use sluice_stand_in_snowflake::{Fault, Point, SnowflakeOptions, SnowflakeStandIn};

use crate::client::{Client, answered, refused, rows, server};

#[tokio::test]
async fn a_token_that_nobody_has_is_refused() {
    let server = server().await;
    let mut client = Client::new(&server).await;
    client.token = "session-made-up".to_owned();
    assert_eq!(client.sql("SELECT 1").await, refused("390111"));
    client.master = "master-made-up".to_owned();
    assert_eq!(client.renew().await, refused("390104"));
}

#[tokio::test]
async fn an_expired_token_is_renewed_and_the_transaction_is_still_there() {
    let server = server().await;
    let mut client = Client::new(&server).await;
    client.sql("CREATE TABLE t (n NUMBER(38,0))").await.unwrap();
    client.sql("BEGIN").await.unwrap();
    client.sql("INSERT INTO t VALUES (1)").await.unwrap();
    server.expire_sessions();
    assert_eq!(client.sql("COMMIT").await, refused("390112"));
    let stale = client.token.clone();
    client.renew().await.unwrap();
    client.sql("COMMIT").await.unwrap();
    assert_eq!(client.count("t").await, 1);
    // The old token is worth nothing any more.
    client.token = stale;
    assert_eq!(client.sql("SELECT 1").await, refused("390111"));
}

#[tokio::test]
async fn a_master_token_that_has_expired_renews_nothing() {
    let mut options = SnowflakeOptions::local(None);
    options.master_validity = Duration::ZERO;
    let server = SnowflakeStandIn::start(options).await.unwrap();
    let mut client = Client::new(&server).await;
    assert_eq!(client.renew().await, refused("390114"));
}

#[tokio::test]
async fn the_end_of_a_session_rolls_back_and_takes_its_temporary_stages() {
    let server = server().await;
    let (one, two) = (Client::new(&server).await, Client::new(&server).await);
    one.sql("CREATE TABLE t (n NUMBER(38,0))").await.unwrap();
    let stage = "CREATE TEMPORARY STAGE s ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE')";
    one.sql(stage).await.unwrap();
    one.sql("BEGIN").await.unwrap();
    one.sql("INSERT INTO t VALUES (1)").await.unwrap();
    one.close().await.unwrap();
    assert_eq!(two.count("t").await, 0);
    assert_eq!(two.sql("LIST @s").await, refused("002003"));
    assert_eq!(one.sql("SELECT 1").await, refused("390111"));
    assert_eq!(one.close().await, refused("390111"));
}

#[tokio::test]
async fn a_request_that_comes_again_is_answered_again_and_not_run_again() {
    let server = server().await;
    let client = Client::new(&server).await;
    client.sql("CREATE TABLE t (n NUMBER(38,0))").await.unwrap();
    let first = client.request("same", "INSERT INTO t VALUES (1)").await;
    let second = client.request("same", "INSERT INTO t VALUES (1)").await;
    assert_eq!(first["data"]["queryId"], second["data"]["queryId"]);
    assert_eq!(client.count("t").await, 1);
    // A request without an id is always a new one.
    client.request("", "INSERT INTO t VALUES (1)").await;
    client.request("", "INSERT INTO t VALUES (1)").await;
    assert_eq!(client.count("t").await, 3);
}

#[tokio::test]
async fn a_statement_in_progress_has_its_answer_later_and_only_for_who_is_logged_in() {
    let server = server().await;
    let mut client = Client::new(&server).await;
    let pause = Fault::InProgress(Duration::from_millis(50));
    server.faults().next(Point::Select, pause);
    let running = client.request("r", "SELECT 7 AS seven").await;
    assert_eq!(running["code"], "333333");
    let path = running["data"]["getResultUrl"].as_str().unwrap().to_owned();
    let answer = loop {
        let answer = client.get(&path).await;
        if answer["code"] != "333333" {
            break answer;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(rows(&answer), [[json!("7")]]);
    assert_eq!(
        answered(client.get("/queries/none/result").await),
        refused("000605")
    );
    client.token = "none".to_owned();
    assert_eq!(answered(client.get(&path).await), refused("390111"));
}
