//! The container image: how big it is, and what it holds.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The image's name in buildah's storage.
pub(crate) const TAG: &str = "localhost/sluice:test";
/// Bytes an image may have, unpacked.
const MOST_BYTES: u64 = 40_000_000;
/// The user of the image.
const USER: &str = "65532/65532";

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// What the command has written to standard output; an error with everything it has said if it failed.
pub(crate) fn succeed(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .output()
        .with_context(|| format!("starting {name}: scripts/setup.sh installs what tests need"))?;
    let out = String::from_utf8_lossy(&stdout).into_owned();
    let arguments: Vec<_> = command.get_args().collect();
    ensure!(
        status.success(),
        "{name} {arguments:?}: {out}{}",
        String::from_utf8_lossy(&stderr)
    );
    Ok(out)
}

/// The image as an archive. Built once for all tests of this process.
pub(crate) fn archive() -> Result<&'static Path> {
    static ARCHIVE: OnceLock<PathBuf> = OnceLock::new();
    static BUILDING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(archive) = ARCHIVE.get() {
        return Ok(archive);
    }
    let archive = Path::new(env!("CARGO_TARGET_TMPDIR")).join("image.tar");
    let mut command = Command::new(root().join("scripts/image.sh"));
    command.args(["--tag", TAG, "--archive"]).arg(&archive);
    // What cargo says of this package to its tests would make it build what it has built without them once more.
    for (name, _) in std::env::vars() {
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    succeed(&mut command)?;
    Ok(ARCHIVE.get_or_init(|| archive))
}

/// A file or folder of the image, as tar lists it.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    path: String,
    mode: String,
    owner: String,
}

/// An image unpacked into its layers.
struct Unpacked {
    folder: TempDir,
    manifest: Value,
}

impl Unpacked {
    fn of(archive: &Path) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut tar = Command::new("tar");
        succeed(tar.arg("-xf").arg(archive).arg("-C").arg(folder.path()))?;
        let manifest = std::fs::read_to_string(folder.path().join("manifest.json"))?;
        let manifest: Value = serde_json::from_str(&manifest)?;
        Ok(Self {
            folder,
            manifest: manifest[0].clone(),
        })
    }

    fn config(&self) -> Result<Value> {
        let name = self.manifest["Config"].as_str().context("no config")?;
        let text = std::fs::read_to_string(self.folder.path().join(name))?;
        let config: Value = serde_json::from_str(&text)?;
        Ok(config["config"].clone())
    }

    fn layers(&self) -> Result<Vec<PathBuf>> {
        let names = self.manifest["Layers"].as_array().context("no layers")?;
        let paths = names
            .iter()
            .filter_map(Value::as_str)
            .map(|name| self.folder.path().join(name));
        Ok(paths.collect())
    }

    fn entries(&self) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for layer in self.layers()? {
            let mut tar = Command::new("tar");
            let listed = succeed(tar.args(["--numeric-owner", "-tvf"]).arg(&layer))?;
            for line in listed.lines() {
                let mut columns = line.split_whitespace();
                let (Some(mode), Some(owner), Some(path)) =
                    (columns.next(), columns.next(), columns.next_back())
                else {
                    bail!("a line of tar that is none: {line}");
                };
                entries.push(Entry {
                    path: path.trim_matches(['.', '/']).to_owned(),
                    mode: mode.to_owned(),
                    owner: owner.to_owned(),
                });
            }
        }
        Ok(entries)
    }

    fn certificates(&self) -> Result<usize> {
        let mut found = 0;
        for layer in self.layers()? {
            let mut tar = Command::new("tar");
            tar.arg("-xOf").arg(&layer);
            tar.args(["--wildcards", "*ca-certificates.crt"]);
            let text = tar.output()?.stdout;
            found += String::from_utf8_lossy(&text)
                .matches("BEGIN CERTIFICATE")
                .count();
        }
        Ok(found)
    }
}

#[test]
fn the_image_is_small_and_holds_the_worker_and_nothing_it_could_change() -> Result<()> {
    let archive = archive()?;
    let bytes = std::fs::metadata(archive)?.len();
    ensure!(bytes < MOST_BYTES, "the image has {bytes} bytes");

    let image = Unpacked::of(archive)?;
    let entries = image.entries()?;
    let (folders, files): (Vec<_>, Vec<_>) = entries
        .iter()
        .partition(|entry| entry.mode.starts_with('d'));
    let mut names: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["etc/ssl/certs/ca-certificates.crt", "sluice"]);
    for entry in &entries {
        let for_others = entry.mode.get(5..).context("a mode")?;
        ensure!(!for_others.contains('w'), "{entry:?}");
        let its_own = entry.owner == USER;
        assert_eq!(its_own, entry.path == "data", "{entry:?}");
    }
    ensure!(folders.iter().any(|folder| folder.path == "data"));
    let certificates = image.certificates()?;
    ensure!(certificates > 50, "{certificates} CA roots");

    let config = image.config()?;
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["Entrypoint"], json!(["/sluice"]));
    assert_eq!(config["Cmd"], json!(["worker"]));
    assert_eq!(config["StopSignal"], "SIGTERM");
    assert_eq!(
        config["Healthcheck"]["Test"],
        json!(["CMD", "/sluice", "health"])
    );
    assert_eq!(config["ExposedPorts"], json!({"8083/tcp": {}}));
    assert_eq!(config["Volumes"], json!({"/data": {}}));
    Ok(())
}
