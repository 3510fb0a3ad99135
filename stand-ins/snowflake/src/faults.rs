//! What goes wrong on request.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// Where something may go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// A login.
    Login,
    /// A new session token.
    Renew,
    /// The end of a session.
    Close,
    /// The upload of a file to a stage.
    Upload,
    /// PUT: asking where to upload to.
    Put,
    /// BEGIN
    Begin,
    /// COPY INTO
    Copy,
    /// MERGE
    Merge,
    /// COMMIT
    Commit,
    /// ROLLBACK
    Rollback,
    /// REMOVE
    Remove,
    /// A query, DESC or SHOW.
    Select,
    /// CREATE, ALTER, DROP.
    Ddl,
    /// Any statement.
    Statement,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An HTTP status instead of an answer; no effect.
    Status(u16),
    /// The connection is cut; no effect.
    CutBefore,
    /// The effect is there; the answer is lost.
    CutAfter,
    /// No effect and no answer until [`Faults::release`].
    HangBefore,
    /// The effect is there; no answer until [`Faults::release`].
    HangAfter,
    /// The session token has expired.
    Expire,
    /// The statement runs, and is "in progress" for so long.
    InProgress(Duration),
    /// The statement is refused with this code.
    Refuse(&'static str),
}

#[derive(Debug)]
struct Planned {
    point: Point,
    fault: Fault,
    times: u32,
}

/// Faults of a server; may be changed while it runs.
#[derive(Debug, Default)]
pub struct Faults {
    planned: Mutex<VecDeque<Planned>>,
    injected: AtomicU64,
    hung: Notify,
    released: Notify,
}

impl Faults {
    /// The next request at `point` goes wrong.
    pub fn next(&self, point: Point, fault: Fault) {
        self.times(point, fault, 1);
    }

    /// The next `times` requests at `point` go wrong.
    pub fn times(&self, point: Point, fault: Fault, times: u32) {
        let planned = Planned {
            point,
            fault,
            times,
        };
        self.locked().push_back(planned);
    }

    /// Nothing goes wrong any more.
    pub fn clear(&self) {
        self.locked().clear();
    }

    /// How many requests went wrong.
    pub fn injected(&self) -> u64 {
        self.injected.load(Ordering::Relaxed)
    }

    /// Returns once a request has met [`Fault::HangBefore`] or [`Fault::HangAfter`].
    pub async fn hung(&self) {
        self.hung.notified().await;
    }

    /// Requests that hang go on now.
    pub fn release(&self) {
        self.released.notify_waiters();
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, VecDeque<Planned>> {
        self.planned
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// What happens to a request at this point.
    pub(crate) fn take(&self, point: Point) -> Option<Fault> {
        let is_statement = !matches!(
            point,
            Point::Login | Point::Renew | Point::Close | Point::Upload
        );
        let mut planned = self.locked();
        let index = planned.iter().position(|planned| {
            planned.point == point || (planned.point == Point::Statement && is_statement)
        })?;
        let found = planned.get_mut(index)?;
        let fault = found.fault;
        found.times = found.times.saturating_sub(1);
        if found.times == 0 {
            planned.remove(index);
        }
        self.injected.fetch_add(1, Ordering::Relaxed);
        Some(fault)
    }

    /// Waits for [`Self::release`].
    pub(crate) async fn hang(&self) {
        let released = self.released.notified();
        tokio::pin!(released);
        released.as_mut().enable();
        self.hung.notify_one();
        released.await;
    }
}
