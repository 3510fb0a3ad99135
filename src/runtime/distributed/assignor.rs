//! How the leader of a group shares connectors and tasks: no input or output, told of time.
//!
//! Eager: dealt out round, from nothing, each time. Incremental: what runs stays where it runs. What nobody runs goes to
//! those that have the least, connectors and tasks counted apart; what a member has above its even share is first taken
//! away and given to others in the next round, which its owner starts when it has given it up. What went away with a
//! member is held back for a while, in case that it comes back. Always: nothing is given to two members, and nothing is
//! given that another still runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use connect_core::plugin::TaskId;

use super::protocol::Work;

/// By member id.
pub type ByMember<T> = BTreeMap<String, T>;

/// What the leader is asked.
#[derive(Debug, Clone)]
pub struct Round {
    /// Now.
    pub now: Instant,
    /// All connectors and tasks that there are.
    pub configured: Work,
    /// The members, with what each says it runs.
    pub members: ByMember<Work>,
}

/// What a member is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Share {
    /// To be run in addition.
    pub added: Work,
    /// To be given up.
    pub revoked: Work,
}

/// What the leader answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// What each member is told; all members are in it.
    pub shares: ByMember<Share>,
    /// What each member runs afterwards, with what it is to give up already taken away.
    pub running: ByMember<Work>,
    /// When all must join again although nothing has happened. Zero: never.
    pub delay: Duration,
}

/// Deals everything out anew.
pub fn assign_eagerly(configured: &Work, members: &BTreeSet<String>) -> ByMember<Work> {
    let nothing = |member: &String| (member.clone(), Work::default());
    let mut running: ByMember<Work> = members.iter().map(nothing).collect();
    let mut next = members.iter().cycle();
    for connector in &configured.connectors {
        let work = next.next().and_then(|member| running.get_mut(member));
        work.map(|work| work.connectors.insert(connector.clone()));
    }
    for task in &configured.tasks {
        let work = next.next().and_then(|member| running.get_mut(member));
        work.map(|work| work.tasks.insert(task.clone()));
    }
    running
}

/// Shares work incrementally; remembers what it has given as long as its worker leads.
#[derive(Debug)]
pub struct Assignor {
    max_delay: Duration,
    memory: Memory,
    /// Becomes the memory once the group has taken the plan.
    planned: Option<Memory>,
}

impl Assignor {
    /// `max_delay` is `scheduled.rebalance.max.delay.ms`.
    pub fn new(max_delay: Duration) -> Self {
        Self {
            max_delay,
            memory: Memory::default(),
            planned: None,
        }
    }

    /// Shares the work.
    pub fn assign(&mut self, round: &Round) -> Plan {
        let (memory, plan) = plan(&self.memory, self.max_delay, round);
        self.planned = Some(memory);
        plan
    }

    /// A join has ended well, with this worker as the leader or not. A leader that has followed another meanwhile knows
    /// nothing of what was given.
    pub fn joined(&mut self, is_leader: bool) {
        let planned = self.planned.take();
        self.memory = planned.filter(|_| is_leader).unwrap_or_default();
    }
}

/// What the leader remembers from one round to the next.
#[derive(Debug, Clone, Default)]
struct Memory {
    /// What was given to a member or is held back.
    given: Work,
    members: BTreeSet<String>,
    /// Until when what was lost is held back.
    held_until: Option<Instant>,
    /// Members that had nothing while something was held back: one of them may be the one that was away.
    newcomers: BTreeSet<String>,
    revocations: Revocations,
}

/// Rounds that take work away, one after the other: they come at growing pauses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Revocations {
    #[default]
    None,
    /// The last round took something away, and `count` rounds were kept from it.
    Recent { count: u32 },
    /// Nothing is taken away before `until`.
    Paused { count: u32, until: Instant },
}

/// A pause after `count` rounds in a row that took or wanted to take something away.
fn pause(count: u32, max: Duration) -> Duration {
    let millis = 40_u64.saturating_pow(count);
    Duration::from_millis(millis).min(max)
}

fn plan(memory: &Memory, max_delay: Duration, round: &Round) -> (Memory, Plan) {
    let mut next = Memory {
        members: round.members.keys().cloned().collect(),
        newcomers: memory.newcomers.clone(),
        ..Memory::default()
    };
    let mut sharing = Sharing::of(round);
    let lost = sharing.free.within(&memory.given);
    let held = match Lost::of(memory, max_delay, round, &lost) {
        Lost::Free => {
            next.newcomers.clear();
            Work::default()
        }
        Lost::ForNewcomers => {
            sharing.prefer(&next.newcomers);
            next.newcomers.clear();
            Work::default()
        }
        Lost::Held(until) => {
            let empty = sharing.running.iter().filter(|(_, work)| work.is_empty());
            next.newcomers
                .extend(empty.map(|(member, _)| member.clone()));
            next.held_until = Some(until);
            lost
        }
    };
    sharing.free = sharing.free.without(&held);
    sharing.give();
    next.revocations = match next.held_until {
        Some(_) => memory.revocations,
        None => balance(memory.revocations, max_delay, round, &mut sharing),
    };
    next.given = held;
    sharing
        .running
        .values()
        .for_each(|work| next.given.add(work));
    let paused = match next.revocations {
        Revocations::Paused { until, .. } if next.held_until.is_none() => Some(until),
        _ => None,
    };
    let delay = next.held_until.or(paused);
    let delay = delay.map_or(Duration::ZERO, |until| until - round.now);
    (next, sharing.into_plan(round, delay))
}

/// What becomes of work that was given and that nobody runs.
enum Lost {
    /// Whoever has the least may run it: nobody went away, or it is not to be held.
    Free,
    /// The wait is over: those that came meanwhile are served first.
    ForNewcomers,
    Held(Instant),
}

impl Lost {
    fn of(memory: &Memory, max_delay: Duration, round: &Round, lost: &Work) -> Self {
        let all_there = memory
            .members
            .iter()
            .all(|member| round.members.contains_key(member));
        match memory.held_until {
            _ if lost.is_empty() || max_delay.is_zero() => Self::Free,
            Some(until) if round.now >= until => Self::ForNewcomers,
            Some(until) => Self::Held(until),
            None if all_there => Self::Free,
            None => Self::Held(round.now + max_delay),
        }
    }
}

/// Takes away what members have above their even share, unless that was done just now.
fn balance(
    before: Revocations,
    max_delay: Duration,
    round: &Round,
    sharing: &mut Sharing,
) -> Revocations {
    let surplus = sharing.surplus(round);
    if surplus.values().all(Work::is_empty) {
        return Revocations::None;
    }
    let paused = |count: u32, until: Instant| Revocations::Paused { count, until };
    match before {
        Revocations::Recent { count } if !max_delay.is_zero() => {
            let count = count + 1;
            return paused(count, round.now + pause(count, max_delay));
        }
        Revocations::Paused { count, until } if round.now < until => return paused(count, until),
        Revocations::None | Revocations::Recent { .. } | Revocations::Paused { .. } => {}
    }
    for (member, work) in surplus {
        sharing.revoke(&member, &work);
    }
    let count = match before {
        Revocations::None => 0,
        Revocations::Recent { count } | Revocations::Paused { count, .. } => count,
    };
    Revocations::Recent { count }
}

/// The state of a round.
struct Sharing {
    /// What each member runs, less what is taken away, plus what is given.
    running: ByMember<Work>,
    /// What nobody runs and may be given.
    free: Work,
    /// Who is served first, as long as it has less than its even share.
    preferred: BTreeSet<String>,
    connectors: Even,
    tasks: Even,
}

impl Sharing {
    /// What is gone is taken away, and from all what several run: who has it in the end is decided in the next round.
    fn of(round: &Round) -> Self {
        let (mut seen, mut doubled) = (Work::default(), Work::default());
        for work in round.members.values() {
            doubled.add(&work.within(&seen));
            seen.add(work);
        }
        let kept = |(member, work): (&String, &Work)| {
            let kept = work.within(&round.configured).without(&doubled);
            (member.clone(), kept)
        };
        let members = round.members.len();
        Self {
            running: round.members.iter().map(kept).collect(),
            free: round.configured.without(&seen),
            preferred: BTreeSet::new(),
            connectors: Even::of(round.configured.connectors.len(), members),
            tasks: Even::of(round.configured.tasks.len(), members),
        }
    }

    fn prefer(&mut self, members: &BTreeSet<String>) {
        let here = |member: &&String| self.running.contains_key(*member);
        self.preferred = members.iter().filter(here).cloned().collect();
    }

    /// Gives what is free.
    fn give(&mut self) {
        let free = std::mem::take(&mut self.free);
        for connector in free.connectors {
            if let Some(work) = self.least(self.connectors, connectors) {
                work.connectors.insert(connector);
            }
        }
        for task in free.tasks {
            if let Some(work) = self.least(self.tasks, tasks) {
                work.tasks.insert(task);
            }
        }
    }

    /// The member with the least of a kind, and then with the least of all.
    fn least(&mut self, even: Even, count: fn(&Work) -> usize) -> Option<&mut Work> {
        let preferred = &self.preferred;
        let members = self.running.iter_mut();
        let least = members.min_by_key(|(member, work)| {
            let own = count(work);
            let waits = !(own < even.at_least() && preferred.contains(*member));
            (waits, own, connectors(work) + tasks(work))
        });
        least.map(|(_, work)| work)
    }

    /// What each member has above its even share; of those that have most, as many may keep one more as there are over.
    fn surplus(&self, round: &Round) -> ByMember<Work> {
        let mut surplus = ByMember::new();
        let all = |work: &Work| work.connectors.iter().cloned().collect();
        let above = self.above(self.connectors, round, all);
        for (member, connectors) in above {
            let above: &mut Work = surplus.entry(member).or_default();
            above.connectors = connectors.into_iter().collect::<BTreeSet<Arc<str>>>();
        }
        let all = |work: &Work| work.tasks.iter().cloned().collect();
        for (member, tasks) in self.above(self.tasks, round, all) {
            let above: &mut Work = surplus.entry(member).or_default();
            above.tasks = tasks.into_iter().collect::<BTreeSet<TaskId>>();
        }
        surplus
    }

    fn above<T>(
        &self,
        even: Even,
        round: &Round,
        all: impl Fn(&Work) -> Vec<T>,
    ) -> Vec<(String, Vec<T>)> {
        let mut members: Vec<_> = self.running.keys().collect();
        let count = |member: &String| self.running.get(member).map_or(0, |work| all(work).len());
        members.sort_by_key(|member| std::cmp::Reverse(count(member)));
        let with_target = members.into_iter().enumerate();
        let above = with_target.filter_map(|(rank, member)| {
            let over = count(member).saturating_sub(even.target(rank));
            // Only what it runs already can be taken away, not what it is given in this round.
            let runs = round.members.get(member)?;
            let runs = runs.within(self.running.get(member)?);
            let taken: Vec<_> = all(&runs).into_iter().rev().take(over).collect();
            Some((member.clone(), taken))
        });
        above.collect()
    }

    fn revoke(&mut self, member: &str, work: &Work) {
        if let Some(running) = self.running.get_mut(member) {
            *running = running.without(work);
        }
    }

    fn into_plan(self, round: &Round, delay: Duration) -> Plan {
        let share = |(member, running): (&String, &Work)| {
            let before = round.members.get(member).cloned().unwrap_or_default();
            let share = Share {
                added: running.without(&before),
                revoked: before.without(running),
            };
            (member.clone(), share)
        };
        Plan {
            shares: self.running.iter().map(share).collect(),
            running: self.running,
            delay,
        }
    }
}

fn connectors(work: &Work) -> usize {
    work.connectors.len()
}

fn tasks(work: &Work) -> usize {
    work.tasks.len()
}

/// An even share of a kind of work: so much each, and one more for some.
#[derive(Debug, Clone, Copy)]
struct Even {
    each: usize,
    over: usize,
}

impl Even {
    fn of(all: usize, members: usize) -> Self {
        let members = members.max(1);
        Self {
            each: all / members,
            over: all % members,
        }
    }

    fn at_least(self) -> usize {
        self.each.max(1)
    }

    /// Of the member that has the `rank`th most.
    fn target(self, rank: usize) -> usize {
        self.each + usize::from(rank < self.over)
    }
}

#[cfg(test)]
#[path = "assignor_tests.rs"]
mod tests;
