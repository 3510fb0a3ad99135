//! What goes wrong on request.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Faults of a server; may be changed while it runs.
#[derive(Debug)]
pub struct Faults {
    /// One request in so many goes wrong; 0: none.
    one_in: AtomicU32,
    /// All requests are refused.
    down: AtomicU32,
    /// Requests with a condition are refused.
    no_conditions: AtomicBool,
    chance: Mutex<fastrand::Rng>,
    injected: AtomicU64,
}

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// 503 SlowDown, without effect.
    SlowDown,
    /// The connection is cut before the effect.
    CutBefore,
    /// The connection is cut after the effect: the answer is lost.
    CutAfter,
}

impl Faults {
    /// No faults until asked for; the same `seed` makes the same choices.
    pub fn new(seed: u64) -> Self {
        Self {
            one_in: AtomicU32::new(0),
            down: AtomicU32::new(0),
            no_conditions: AtomicBool::new(false),
            chance: Mutex::new(fastrand::Rng::with_seed(seed)),
            injected: AtomicU64::new(0),
        }
    }

    /// One request in `requests` goes wrong from now on, each kind of fault equally often; 0 ends it.
    pub fn one_in(&self, requests: u32) {
        self.one_in.store(requests, Ordering::Relaxed);
    }

    /// Every request is answered 503 while `down`.
    pub fn down(&self, down: bool) {
        self.down.store(u32::from(down), Ordering::Relaxed);
    }

    /// `If-None-Match` is answered 501 NotImplemented, as by servers that do not know it.
    pub fn refuse_conditions(&self, refuse: bool) {
        self.no_conditions.store(refuse, Ordering::Relaxed);
    }

    pub(crate) fn refuses_conditions(&self) -> bool {
        self.no_conditions.load(Ordering::Relaxed)
    }

    /// How many requests went wrong.
    pub fn injected(&self) -> u64 {
        self.injected.load(Ordering::Relaxed)
    }

    pub(crate) fn next(&self) -> Fault {
        let fault = self.choose();
        if fault != Fault::None {
            self.injected.fetch_add(1, Ordering::Relaxed);
        }
        fault
    }

    fn choose(&self) -> Fault {
        if self.down.load(Ordering::Relaxed) != 0 {
            return Fault::SlowDown;
        }
        let one_in = self.one_in.load(Ordering::Relaxed);
        let mut chance = self
            .chance
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if one_in == 0 || chance.u32(0..one_in) != 0 {
            return Fault::None;
        }
        match chance.u8(0..3) {
            0 => Fault::SlowDown,
            1 => Fault::CutBefore,
            _ => Fault::CutAfter,
        }
    }
}
