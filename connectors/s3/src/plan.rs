//! The plan: where a partition is about to be cut, written into the group's offset commit before any object appears.
//!
//! Text form: `sluice-s3/1 1000 2000@1710052200000`: offsets at which files end (the next one to read), each with the
//! clock's value in milliseconds where paths or names depend on it. Notes of any other form are not ours and mean no plan.
//!
//! A cut that is not behind the committed offset has been carried out. It is there for its clock: the next rotation's
//! clock does not run back behind it, and names that go by the clock are told apart from its names.

use std::collections::VecDeque;
use std::fmt::Write;

use connect_core::data::{Offset, Timestamp};

const MARK: &str = "sluice-s3/1";

/// Cuts that one note can hold: brokers refuse notes of more than 4096 bytes.
pub(crate) const MAX_CUTS: usize = 90;

/// A planned cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    /// The first offset that is not in the files.
    pub(crate) end: Offset,
    /// What the clock showed, if paths or names depend on it.
    pub(crate) clock: Option<Timestamp>,
}

/// Writes cuts as a note.
pub(crate) fn to_note(cuts: &[Cut]) -> String {
    let mut note = MARK.to_owned();
    for cut in cuts {
        write!(note, " {}", cut.end).expect("writing to a string cannot fail");
        if let Some(clock) = cut.clock {
            write!(note, "@{}", clock.as_millis()).expect("writing to a string cannot fail");
        }
    }
    note
}

/// What a note says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The last cut that has been carried out, if the note has it.
    pub(crate) done: Option<Cut>,
    /// Cuts to repeat.
    pub(crate) cuts: VecDeque<Cut>,
}

impl Plan {
    /// Reads the note that was committed with the offset `start`; no plan if it is not ours.
    pub(crate) fn of_note(note: &str, start: Offset) -> Self {
        let Some(cuts) = note.strip_prefix(MARK) else {
            return Self::default();
        };
        let cuts: Option<Vec<_>> = cuts.split_ascii_whitespace().map(cut).collect();
        let (cuts, done): (Vec<_>, Vec<_>) = cuts
            .unwrap_or_default()
            .into_iter()
            .partition(|cut| cut.end > start);
        Self {
            done: done.into_iter().max_by_key(|cut| cut.end),
            cuts: cuts.into(),
        }
    }
}

fn cut(text: &str) -> Option<Cut> {
    let (end, clock) = match text.split_once('@') {
        Some((end, clock)) => (end, Some(Timestamp::from_millis(clock.parse().ok()?))),
        None => (text, None),
    };
    Some(Cut {
        end: Offset::new(end.parse().ok()?),
        clock,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let cuts = [
            Cut {
                end: Offset::new(1000),
                clock: None,
            },
            Cut {
                end: Offset::new(2000),
                clock: Some(Timestamp::from_millis(1_710_052_200_000)),
            },
        ];
        let note = to_note(&cuts);
        assert_eq!(note, "sluice-s3/1 1000 2000@1710052200000");
        let plan = Plan::of_note(&note, Offset::new(0));
        assert_eq!((plan.done, plan.cuts), (None, cuts.to_vec().into()));
        let plan = Plan::of_note(&note, Offset::new(1000));
        assert_eq!((plan.done, plan.cuts), (Some(cuts[0]), [cuts[1]].into()));
    }

    #[test]
    fn the_longest_note_is_short_enough_for_a_broker() {
        let cut = Cut {
            end: Offset::new(i64::MAX),
            clock: Some(Timestamp::from_millis(9_999_999_999_999)),
        };
        assert!(to_note(&vec![cut; MAX_CUTS + 1]).len() <= 4096);
    }

    #[test]
    fn notes_of_others_mean_no_plan() {
        for note in [
            "",
            "ab",
            "sluice-s3/2 5",
            "sluice-s3/1 x",
            "sluice-s3/1 5@y",
        ] {
            assert_eq!(
                Plan::of_note(note, Offset::new(0)),
                Plan::default(),
                "{note}"
            );
        }
    }
}
