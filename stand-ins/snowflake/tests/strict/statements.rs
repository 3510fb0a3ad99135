//! What is no statement of Snowflake's, or not allowed, is refused with its code.

use sluice_stand_in_snowflake::{SnowflakeOptions, SnowflakeStandIn};

use crate::client::{Client, PASSWORD, STAGE, by_password, refused, server};

#[tokio::test]
async fn what_is_not_known_is_refused() {
    let server = server().await;
    let client = Client::new(&server).await;
    client
        .sql("CREATE TABLE t (n NUMBER(3,0), v VARIANT)")
        .await
        .unwrap();
    let cases = [
        ("", "000900"),
        ("SELEC 1", "001003"),
        ("SELECT 1 1", "001003"),
        ("SELECT 1; SELECT 2", "001003"),
        ("SELECT no_such_function(1)", "002140"),
        ("SELECT m FROM t", "000904"),
        ("SELECT n FROM nowhere", "002003"),
        ("SELECT n FROM other.public.t", "002003"),
        ("SELECT n FROM \"t\"", "002003"),
        ("CREATE TABLE t (n FLOAT)", "002002"),
        ("CREATE TABLE u (n FLOAT, n FLOAT)", "002025"),
        ("CREATE TABLE u (n GEOGRAPHY)", "002040"),
        ("DROP TABLE nowhere", "002003"),
        ("DROP STAGE nowhere", "002003"),
        ("ALTER TABLE nowhere ADD COLUMN a FLOAT", "002003"),
        ("ALTER TABLE t ADD COLUMN n FLOAT", "001430"),
        ("INSERT INTO t VALUES (1)", "002020"),
        ("INSERT INTO t (n) VALUES ('one')", "100038"),
        ("SELECT 'a'::NUMBER(3,0)", "100038"),
        ("SELECT PARSE_JSON('{')", "100069"),
        ("UPDATE t SET n = 1", "001003"),
    ];
    for (sql, code) in cases {
        assert_eq!(client.sql(sql).await, refused(code), "{sql}");
    }
}

#[tokio::test]
async fn columns_are_widened_and_never_narrowed() {
    let server = server().await;
    let client = Client::new(&server).await;
    let made = "CREATE TABLE t (s VARCHAR(10), n NUMBER(5,2), f FLOAT)";
    client.sql(made).await.unwrap();
    for right in [
        "s SET DATA TYPE VARCHAR(20)",
        "n SET DATA TYPE NUMBER(10,2)",
    ] {
        let sql = format!("ALTER TABLE t ALTER COLUMN {right}");
        client.sql(&sql).await.unwrap();
    }
    for wrong in [
        "s SET DATA TYPE VARCHAR(5)",
        "n SET DATA TYPE NUMBER(10,3)",
        "f SET DATA TYPE VARCHAR(10)",
    ] {
        let sql = format!("ALTER TABLE t ALTER COLUMN {wrong}");
        assert!(client.sql(&sql).await.is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn a_role_that_may_only_look_changes_nothing() {
    let server = server().await;
    let owner = Client::new(&server).await;
    owner.sql("CREATE TABLE t (n NUMBER(3,0))").await.unwrap();
    owner.sql(STAGE).await.unwrap();
    let reader = "databaseName=SHOP&schemaName=PUBLIC&roleName=READER";
    let login = by_password("LOADER", PASSWORD);
    let reader = Client::login(&server, reader, &login).await.unwrap();
    assert_eq!(reader.count("t").await, 0);
    for sql in [
        "CREATE TABLE u (n FLOAT)",
        "CREATE STAGE u ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE')",
        "ALTER TABLE t ADD COLUMN m FLOAT",
        "DROP TABLE t",
        "DROP STAGE s",
        "INSERT INTO t VALUES (1)",
        "DELETE FROM t",
        "MERGE INTO t USING (SELECT 1 AS n) AS s ON t.n = s.n WHEN NOT MATCHED THEN INSERT (n) VALUES (s.n)",
        "COPY INTO t FROM @s",
        "PUT file:///tmp/x @s",
        "REMOVE @s",
    ] {
        assert_eq!(reader.sql(sql).await, refused("003001"), "{sql}");
    }
    assert_eq!(server.tables(), ["T"]);
}

#[tokio::test]
async fn what_computes_needs_a_warehouse_that_runs() {
    let mut options = SnowflakeOptions::local(None);
    options.users[0].default_warehouse = None;
    let server = SnowflakeStandIn::start(options).await.unwrap();
    let client = Client::new(&server).await;
    client.sql("CREATE TABLE t (n NUMBER(3,0))").await.unwrap();
    client.sql("SELECT CURRENT_ROLE()").await.unwrap();
    let insert = "INSERT INTO t VALUES (1)";
    assert_eq!(client.sql(insert).await, refused("000606"));
    assert_eq!(client.sql("USE WAREHOUSE nowhere").await, refused("002003"));
    client.sql("USE WAREHOUSE loading").await.unwrap();
    client.sql(insert).await.unwrap();
    server.suspend_warehouse(true);
    assert_eq!(client.sql(insert).await, refused("000606"));
    assert_eq!(client.sql("SELECT n FROM t").await, refused("000606"));
}

#[tokio::test]
async fn a_merge_that_meets_a_row_twice_is_refused() {
    let server = server().await;
    let client = Client::new(&server).await;
    client.sql("CREATE TABLE t (n NUMBER(3,0))").await.unwrap();
    client.sql("INSERT INTO t VALUES (1)").await.unwrap();
    let twice = "MERGE INTO t USING (SELECT column1 AS n FROM VALUES (1), (1)) AS s ON t.n = s.n \
                 WHEN MATCHED THEN UPDATE SET n = 2";
    assert_eq!(client.sql(twice).await, refused("100090"));
}
