//! Who changes rows holds the table; others wait, and give up.

use std::time::Duration;

use crate::client::{Client, refused, server};

const UPDATE: &str = "MERGE INTO t USING (SELECT 1 AS one) AS s ON t.n = s.one \
                      WHEN MATCHED THEN UPDATE SET n = 2";

async fn two(server: &sluice_stand_in_snowflake::SnowflakeStandIn) -> (Client, Client) {
    let (one, two) = (Client::new(server).await, Client::new(server).await);
    one.sql("CREATE TABLE t (n NUMBER(3,0))").await.unwrap();
    one.sql("INSERT INTO t VALUES (1)").await.unwrap();
    two.sql("ALTER SESSION SET LOCK_TIMEOUT = 1").await.unwrap();
    one.sql("BEGIN").await.unwrap();
    one.sql(UPDATE).await.unwrap();
    (one, two)
}

#[tokio::test]
async fn a_lock_that_is_not_given_back_is_waited_for_no_longer_than_asked() {
    let server = server().await;
    let (one, two) = two(&server).await;
    assert_eq!(two.sql(UPDATE).await, refused("000625"));
    // Whoever only adds rows waits for nobody.
    two.sql("INSERT INTO t VALUES (7)").await.unwrap();
    one.sql("COMMIT").await.unwrap();
    two.sql(UPDATE).await.unwrap();
}

#[tokio::test]
async fn who_has_waited_sees_what_the_other_has_committed() {
    let server = server().await;
    let (one, two) = two(&server).await;
    let waits = two.sql(UPDATE);
    let commits = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        one.sql("COMMIT").await.unwrap();
    };
    let (merged, ()) = tokio::join!(waits, commits);
    // The row is not 1 any more.
    assert_eq!(merged.unwrap()[0][0], "0");
}

#[tokio::test]
async fn a_transaction_that_holds_a_lock_can_be_seen_and_aborted_by_its_user() {
    let server = server().await;
    let (one, two) = two(&server).await;
    let locks = two.sql("SHOW LOCKS").await.unwrap();
    assert_eq!(locks.len(), 1);
    assert_eq!(locks[0][0], "SHOP.PUBLIC.T");
    let holder = locks[0][2].as_str().unwrap();
    let abort = format!("SELECT SYSTEM$ABORT_TRANSACTION('{holder}')");
    two.sql(&abort).await.unwrap();
    assert_eq!(two.sql(&abort).await, refused("000621"));
    two.sql(UPDATE).await.unwrap();
    // The other one's commit has nothing to commit.
    one.sql("COMMIT").await.unwrap();
    assert!(two.sql("SHOW LOCKS").await.unwrap().is_empty());
}

#[tokio::test]
async fn the_end_of_a_session_gives_its_locks_back() {
    let server = server().await;
    let (one, two) = two(&server).await;
    one.close().await.unwrap();
    assert_eq!(two.sql(UPDATE).await.unwrap()[0][0], "1");
}
