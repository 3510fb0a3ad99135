//! What is known of one file between two looks at it, and what to do with it: a pure function.

use std::fs::File;

use connect_core::data::Timestamp;

use crate::config::{FileOptions, FinishedAction};
use crate::discover::Stamp;
use crate::opened::{Ended, Until};
use crate::position::Position;

/// A file that is known.
#[derive(Debug)]
pub(crate) struct Tracked {
    pub(crate) position: Position,
    /// What the last look showed.
    pub(crate) seen: Stamp,
    /// Since when looks have shown the same.
    pub(crate) unchanged_since: Timestamp,
    /// What a look showed before the file was last read to its end.
    pub(crate) read: Option<Stamp>,
    /// How that end was.
    pub(crate) ended: Option<Ended>,
    /// Messages of the task up to the last one of this file.
    pub(crate) last_message: u64,
    /// The file, kept open so that its rest can be read when it loses its name.
    pub(crate) kept: Option<File>,
}

/// What to do with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Nothing.
    Wait,
    /// Read what is new.
    Read,
    /// Read what stands after the last line break.
    ReadTail,
    /// Do `finished.action`.
    Finish,
}

impl Tracked {
    /// A file seen for the first time, to be read from `position` on.
    pub(crate) fn new(position: Position, seen: Stamp, now: Timestamp) -> Self {
        Self {
            position,
            seen,
            unchanged_since: now,
            read: None,
            ended: None,
            last_message: 0,
            kept: None,
        }
    }

    /// Looks at the file again.
    pub(crate) fn look(&mut self, seen: Stamp, now: Timestamp) {
        if seen != self.seen {
            self.seen = seen;
            self.unchanged_since = now;
        }
    }

    /// Whether what was decided at the last look still holds for the file that is open now: another file of the name, or
    /// a writer that goes on with a line that was to be taken as whole, is for the next look.
    pub(crate) fn still_holds(&self, now: Stamp, until: Until) -> bool {
        match until {
            Until::LastLineBreak => now.id == self.seen.id,
            Until::End => now == self.seen,
        }
    }

    /// What to do now, `acknowledged` messages of the task being safe.
    pub(crate) fn decide(
        &self,
        now: Timestamp,
        acknowledged: u64,
        options: &FileOptions,
    ) -> Decision {
        if self.read != Some(self.seen) {
            return Decision::Read;
        }
        let unchanged = now
            .as_millis()
            .saturating_sub(self.unchanged_since.as_millis());
        let finished = options.finished_after >= 0 && unchanged >= options.finished_after;
        let ended = self.ended.filter(|ended| !ended.cut_off);
        match ended {
            Some(ended) if finished && ended.tail => Decision::ReadTail,
            Some(_)
                if finished
                    && acknowledged >= self.last_message
                    && options.finished_action != FinishedAction::Leave =>
            {
                Decision::Finish
            }
            _ => Decision::Wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use connect_core::config::{ConfigMap, ConnectorConfig};
    use proptest::prelude::*;

    use super::*;
    use crate::discover::FileId;

    fn options(action: &str, after: &str) -> FileOptions {
        let pairs = [
            ("file", "x"),
            ("format", "csv"),
            ("finished.action", action),
            ("finished.after.ms", after),
            ("finished.directory", "y"),
        ];
        let config: ConfigMap = pairs
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        FileOptions::from_map(&config).unwrap()
    }

    fn stamp(size: u64) -> Stamp {
        Stamp {
            id: FileId {
                device: 1,
                inode: 2,
            },
            size,
            modified: SystemTime::UNIX_EPOCH,
            born: 3,
        }
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn read_to_end(tail: bool) -> Tracked {
        let mut file = Tracked::new(Position::default(), stamp(9), at(0));
        file.read = Some(stamp(9));
        file.ended = Some(Ended {
            tail,
            cut_off: false,
        });
        file.last_message = 5;
        file
    }

    #[test]
    fn a_file_is_read_when_it_has_changed_and_finished_when_it_has_not_for_long() {
        let mut file = Tracked::new(Position::default(), stamp(9), at(0));
        let delete = options("delete", "1000");
        assert_eq!(file.decide(at(9999), 9, &delete), Decision::Read);
        file = read_to_end(true);
        assert_eq!(file.decide(at(999), 9, &delete), Decision::Wait);
        assert_eq!(file.decide(at(1000), 9, &delete), Decision::ReadTail);
        file.ended = Some(Ended {
            tail: false,
            cut_off: false,
        });
        assert_eq!(file.decide(at(1000), 4, &delete), Decision::Wait);
        assert_eq!(file.decide(at(1000), 5, &delete), Decision::Finish);
        assert_eq!(
            file.decide(at(1000), 5, &options("leave", "1000")),
            Decision::Wait
        );
        file.look(stamp(10), at(1500));
        assert_eq!(file.decide(at(1500), 5, &delete), Decision::Read);
    }

    #[test]
    fn without_a_time_a_half_written_line_waits_for_ever() {
        assert_eq!(
            read_to_end(true).decide(at(i64::MAX), 9, &options("leave", "-1")),
            Decision::Wait
        );
    }

    proptest! {
        #[test]
        fn no_file_is_removed_with_rows_not_acknowledged_not_read_or_just_changed(now in 0_i64..3000, changed in 0_i64..3000, acknowledged in 0_u64..10, tail in any::<bool>(), cut_off in any::<bool>(), known in any::<bool>()) {
            let mut file = read_to_end(tail);
            file.ended = Some(Ended { tail, cut_off });
            file.unchanged_since = at(changed);
            if !known { file.read = Some(stamp(8)); }
            if file.decide(at(now), acknowledged, &options("move", "1000")) == Decision::Finish {
                prop_assert!(acknowledged >= 5 && known && !tail && !cut_off && now - changed >= 1000);
            }
        }
    }
}
