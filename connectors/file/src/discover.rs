//! Which files there are: the file, the folder's files, or those a glob matches.

use std::fs::{File, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use connect_core::{Error, Result};
use glob::MatchOptions;

use crate::born;
use crate::bytes;
use crate::config::{FileOptions, FinishedAction};
use crate::position::fnv1a;

/// Which file it is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FileId {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

/// What a look at a file shows. Two that are equal mean: nothing was written in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) id: FileId,
    pub(crate) size: u64,
    pub(crate) modified: SystemTime,
    /// When it was made, in nanoseconds since 1970: an inode is used again. 0: the file system does not say.
    pub(crate) born: u64,
}

/// Nanoseconds since 1970; 0 for what lies before.
fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}

impl Stamp {
    /// When it was last written to, as [`nanos`].
    pub(crate) fn modified_nanos(&self) -> u64 {
        nanos(self.modified)
    }

    /// Looks at a file; `None` if there is none, or no file.
    pub(crate) fn of(path: &Path) -> Result<Option<Self>> {
        let found = there(std::fs::metadata(path)).map_err(|cause| failed(path, cause))?;
        let look = |metadata: Metadata| Self::read(&metadata, || born::of_path(path));
        Ok(found.and_then(look))
    }

    fn read(metadata: &Metadata, born: impl FnOnce() -> Option<u64>) -> Option<Self> {
        let id = FileId {
            device: metadata.dev(),
            inode: metadata.ino(),
        };
        metadata.is_file().then(|| Self {
            id,
            size: metadata.len(),
            modified: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
            born: born().unwrap_or(0),
        })
    }
}

/// An open file and what a look at it, not at its name, shows.
#[derive(Debug)]
pub(crate) struct Stamped {
    pub(crate) file: File,
    pub(crate) stamp: Stamp,
}

impl Stamped {
    /// Opens the file at `path`; `None` if there is none, or no file.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>> {
        // A name that has become a pipe's would block.
        if Stamp::of(path)?.is_none() {
            return Ok(None);
        }
        let unreadable = |cause| bytes::failed(path, cause);
        let Some(file) = there(File::open(path)).map_err(unreadable)? else {
            return Ok(None);
        };
        let metadata = file.metadata().map_err(unreadable)?;
        let stamp = Stamp::read(&metadata, || born::of_file(&file));
        Ok(stamp.map(|stamp| Self { file, stamp }))
    }
}

fn there<T>(found: std::io::Result<T>) -> std::io::Result<Option<T>> {
    match found {
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

/// The part of the files that one task reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    pub(crate) task: u32,
    pub(crate) tasks: u32,
}

impl Share {
    fn has(self, path: &Path) -> bool {
        let hash = fnv1a(path.as_os_str().as_encoded_bytes());
        hash % u64::from(self.tasks.max(1)) == u64::from(self.task)
    }
}

/// True if `file` names one file and can name no other.
pub(crate) fn is_single(file: &str) -> bool {
    !is_glob(file) && !Path::new(file).is_dir()
}

fn is_glob(file: &str) -> bool {
    file.contains(['*', '?', '['])
}

/// The files of `share`, by name. Finished files that were moved are left out.
pub(crate) fn list(options: &FileOptions, share: Share) -> Result<Vec<(PathBuf, Stamp)>> {
    let file = options.file.as_str();
    let moves = options.finished_action == FinishedAction::Move;
    let done = options.finished_directory.as_ref().filter(|_| moves);
    let mut paths = if is_glob(file) {
        matching(file)?
    } else if Path::new(file).is_dir() {
        in_folder(Path::new(file))?
    } else {
        vec![PathBuf::from(file)]
    };
    paths.retain(|path| share.has(path) && !done.is_some_and(|done| path.starts_with(done)));
    paths.sort();
    let mut found = Vec::with_capacity(paths.len());
    for path in paths {
        if let Some(stamp) = Stamp::of(&path)? {
            found.push((path, stamp));
        }
    }
    Ok(found)
}

fn matching(pattern: &str) -> Result<Vec<PathBuf>> {
    let options = MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let paths = glob::glob_with(pattern, options)
        .map_err(|cause| Error::config("not a glob").source(cause).operation("file"))?;
    paths
        .map(|path| {
            path.map_err(|cause| {
                let at = cause.path().to_owned();
                failed(&at, cause.into())
            })
        })
        .collect()
}

fn in_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|cause| failed(folder, cause))? {
        let entry = entry.map_err(|cause| failed(folder, cause))?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}

fn failed(path: &Path, cause: std::io::Error) -> Error {
    Error::external("cannot be listed")
        .operation("look for files in")
        .target(path.display().to_string())
        .source(cause)
}

#[cfg(test)]
mod tests {
    use connect_core::config::{ConfigMap, ConnectorConfig};

    use super::*;

    fn options(file: &str) -> FileOptions {
        let done = format!(
            "{}/done",
            file.split_once("/*").map_or(file, |(folder, _)| folder)
        );
        let pairs = [
            ("file", file),
            ("format", "csv"),
            ("finished.action", "move"),
            ("finished.directory", &done),
        ];
        let config: ConfigMap = pairs
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        FileOptions::from_map(&config).unwrap()
    }

    fn names(file: &str, share: Share) -> Vec<String> {
        let found = list(&options(file), share).unwrap();
        let names = found
            .iter()
            .map(|(path, _)| path.file_name().unwrap().to_string_lossy().into_owned());
        names.collect()
    }

    #[test]
    fn files_folders_and_globs_are_found_by_name_and_hidden_ones_left_out() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "b.csv",
            "a.csv",
            "c.txt",
            ".half.csv",
            "sub/d.csv",
            "done/e.csv",
        ] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        let all = Share { task: 0, tasks: 1 };
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        assert_eq!(names(&at(""), all), ["a.csv", "b.csv", "c.txt"]);
        assert_eq!(names(&at("*.csv"), all), ["a.csv", "b.csv"]);
        assert_eq!(names(&at("**/*.csv"), all), ["a.csv", "b.csv", "d.csv"]);
        assert_eq!(names(&at("a.csv"), all), ["a.csv"]);
        assert_eq!(names(&at("not-yet.csv"), all), [""; 0]);
        let mut shared: Vec<_> = (0..3)
            .flat_map(|task| names(&at("*"), Share { task, tasks: 3 }))
            .collect();
        shared.sort();
        assert_eq!(shared, ["a.csv", "b.csv", "c.txt"]);
    }
}
