//! What became of known files between two looks: a pure function of the names and files before and after.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::discover::FileId;

/// Which file stands under which name.
pub(crate) type Names = BTreeMap<PathBuf, FileId>;

/// What changed. A known file is in one of `renamed` and `gone`, or in neither.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// From a known name to another; the other may have been known too, its file then is in here as well.
    pub(crate) renamed: Vec<(PathBuf, PathBuf)>,
    /// Known names whose file has no name any more.
    pub(crate) gone: Vec<PathBuf>,
    /// Known names that now are another file's, one not known before.
    pub(crate) replaced: Vec<PathBuf>,
}

/// Compares two looks.
pub(crate) fn compare(known: &Names, found: &Names) -> Changes {
    let moved = |path: &PathBuf, id: &FileId| found.get(path) != Some(id);
    let lost: Vec<_> = known.iter().filter(|(path, id)| moved(path, id)).collect();
    let stays = |path: &PathBuf| {
        known
            .get(path)
            .is_some_and(|id| found.get(path) == Some(id))
    };
    let mut free: BTreeMap<&FileId, &PathBuf> = BTreeMap::new();
    for (path, id) in found.iter().filter(|(path, _)| !stays(path)) {
        free.entry(id).or_insert(path);
    }
    let mut changes = Changes::default();
    for (path, id) in &lost {
        match free.remove(id) {
            Some(new) => changes.renamed.push(((*path).clone(), new.clone())),
            None => changes.gone.push((*path).clone()),
        }
    }
    let taken = |path: &PathBuf| changes.renamed.iter().any(|(_, new)| new == path);
    let replaced = lost.iter().map(|(path, _)| *path);
    let replaced = replaced.filter(|path| found.contains_key(*path) && !taken(path));
    changes.replaced = replaced.cloned().collect();
    changes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(pairs: &[(&str, u64)]) -> Names {
        let id = |inode| FileId { device: 1, inode };
        pairs
            .iter()
            .map(|(path, inode)| (PathBuf::from(path), id(*inode)))
            .collect()
    }

    fn paths(list: &[&str]) -> Vec<PathBuf> {
        list.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn a_rotation_moves_every_file_one_name_on() {
        let known = names(&[("log", 1), ("log.1", 2), ("log.2", 3)]);
        let found = names(&[("log", 4), ("log.1", 1), ("log.2", 2)]);
        let changes = compare(&known, &found);
        assert_eq!(
            changes.renamed,
            [
                ("log".into(), "log.1".into()),
                ("log.1".into(), "log.2".into())
            ]
        );
        assert_eq!(changes.gone, paths(&["log.2"]));
        assert_eq!(changes.replaced, paths(&["log"]));
    }

    #[test]
    fn a_file_written_anew_under_its_name_replaces_the_old_one() {
        let changes = compare(
            &names(&[("a", 1), ("b", 2)]),
            &names(&[("a", 3), ("b", 2), ("c", 4)]),
        );
        assert_eq!(
            changes,
            Changes {
                renamed: vec![],
                gone: paths(&["a"]),
                replaced: paths(&["a"])
            }
        );
    }

    #[test]
    fn a_second_name_of_a_known_file_changes_nothing() {
        assert_eq!(
            compare(&names(&[("a", 1)]), &names(&[("a", 1), ("link", 1)])),
            Changes::default()
        );
    }

    proptest! {
        #[test]
        fn every_known_file_stays_moves_or_goes_and_every_name_has_one_file(known in proptest::collection::btree_map("[a-d]", 0_u64..5, 0..4), found in proptest::collection::btree_map("[a-d]", 0_u64..5, 0..4)) {
            let list = |map: &std::collections::BTreeMap<String, u64>| names(&map.iter().map(|(name, id)| (name.as_str(), *id)).collect::<Vec<_>>());
            let (known, found) = (list(&known), list(&found));
            let changes = compare(&known, &found);
            for (path, id) in &known {
                let renamed = changes.renamed.iter().filter(|(from, _)| from == path).count();
                let gone = changes.gone.iter().filter(|gone| *gone == path).count();
                let stays = usize::from(found.get(path) == Some(id));
                prop_assert_eq!(renamed + gone + stays, 1);
            }
            for (from, to) in &changes.renamed {
                prop_assert_eq!(found.get(to), known.get(from));
                prop_assert_eq!(changes.renamed.iter().filter(|(_, other)| other == to).count(), 1);
            }
            for path in &changes.replaced {
                prop_assert!(found.contains_key(path) && found.get(path) != known.get(path));
                prop_assert!(!changes.renamed.iter().any(|(_, to)| to == path));
            }
        }
    }
}
