//! The folder where downloads are kept between runs and clones.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fs4::fs_std::FileExt;

/// The cache folder; made if it is not there.
pub fn cache_folder() -> Result<PathBuf> {
    let from_env = |key: &str| {
        env::var_os(key)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let folder = from_env("SLUICE_CACHE")
        .or_else(|| from_env("XDG_CACHE_HOME").map(|folder| folder.join("sluice")))
        .or_else(|| from_env("HOME").map(|folder| folder.join(".cache/sluice")))
        .context("neither SLUICE_CACHE nor HOME is set")?;
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    Ok(folder)
}

/// The folder `name` of the cache, filled once by `fill` (which gets a folder to fill): other processes wait for it.
pub(crate) fn filled_once(name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let cache = cache_folder()?;
    let folder = cache.join(name);
    let lock = File::create(cache.join(format!("{name}.lock")))?;
    lock.lock_exclusive()?;
    if !folder.is_dir() {
        let unfinished = tempfile::tempdir_in(&cache)?;
        fill(unfinished.path())?;
        fs::rename(unfinished.keep(), &folder)?;
    }
    Ok(folder)
}
