//! Uploads: only with leave, only where leave was given, only what is said to come.

use crate::client::{Client, STAGE, digest, gzip, refused, server};

#[tokio::test]
async fn an_upload_needs_leave_that_holds() {
    let server = server().await;
    let client = Client::new(&server).await;
    client.sql(STAGE).await.unwrap();
    let leave = client.leave("s").await;
    let mut made_up = leave.clone();
    made_up.key_id = "ASIA0000".to_owned();
    let mut wrong_token = leave.clone();
    wrong_token.token = "0".to_owned();
    let mut elsewhere = leave.clone();
    elsewhere.location = leave.location.replace("/S/", "/OTHER/");
    let http = client.http();
    let cases = [
        (made_up, (403, "InvalidAccessKeyId")),
        (wrong_token, (403, "InvalidToken")),
        (elsewhere, (403, "AccessDenied")),
    ];
    for (leave, (status, code)) in cases {
        let answer = leave.put(http, "a.json.gz", b"{}").await;
        assert_eq!(answer, (status, code.to_owned()));
    }
    server.expire_uploads();
    let answer = leave.put(http, "a.json.gz", b"{}").await;
    assert_eq!(answer, (400, "ExpiredToken".to_owned()));
    assert!(server.staged("S").is_empty());
}

#[tokio::test]
async fn an_upload_must_be_what_its_digest_says() {
    let server = server().await;
    let client = Client::new(&server).await;
    client.sql(STAGE).await.unwrap();
    let leave = client.leave("s").await;
    for wrong in [digest(b"other"), String::new()] {
        let answer = leave.put_as(client.http(), "a.json.gz", b"{}", &wrong);
        assert_eq!(answer.await, (400, "InvalidDigest".to_owned()));
    }
    let right = digest(&gzip(b"{}"));
    let answer = leave.put_as(client.http(), "a.json.gz", b"{}", &right);
    assert_eq!(answer.await, (200, String::new()));
    assert_eq!(server.staged("S"), ["a.json.gz"]);
}

#[tokio::test]
async fn files_are_listed_and_removed_below_a_path() {
    let server = server().await;
    let client = Client::new(&server).await;
    client.sql(STAGE).await.unwrap();
    for name in ["a/1.json.gz", "a/2.json.gz", "b/1.json.gz"] {
        client.stage(name, "{}").await;
    }
    assert_eq!(client.sql("LIST @s/a/").await.unwrap().len(), 2);
    assert_eq!(client.sql("REMOVE @s/a/").await.unwrap().len(), 2);
    assert_eq!(server.staged("S"), ["b/1.json.gz"]);
    assert_eq!(client.sql("REMOVE @s/a/").await, Ok(Vec::new()));
    for sql in ["LIST @t", "REMOVE @t/a", "PUT file:///tmp/x @t"] {
        assert_eq!(client.sql(sql).await, refused("002003"), "{sql}");
    }
}

#[tokio::test]
async fn a_stage_that_wants_encryption_by_the_client_is_not_offered() {
    let server = server().await;
    let client = Client::new(&server).await;
    let full = "CREATE STAGE s ENCRYPTION = (TYPE = 'SNOWFLAKE_FULL')";
    assert_eq!(client.sql(full).await, refused("001008"));
    assert_eq!(client.sql("CREATE STAGE s").await, refused("001003"));
}
