//! Snowflake's own Python driver works against the stand-in: so the stand-in speaks as Snowflake does.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::client::{Client, PASSWORD, STAGE, server};

const PACKAGE: &str = "snowflake-connector-python==4.8.1";

fn interpreter() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/python.sh");
    let made = Command::new(script).arg(PACKAGE).output().unwrap();
    let told = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{told}");
    PathBuf::from(String::from_utf8(made.stdout).unwrap().trim())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snowflakes_python_driver_works() {
    let server = server().await;
    let client = Client::new(&server).await;
    client.sql(STAGE).await.unwrap();
    let rows = "{\"n\":3,\"name\":\"3\"}\n{\"n\":4,\"name\":\"4\"}\n";
    client.stage("rows.json.gz", rows).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/strict/driver.py");
    let port = server.address().port().to_string();
    let ended = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(interpreter());
        command.arg(script).args([port.as_str(), PASSWORD]).output()
    });
    let output = ended.await.unwrap().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert_eq!(server.rows("T").len(), 4);
}
