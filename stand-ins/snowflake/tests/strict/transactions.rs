//! What a transaction keeps, loses and hides.

use crate::client::{Client, refused, server};

async fn client(server: &sluice_stand_in_snowflake::SnowflakeStandIn) -> Client {
    let client = Client::new(server).await;
    client
        .sql("CREATE TABLE IF NOT EXISTS t (n NUMBER(3,0) NOT NULL)")
        .await
        .unwrap();
    client
}

#[tokio::test]
async fn a_statement_that_fails_leaves_the_transaction_open_with_what_was_done_before() {
    let server = server().await;
    let client = client(&server).await;
    client.sql("BEGIN").await.unwrap();
    client.sql("INSERT INTO t VALUES (1)").await.unwrap();
    // Half of it fits: nothing of it stays.
    let failed = client.sql("INSERT INTO t VALUES (2), (99999)").await;
    assert_eq!(failed, refused("100039"));
    assert_eq!(client.sql("NONSENSE").await, refused("001003"));
    assert_eq!(server.open_transactions(), 1);
    client.sql("INSERT INTO t VALUES (3)").await.unwrap();
    client.sql("COMMIT").await.unwrap();
    assert_eq!(client.count("t").await, 2);
}

#[tokio::test]
async fn ddl_commits_what_is_open_even_if_it_fails_itself() {
    for ddl in ["CREATE TABLE other (n FLOAT)", "CREATE TABLE t (n FLOAT)"] {
        let server = server().await;
        let client = client(&server).await;
        client.sql("BEGIN").await.unwrap();
        client.sql("INSERT INTO t VALUES (1)").await.unwrap();
        client.sql(ddl).await.unwrap_or_default();
        assert_eq!(server.open_transactions(), 0);
        client.sql("ROLLBACK").await.unwrap();
        assert_eq!(client.count("t").await, 1);
    }
}

#[tokio::test]
async fn what_is_not_committed_is_seen_by_nobody_else_and_gone_after_a_rollback() {
    let server = server().await;
    let (one, two) = (client(&server).await, client(&server).await);
    one.sql("BEGIN TRANSACTION").await.unwrap();
    one.sql("INSERT INTO t VALUES (1)").await.unwrap();
    assert_eq!((one.count("t").await, two.count("t").await), (1, 0));
    one.sql("ROLLBACK").await.unwrap();
    assert_eq!((one.count("t").await, two.count("t").await), (0, 0));
}

#[tokio::test]
async fn a_second_begin_is_the_first_one_and_a_commit_without_one_is_nothing() {
    let server = server().await;
    let client = client(&server).await;
    client.sql("COMMIT").await.unwrap();
    client.sql("BEGIN").await.unwrap();
    let first = client.sql("SELECT CURRENT_TRANSACTION()").await;
    client.sql("BEGIN").await.unwrap();
    assert_eq!(client.sql("SELECT CURRENT_TRANSACTION()").await, first);
    client.sql("ROLLBACK").await.unwrap();
    let none = client.sql("SELECT CURRENT_TRANSACTION()").await.unwrap();
    assert!(none[0][0].is_null());
}

#[tokio::test]
async fn a_table_that_is_dropped_under_a_transaction_aborts_it() {
    let server = server().await;
    let (one, two) = (client(&server).await, client(&server).await);
    one.sql("BEGIN").await.unwrap();
    one.sql("INSERT INTO t VALUES (1)").await.unwrap();
    two.sql("DROP TABLE t").await.unwrap();
    two.sql("CREATE TABLE t (n NUMBER(3,0))").await.unwrap();
    assert_eq!(one.sql("COMMIT").await, refused("000640"));
    assert_eq!(two.count("t").await, 0);
}

#[tokio::test]
async fn without_autocommit_nothing_is_committed_but_by_commit_ddl_or_autocommit() {
    let server = server().await;
    let (one, two) = (client(&server).await, client(&server).await);
    let insert = "INSERT INTO t VALUES (1)";
    one.sql("ALTER SESSION SET LOCK_TIMEOUT = 1 AUTOCOMMIT = FALSE")
        .await
        .unwrap();
    one.sql(insert).await.unwrap();
    assert_eq!((one.count("t").await, two.count("t").await), (1, 0));
    one.sql("ROLLBACK").await.unwrap();
    assert_eq!(one.count("t").await, 0);
    one.sql(insert).await.unwrap();
    one.sql("COMMIT").await.unwrap();
    assert_eq!(two.count("t").await, 1);
    one.sql(insert).await.unwrap();
    one.sql("CREATE TABLE u (n FLOAT)").await.unwrap();
    assert_eq!(two.count("t").await, 2);
    one.sql(insert).await.unwrap();
    one.sql("ALTER SESSION SET AUTOCOMMIT = TRUE")
        .await
        .unwrap();
    assert_eq!(two.count("t").await, 3);
}
