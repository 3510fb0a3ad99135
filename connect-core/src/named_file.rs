//! Files that a configuration names: secrets, certificates, keys, schemas.
//!
//! Whoever may deploy a connector may name any file. A pipe that nobody writes to would hold up a thread of the worker for ever,
//! a device without an end would take its memory: only regular files are read, and not more than is sensible.

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result};
use std::path::Path;

/// The largest file that is read.
const MOST_BYTES: u64 = 16 << 20;

/// The content of a file.
///
/// # Errors
/// What is no regular file, too large, or cannot be read.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<u8>> {
    let path = path.as_ref();
    // Before it is opened: that alone may wait for somebody who writes.
    let metadata = std::fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if !metadata.is_file() {
        return Err(Error::other("it is no regular file"));
    }
    let mut content = Vec::new();
    // The length that it says may be none, as below /proc.
    File::open(path)?
        .take(MOST_BYTES + 1)
        .read_to_end(&mut content)?;
    if content.len() as u64 > MOST_BYTES {
        return Err(Error::other(format!(
            "it is larger than {MOST_BYTES} bytes"
        )));
    }
    Ok(content)
}

/// The content of a file of text.
///
/// # Errors
/// As [`read`], and text that is not UTF-8.
pub fn read_text(path: impl AsRef<Path>) -> Result<String> {
    String::from_utf8(read(path)?)
        .map_err(|_| Error::new(ErrorKind::InvalidData, "it is not UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_end_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, b"k=v\n").unwrap();
        assert_eq!(read_text(&file).unwrap(), "k=v\n");
        std::fs::write(&file, b"\xff").unwrap();
        assert_eq!(read(&file).unwrap(), b"\xff");
        assert_eq!(read_text(&file).unwrap_err().kind(), ErrorKind::InvalidData);
        File::create(&file)
            .unwrap()
            .set_len(MOST_BYTES + 1)
            .unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let others = [
            Path::new("/dev/zero"),
            folder.path(),
            &folder.path().join("none"),
        ];
        for refused in [&*file, &pipe].into_iter().chain(others) {
            assert!(read(refused).is_err(), "{}", refused.display());
        }
    }
}
