//! COPY: only files that are there, each once, all or nothing.

use serde_json::json;

use crate::client::{Client, STAGE, refused, server};

fn copy(files: &str, rest: &str) -> String {
    format!(
        "COPY INTO t (n) FROM (SELECT $1:n FROM @s/) FILES = ({files}) \
         FILE_FORMAT = (TYPE = 'JSON' COMPRESSION = 'GZIP') ON_ERROR = ABORT_STATEMENT {rest}"
    )
}

async fn prepared(server: &sluice_stand_in_snowflake::SnowflakeStandIn) -> Client {
    let client = Client::new(server).await;
    client.sql("CREATE TABLE t (n NUMBER(3,0))").await.unwrap();
    client.sql(STAGE).await.unwrap();
    client.stage("1.json.gz", "{\"n\":1}\n{\"n\":2}\n").await;
    client
}

#[tokio::test]
async fn a_file_is_loaded_once() {
    let server = server().await;
    let client = prepared(&server).await;
    let loaded = client.sql(&copy("'1.json.gz'", "")).await.unwrap();
    let expected = [json!("1.json.gz"), json!("LOADED"), json!("2"), json!("2")];
    assert_eq!(loaded[0][..4], expected);
    let again = client.sql(&copy("'1.json.gz'", "")).await.unwrap();
    assert_eq!(again, [[json!("Copy executed with 0 files processed.")]]);
    assert_eq!(client.count("t").await, 2);
    client
        .sql(&copy("'1.json.gz'", "FORCE = TRUE"))
        .await
        .unwrap();
    assert_eq!(client.count("t").await, 4);
    // Another content under the same name is another file.
    client.stage("1.json.gz", "{\"n\":3}").await;
    client.sql(&copy("'1.json.gz'", "")).await.unwrap();
    assert_eq!(client.count("t").await, 5);
}

#[tokio::test]
async fn a_load_that_is_rolled_back_has_not_happened() {
    let server = server().await;
    let client = prepared(&server).await;
    client.sql("BEGIN").await.unwrap();
    client.sql(&copy("'1.json.gz'", "")).await.unwrap();
    let again = client.sql(&copy("'1.json.gz'", "")).await.unwrap();
    assert_eq!(again[0].len(), 1);
    client.sql("ROLLBACK").await.unwrap();
    let loaded = client.sql(&copy("'1.json.gz'", "")).await.unwrap();
    assert_eq!(loaded[0][1], "LOADED");
}

#[tokio::test]
async fn a_file_that_is_not_there_fails_the_whole_statement() {
    let server = server().await;
    let client = prepared(&server).await;
    // Leave to upload is no upload.
    client.leave("s").await;
    for files in ["'2.json.gz'", "'1.json.gz', '2.json.gz'"] {
        for rest in ["", "FORCE = TRUE"] {
            assert_eq!(client.sql(&copy(files, rest)).await, refused("091016"));
        }
    }
    assert_eq!(client.count("t").await, 0);
}

#[tokio::test]
async fn one_row_that_does_not_fit_fails_the_whole_statement() {
    let server = server().await;
    let client = prepared(&server).await;
    for (content, code) in [
        ("{\"n\":1}\n{\"n\":99999}", "100071"),
        ("{\"n\":1}\n{\"n\":", "100069"),
        ("{\"n\":\"text\"}", "100071"),
    ] {
        client.stage("2.json.gz", content).await;
        let outcome = client.sql(&copy("'1.json.gz', '2.json.gz'", "")).await;
        assert_eq!(outcome, refused(code), "{content}");
    }
    assert_eq!(client.count("t").await, 0);
}

#[tokio::test]
async fn options_and_forms_that_are_not_offered_are_refused_and_never_ignored() {
    let server = server().await;
    let client = prepared(&server).await;
    let many: Vec<_> = (0..1001)
        .map(|number| format!("'{number}.json.gz'"))
        .collect();
    let whole = copy("'1.json.gz'", "");
    let cases = [
        (whole.replace("ABORT_STATEMENT", "CONTINUE"), "001008"),
        (whole.replace("'GZIP'", "'ZSTD'"), "001008"),
        (whole.replace("'JSON'", "'CSV'"), "001008"),
        (copy("'1.json.gz'", "PURGE = TRUE"), "001008"),
        (
            copy("'1.json.gz'", "VALIDATION_MODE = RETURN_ERRORS"),
            "001003",
        ),
        (whole.replace("FROM @s/)", "FROM @s/ LIMIT 1)"), "002075"),
        (whole.replace("INTO t", "INTO nowhere"), "002003"),
        (whole.replace("@s/", "@nowhere/"), "002003"),
        (whole.replace("t (n)", "t (m)"), "000904"),
        (whole.replace("t (n)", "t (n, n)"), "002020"),
        (copy(&many.join(", "), ""), "001012"),
    ];
    for (sql, code) in cases {
        assert_eq!(
            client.sql(&sql).await,
            refused(code),
            "{}",
            &sql[..200.min(sql.len())]
        );
    }
    assert_eq!(client.count("t").await, 0);
}

#[tokio::test]
async fn a_variant_keeps_a_json_null_and_is_null_where_a_field_is_missing() {
    let server = server().await;
    let client = prepared(&server).await;
    client
        .sql("CREATE TABLE v (a VARIANT, b VARIANT)")
        .await
        .unwrap();
    client.stage("v.json.gz", "{\"a\":null}").await;
    let copy = "COPY INTO v (a, b) FROM (SELECT $1:a, $1:b FROM @s/) FILES = ('v.json.gz') \
                FILE_FORMAT = (TYPE = 'JSON')";
    client.sql(copy).await.unwrap();
    let row = client.sql("SELECT a, b, a IS NULL, b IS NULL FROM v").await;
    assert_eq!(
        row.unwrap(),
        [[json!("null"), json!(null), json!("0"), json!("1")]]
    );
}
