//! The folder of a run.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::DemoArgs;
use crate::cli::output::print_text;

/// A new folder: `<dir>/<pipeline>-<number>`. What the worker keeps in it goes in the end: the next run begins anew, and
/// configs may hold a password.
pub(super) struct RunFolder(PathBuf);

impl RunFolder {
    pub(super) fn make(args: &DemoArgs) -> Result<Self> {
        let unusable = || {
            let dir = args.dir.display();
            format!("{dir} cannot be used: choose another folder with --dir")
        };
        std::fs::create_dir_all(&args.dir).with_context(unusable)?;
        for number in 1..=u32::MAX {
            let folder = args.dir.join(format!("{}-{number}", args.name));
            match std::fs::create_dir(&folder) {
                Ok(()) => return Ok(Self(folder)),
                Err(cause) if cause.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(cause) => return Err(cause).with_context(unusable),
            }
        }
        bail!("{} is full", args.dir.display())
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Where the worker keeps its files.
    pub(super) fn worker(&self) -> PathBuf {
        self.0.join("worker")
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        let worker = self.worker();
        if worker.exists()
            && let Err(error) = std::fs::remove_dir_all(&worker)
        {
            print_text(&format!("{} stays: {error}\n", worker.display()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_has_a_folder_of_its_own_and_keeps_all_but_the_worker_s_files() {
        let dir = tempfile::tempdir().unwrap();
        let mut args = DemoArgs::of("dealer");
        args.dir = dir.path().to_owned();
        let (first, second) = (
            RunFolder::make(&args).unwrap(),
            RunFolder::make(&args).unwrap(),
        );
        assert_eq!(second.path(), dir.path().join("dealer-2"));
        std::fs::create_dir(first.worker()).unwrap();
        std::fs::write(first.path().join("kept"), "").unwrap();
        drop(first);
        assert!(dir.path().join("dealer-1/kept").exists());
        assert!(!dir.path().join("dealer-1/worker").exists());
    }
}
