//! When a file was made. The standard library does not tell on every target this is built for.

use std::fs::File;
use std::path::Path;

#[cfg(target_os = "linux")]
use rustix::fs::{AtFlags, CWD, Statx, StatxFlags, statx};

/// Of the file at `path`, in nanoseconds since 1970; `None` if the system or the file system does not know.
#[cfg(target_os = "linux")]
pub(crate) fn of_path(path: &Path) -> Option<u64> {
    nanos(&statx(CWD, path, AtFlags::empty(), StatxFlags::BTIME).ok()?)
}

/// As [`of_path`], of an open file.
#[cfg(target_os = "linux")]
pub(crate) fn of_file(file: &File) -> Option<u64> {
    nanos(&statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::BTIME).ok()?)
}

#[cfg(target_os = "linux")]
fn nanos(found: &Statx) -> Option<u64> {
    let is_known = found.stx_mask & StatxFlags::BTIME.bits() != 0;
    let seconds = u64::try_from(found.stx_btime.tv_sec)
        .ok()
        .filter(|_| is_known)?;
    seconds
        .checked_mul(1_000_000_000)?
        .checked_add(found.stx_btime.tv_nsec.into())
}

/// Of the file at `path`: not known here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn of_path(_: &Path) -> Option<u64> {
    None
}

/// Of an open file: not known here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn of_file(_: &File) -> Option<u64> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_its_birth_through_writes_and_renames() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        std::fs::write(&one, "x").unwrap();
        let born = of_path(&one);
        std::fs::write(&one, "xyz").unwrap();
        std::fs::rename(&one, &two).unwrap();
        assert_eq!(of_path(&two), born);
        assert_eq!(of_file(&File::open(&two).unwrap()), born);
        assert_eq!(of_path(&one), None);
    }
}
