//! What becomes of a finished file.

use std::io::{Error as IoError, ErrorKind, Result as IoResult};
use std::path::{Path, PathBuf};

use connect_core::{Error, Result};

use crate::config::{FileOptions, FinishedAction};
use crate::discover::Stamp;

/// Makes the folder for finished files, so that a wrong one is noticed at once.
pub(crate) fn prepare(options: &FileOptions) -> Result<()> {
    let moves = options.finished_action == FinishedAction::Move;
    let Some(directory) = options.finished_directory.as_ref().filter(|_| moves) else {
        return Ok(());
    };
    std::fs::create_dir_all(directory).map_err(|cause| {
        Error::config("the folder cannot be made")
            .operation("finished.directory")
            .target(directory)
            .source(cause)
    })
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finished {
    /// It is done, or somebody else has taken the file away.
    Done,
    /// Nothing: the name is another file's by now, or the file has changed.
    Other,
}

/// Does `finished.action` with the file at `path`, if it is still as it was `seen`.
pub(crate) fn finish(path: &Path, seen: Option<Stamp>, options: &FileOptions) -> Result<Finished> {
    match Stamp::of(path)? {
        None => return Ok(Finished::Done),
        now if now != seen => return Ok(Finished::Other),
        Some(_) => {}
    }
    let done = match options.finished_action {
        FinishedAction::Leave => Ok(()),
        FinishedAction::Delete => std::fs::remove_file(path),
        FinishedAction::Move => match &options.finished_directory {
            Some(directory) => move_into(path, Path::new(directory)),
            None => Ok(()),
        },
    };
    let done = match done {
        // Somebody else has taken it away: that is what was wanted.
        Err(cause) if cause.kind() == ErrorKind::NotFound && !path.exists() => Ok(()),
        done => done,
    };
    done.map(|()| Finished::Done).map_err(|cause| {
        Error::external("the finished file stays where it is")
            .operation("move or delete")
            .target(path.display().to_string())
            .source(cause)
    })
}

/// Never over another file: a name that is taken gets a number.
fn move_into(path: &Path, directory: &Path) -> IoResult<()> {
    std::fs::create_dir_all(directory)?;
    let target = free_name(path, directory)?;
    match std::fs::rename(path, &target) {
        Err(cause) if cause.kind() == ErrorKind::CrossesDevices => copy(path, &target),
        done => done,
    }
}

fn free_name(path: &Path, directory: &Path) -> IoResult<PathBuf> {
    let name = path
        .file_name()
        .ok_or_else(|| IoError::other("a path without a name"))?;
    let mut target = directory.join(name);
    let mut number = 0;
    while target.try_exists()? {
        number += 1;
        let mut numbered = name.to_owned();
        numbered.push(format!(".{number}"));
        target = directory.join(numbered);
    }
    Ok(target)
}

/// To another file system: whole under its name, or not at all.
fn copy(path: &Path, target: &Path) -> IoResult<()> {
    let mut partial = target.as_os_str().to_owned();
    partial.push(".partial");
    std::fs::copy(path, &partial)?;
    std::fs::File::open(&partial)?.sync_all()?;
    std::fs::rename(&partial, target)?;
    std::fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use connect_core::config::{ConfigMap, ConnectorConfig};

    use super::*;

    #[test]
    fn a_moved_file_never_replaces_another() {
        let folder = tempfile::tempdir().unwrap();
        let done = folder.path().join("done");
        for content in ["first", "second", "third"] {
            let path = folder.path().join("a.csv");
            std::fs::write(&path, content).unwrap();
            move_into(&path, &done).unwrap();
            assert!(!path.exists());
        }
        let content = |name: &str| std::fs::read_to_string(done.join(name)).unwrap();
        assert_eq!(
            [content("a.csv"), content("a.csv.1"), content("a.csv.2")],
            ["first", "second", "third"]
        );
    }

    #[test]
    fn another_file_that_has_taken_the_name_meanwhile_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let options = [
            ("file", path.to_str().unwrap()),
            ("format", "csv"),
            ("finished.action", "delete"),
        ];
        let options: ConfigMap = options
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        let options = FileOptions::from_map(&options).unwrap();
        std::fs::write(&path, "id\n1\n").unwrap();
        let seen = Stamp::of(&path).unwrap();
        std::fs::write(folder.path().join("new"), "id\n2\n").unwrap();
        std::fs::rename(folder.path().join("new"), &path).unwrap();
        assert_eq!(finish(&path, seen, &options).unwrap(), Finished::Other);
        assert!(path.exists());
        let seen = Stamp::of(&path).unwrap();
        assert_eq!(finish(&path, seen, &options).unwrap(), Finished::Done);
        assert!(!path.exists());
        assert_eq!(finish(&path, seen, &options).unwrap(), Finished::Done);
    }

    #[test]
    fn a_copy_to_another_file_system_leaves_nothing_half() {
        let folder = tempfile::tempdir().unwrap();
        let (path, target) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::write(&path, "rows").unwrap();
        copy(&path, &target).unwrap();
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "rows");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
