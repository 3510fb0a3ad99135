//! What a member knows of its place in the group: pure, told of time and answers.
//!
//! Always: a member counts as one for no longer than the session timeout after the last heartbeat it sent that was
//! answered, so it knows of its end before the coordinator gives its work to others.

use std::time::Duration;

use connect_core::{Error, RetryVerdict};
use krafka::error::ErrorCode;
use tokio::time::Instant;

use crate::kafka::Rebalance;

/// What a heartbeat was sent as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Beat {
    pub(super) member: String,
    pub(super) generation: i32,
    pub(super) sent: Instant,
}

/// Why a member is none any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The coordinator has put it out.
    Expelled(ErrorCode),
    /// It was not heard for the session timeout.
    Silence,
}

/// The place of a member.
#[derive(Debug)]
enum Place {
    /// Not in the group, and nothing runs on its behalf.
    Outside,
    Inside {
        generation: i32,
        /// When the last answered heartbeat was sent.
        heard: Instant,
        /// The group wants to be joined again.
        wanted: bool,
    },
    /// It was inside, and its end was not taken note of yet.
    Ended(End),
}

/// A member's session.
#[derive(Debug)]
pub(super) struct Session {
    /// Given by the coordinator; empty before.
    member: String,
    place: Place,
    /// A join is going on.
    joining: bool,
    timeout: Duration,
}

impl Session {
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            member: String::new(),
            place: Place::Outside,
            joining: false,
            timeout,
        }
    }

    /// The id under which to join.
    pub(super) fn member(&self) -> &str {
        &self.member
    }

    /// The coordinator gives an id.
    pub(super) fn name(&mut self, member: &str) {
        member.clone_into(&mut self.member);
    }

    /// A join begins: what has been said of the last generation is settled. An end is not: it stays until it is given up.
    pub(super) fn begin_join(&mut self) {
        self.joining = true;
        if let Place::Inside { wanted, .. } = &mut self.place {
            *wanted = false;
        }
    }

    /// A join has ended, well or not.
    pub(super) fn end_join(&mut self) {
        self.joining = false;
    }

    /// The coordinator has taken the member into a generation.
    pub(super) fn joined(&mut self, member: &str, generation: i32, now: Instant) {
        self.name(member);
        let heard = match &self.place {
            Place::Inside { heard, .. } => *heard,
            Place::Outside => now,
            // Too late: what it ran before is lost, whatever the coordinator says now.
            Place::Ended(_) => return,
        };
        self.place = Place::Inside {
            generation,
            heard,
            wanted: false,
        };
    }

    /// The coordinator refused a request of the member's present generation.
    pub(super) fn refused(&mut self, code: ErrorCode) {
        if code == ErrorCode::UnknownMemberId {
            self.member.clear();
        }
        let expelled = [ErrorCode::UnknownMemberId, ErrorCode::IllegalGeneration];
        if expelled.contains(&code) && matches!(self.place, Place::Inside { .. }) {
            self.place = Place::Ended(End::Expelled(code));
        }
    }

    /// The member gives up: it is outside, whatever the coordinator thinks.
    pub(super) fn give_up(&mut self) {
        self.place = Place::Outside;
    }

    /// The heartbeat that is to be sent now; `None` outside.
    pub(super) fn beat(&self, now: Instant) -> Option<Beat> {
        match self.place {
            Place::Inside { generation, .. } => Some(Beat {
                member: self.member.clone(),
                generation,
                sent: now,
            }),
            Place::Outside | Place::Ended(_) => None,
        }
    }

    /// A heartbeat was answered.
    pub(super) fn answered(&mut self, beat: &Beat, code: ErrorCode) {
        if beat.member != self.member {
            return;
        }
        let Place::Inside {
            generation,
            heard,
            wanted,
        } = &mut self.place
        else {
            return;
        };
        // While a join goes on, the coordinator may be in a later generation already.
        let is_current = beat.generation == *generation && !self.joining;
        match code {
            ErrorCode::UnknownMemberId => self.refused(code),
            ErrorCode::IllegalGeneration if is_current => self.refused(code),
            // On the others a coordinator does not extend the session.
            ErrorCode::None | ErrorCode::RebalanceInProgress => {
                *heard = beat.sent.max(*heard);
                *wanted |= is_current && code == ErrorCode::RebalanceInProgress;
            }
            _ => {}
        }
    }

    /// When the session ends if nothing is heard; `None` outside.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.place {
            Place::Inside { heard, .. } => Some(heard + self.timeout),
            Place::Outside | Place::Ended(_) => None,
        }
    }

    /// Whether the member is one now, be it that nobody has looked at the time yet.
    pub(super) fn is_alive(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|deadline| now < deadline)
    }

    /// Ends a session that has not been heard for too long; true if it has ended now.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let late = self.deadline().is_some_and(|deadline| deadline <= now);
        if late {
            self.place = Place::Ended(End::Silence);
        }
        late
    }

    /// Why the group must be joined again, if it must.
    pub(super) fn rebalance(&self) -> Option<Rebalance> {
        match self.place {
            Place::Inside { wanted: true, .. } => Some(Rebalance::Requested),
            Place::Ended(end) => Some(Rebalance::Lost(self.lost(end))),
            Place::Inside { .. } | Place::Outside => None,
        }
    }

    /// Whoever has lost a place may join as a newcomer.
    fn lost(&self, end: End) -> Error {
        let lost = match end {
            End::Expelled(code) => {
                Error::conflict(format!("the group went on without this member: {code:?}"))
            }
            End::Silence => Error::conflict(format!(
                "the group's coordinator was not heard for {:?}: others may have taken this member's place",
                self.timeout
            )),
        };
        lost.retry(RetryVerdict::Backoff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn stable(now: Instant) -> Session {
        let mut session = Session::new(TIMEOUT);
        session.begin_join();
        session.name("m");
        session.joined("m", 1, now);
        session.end_join();
        session
    }

    fn is_lost(session: &Session) -> bool {
        matches!(session.rebalance(), Some(Rebalance::Lost(_)))
    }

    fn is_wanted(session: &Session) -> bool {
        matches!(session.rebalance(), Some(Rebalance::Requested))
    }

    #[test]
    fn a_session_lasts_from_when_an_answered_heartbeat_was_sent() {
        let start = Instant::now();
        let mut session = stable(start);
        let beat = session.beat(start + seconds(3)).unwrap();
        // However late the answer is.
        session.answered(&beat, ErrorCode::None);
        assert_eq!(session.deadline(), Some(start + seconds(13)));
        assert!(!session.expire(start + seconds(12)));
        assert!(session.is_alive(start + seconds(12)) && !session.is_alive(start + seconds(13)));
        assert!(session.expire(start + seconds(13)));
        assert!(is_lost(&session));
        // An answer that comes now is too late.
        session.answered(&beat, ErrorCode::None);
        assert!(is_lost(&session));
        assert_eq!(session.member(), "m");
    }

    #[test]
    fn a_rebalance_that_is_wanted_is_told_until_the_group_is_joined_again() {
        let start = Instant::now();
        let mut session = stable(start);
        let beat = session.beat(start).unwrap();
        session.answered(&beat, ErrorCode::RebalanceInProgress);
        assert!(is_wanted(&session) && is_wanted(&session));
        let later = session.beat(start + seconds(2)).unwrap();
        session.begin_join();
        assert!(session.rebalance().is_none());
        // What was asked before says nothing of the generation that is being made.
        session.answered(&beat, ErrorCode::RebalanceInProgress);
        // Nor does the coordinator extend the session when it says so.
        session.answered(&later, ErrorCode::IllegalGeneration);
        session.joined("m", 2, start + seconds(1));
        session.end_join();
        session.answered(&beat, ErrorCode::IllegalGeneration);
        session.answered(&beat, ErrorCode::RebalanceInProgress);
        assert!(session.rebalance().is_none());
        assert_eq!(session.deadline(), Some(start + TIMEOUT));
    }

    #[test]
    fn a_member_that_is_put_out_is_lost_and_joins_as_a_new_one() {
        let start = Instant::now();
        for code in [ErrorCode::UnknownMemberId, ErrorCode::IllegalGeneration] {
            let mut session = stable(start);
            let beat = session.beat(start).unwrap();
            session.answered(&beat, code);
            assert!(is_lost(&session));
            assert!(session.beat(start).is_none());
            session.give_up();
            session.begin_join();
            assert!(session.rebalance().is_none());
            let is_unknown = code == ErrorCode::UnknownMemberId;
            assert_eq!(session.member().is_empty(), is_unknown);
        }
    }

    #[test]
    fn a_join_does_not_bring_back_a_session_that_ended_meanwhile() {
        let start = Instant::now();
        let mut session = stable(start);
        session.begin_join();
        assert!(session.expire(start + TIMEOUT));
        session.joined("m", 2, start + TIMEOUT);
        session.end_join();
        assert!(is_lost(&session));
        session.give_up();
        session.begin_join();
        session.joined("m", 3, start + seconds(20));
        assert_eq!(session.deadline(), Some(start + seconds(30)));
    }

    #[test]
    fn a_session_that_ended_before_a_join_is_lost_until_it_is_given_up() {
        let start = Instant::now();
        let mut session = stable(start);
        assert!(session.expire(start + TIMEOUT));
        session.begin_join();
        assert!(is_lost(&session));
        session.joined("m", 2, start + TIMEOUT);
        session.end_join();
        assert!(is_lost(&session));
        session.give_up();
        assert!(session.rebalance().is_none());
    }

    #[test]
    fn whoever_has_lost_its_place_may_come_back() {
        let start = Instant::now();
        let (mut silent, mut expelled) = (stable(start), stable(start));
        silent.expire(start + TIMEOUT);
        expelled.refused(ErrorCode::IllegalGeneration);
        for session in [silent, expelled] {
            let Some(Rebalance::Lost(failure)) = session.rebalance() else {
                panic!("not lost");
            };
            assert!(failure.is_retriable());
        }
    }

    #[test]
    fn answers_to_a_member_that_is_no_more_are_not_taken_for_the_next() {
        let start = Instant::now();
        let mut session = stable(start);
        let beat = session.beat(start).unwrap();
        session.answered(&beat, ErrorCode::UnknownMemberId);
        session.give_up();
        session.begin_join();
        session.joined("n", 2, start);
        session.end_join();
        session.answered(&beat, ErrorCode::UnknownMemberId);
        assert!(session.rebalance().is_none());
    }
}
