//! A network, a table of hosts and processes of a test's own: a page's ports and names are free there, whatever else
//! runs on the machine, and nothing outlives the test.

use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Set in the process inside.
const INSIDE: &str = "SLUICE_GUIDE_INSIDE";
/// Hosts that pages name.
const HOSTS: &str = "127.0.0.1 localhost postgres xy12345.eu-west-1.snowflakecomputing.com\n";
/// `bash -c SET_UP name HOSTS PROGRAM ARGUMENT…`
const SET_UP: &str = r#"set -e; ip link set lo up; mount --bind "$1" /etc/hosts; shift; exec "$@""#;
/// Root keeps its rights; others are in a user namespace, under their own name: Postgres does not run as root.
const AS_USER: [&str; 3] = ["--user", "--map-current-user", "--keep-caps"];
const OWN: [&str; 6] = [
    "--net",
    "--mount",
    "--pid",
    "--mount-proc",
    "--fork",
    "--kill-child",
];

/// Runs `body` in a process of its own: this test program again, with the one test `name`, which calls this again.
/// `before` runs outside, where downloads are possible.
pub(super) fn inside(
    name: &str,
    before: impl FnOnce() -> Result<()>,
    body: impl FnOnce() -> Result<()>,
) -> Result<()> {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    before()?;
    let hosts = tempfile::NamedTempFile::new()?;
    std::fs::write(hosts.path(), HOSTS)?;
    let mut command = Command::new("unshare");
    if !is_root()? {
        command.args(AS_USER);
    }
    command.args(OWN).args(["bash", "-c", SET_UP, "set-up"]);
    command.arg(hosts.path()).arg(std::env::current_exe()?);
    command
        .args([name, "--exact", "--nocapture"])
        .env(INSIDE, "1");
    let output = command.output().context("starting unshare (util-linux)")?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    println!("{said}");
    ensure!(
        output.status.success() && said.contains("1 passed"),
        "inside: {said}"
    );
    Ok(())
}

fn is_root() -> Result<bool> {
    use std::os::unix::fs::MetadataExt;
    Ok(std::fs::metadata("/proc/self")?.uid() == 0)
}
