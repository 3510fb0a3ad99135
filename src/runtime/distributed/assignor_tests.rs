use proptest::prelude::*;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const HELD: Duration = Duration::from_secs(300);

fn task(connector: &str, task: u32) -> TaskId {
    TaskId {
        connector: connector.into(),
        task,
    }
}

/// Connectors `c0`, `c1` … with so many tasks each.
fn configured(tasks: &[u32]) -> Work {
    let mut work = Work::default();
    for (number, count) in tasks.iter().enumerate() {
        let name = format!("c{number}");
        work.connectors.insert(name.as_str().into());
        work.tasks
            .extend((0..*count).map(|number| task(&name, number)));
    }
    work
}

/// A group whose members do as they are told.
struct Group {
    assignor: Assignor,
    now: Instant,
    configured: Work,
    members: ByMember<Work>,
}

impl Group {
    fn new(max_delay: Duration, members: &[&str], tasks: &[u32]) -> Self {
        let nothing = |member: &&str| ((*member).to_owned(), Work::default());
        Self {
            assignor: Assignor::new(max_delay),
            now: Instant::now(),
            configured: configured(tasks),
            members: members.iter().map(nothing).collect(),
        }
    }

    fn assign(&mut self) -> Plan {
        let round = Round {
            now: self.now,
            configured: self.configured.clone(),
            members: self.members.clone(),
        };
        let plan = self.assignor.assign(&round);
        check(&round, &plan);
        plan
    }

    /// One rebalance.
    fn rebalance(&mut self) -> Plan {
        let plan = self.assign();
        self.assignor.joined(true);
        self.members = plan.running.clone();
        plan
    }

    /// Rebalances until nobody needs another: how many rounds, not counting those that came after a pause.
    fn settle(&mut self) -> usize {
        for round in 1..20 {
            let plan = self.rebalance();
            let revoked = plan.shares.values().any(|share| !share.revoked.is_empty());
            self.now += plan.delay;
            if !revoked && plan.delay.is_zero() {
                return round;
            }
        }
        panic!("the group does not come to rest: {:?}", self.members);
    }

    fn runs(&self, member: &str) -> &Work {
        &self.members[member]
    }

    fn all(&self) -> Work {
        let mut all = Work::default();
        self.members.values().for_each(|work| all.add(work));
        all
    }

    fn expect_even(&self) {
        assert_eq!(self.all(), self.configured);
        for count in [connectors, tasks] {
            let counts: Vec<_> = self.members.values().map(count).collect();
            let sum: usize = counts.iter().sum();
            assert_eq!(sum, count(&self.configured), "something runs twice");
            let (least, most) = (counts.iter().min(), counts.iter().max());
            assert!(most.unwrap() - least.unwrap() <= 1, "{counts:?}");
        }
    }
}

/// What holds in each round, whatever happened before.
fn check(round: &Round, plan: &Plan) {
    let mut running = Work::default();
    for (member, work) in &plan.running {
        assert!(work.within(&running).is_empty(), "given to two: {plan:?}");
        running.add(work);
        let (before, share) = (&round.members[member], &plan.shares[member]);
        assert!(share.revoked.without(before).is_empty());
        assert!(share.added.within(before).is_empty());
        let mut expected = before.without(&share.revoked);
        expected.add(&share.added);
        assert_eq!(&expected, work);
        for (other, theirs) in &round.members {
            let stolen = share.added.within(theirs);
            assert!(
                other == member || stolen.is_empty(),
                "{other} still runs {stolen:?}"
            );
        }
    }
    assert!(running.without(&round.configured).is_empty());
    assert_eq!(plan.shares.len(), round.members.len());
    assert!(plan.delay <= HELD);
}

#[test]
fn the_first_member_gets_everything_and_the_second_half_of_it_in_two_rounds() {
    let mut group = Group::new(HELD, &["a"], &[3, 2, 1]);
    assert_eq!(group.settle(), 1);
    group.expect_even();
    let before = group.runs("a").clone();
    group.members.insert("b".to_owned(), Work::default());
    let first = group.rebalance();
    assert_eq!(connectors(&first.shares["a"].revoked), 1);
    assert_eq!(tasks(&first.shares["a"].revoked), 3);
    assert!(first.shares["b"].added.is_empty());
    assert!(first.delay.is_zero());
    assert_eq!(group.settle(), 1);
    group.expect_even();
    assert!(group.runs("a").without(&before).is_empty());
    let quiet = group.rebalance();
    assert!(
        quiet
            .shares
            .values()
            .all(|share| *share == Share::default())
    );
}

#[test]
fn a_group_without_work_or_without_members_is_no_trouble() {
    let mut group = Group::new(HELD, &["a", "b"], &[]);
    assert_eq!(group.settle(), 1);
    let mut group = Group::new(HELD, &[], &[2]);
    assert!(group.rebalance().shares.is_empty());
    assert!(assign_eagerly(&configured(&[2]), &BTreeSet::new()).is_empty());
}

#[test]
fn work_of_a_member_that_went_is_held_back_and_then_given_to_who_came() {
    let mut group = Group::new(HELD, &["a", "b"], &[2, 2]);
    group.settle();
    let gone = group.members.remove("b").unwrap();
    let kept = group.runs("a").clone();
    let plan = group.rebalance();
    assert_eq!(plan.delay, HELD);
    assert_eq!(group.runs("a"), &kept);
    // It comes back as another member; the wait goes on, and new work is given meanwhile.
    group.now += MINUTE;
    group.members.insert("c".to_owned(), Work::default());
    assert_eq!(group.rebalance().delay, HELD - MINUTE);
    assert!(group.runs("c").is_empty());
    group.configured.connectors.insert("new".into());
    assert_eq!(group.rebalance().delay, HELD - MINUTE);
    assert!(group.all().connectors.contains("new"));
    group.now += HELD - MINUTE;
    assert!(group.rebalance().delay.is_zero());
    assert!(gone.without(group.runs("c")).is_empty());
    group.settle();
    group.expect_even();
}

#[test]
fn work_held_back_goes_to_all_if_nobody_came() {
    let mut group = Group::new(HELD, &["a", "b", "c"], &[3, 3, 3]);
    group.settle();
    group.members.remove("b");
    assert_eq!(group.rebalance().delay, HELD);
    group.now += HELD;
    assert_eq!(group.settle(), 1);
    group.expect_even();
}

#[test]
fn nothing_is_held_back_with_a_delay_of_zero() {
    let mut group = Group::new(Duration::ZERO, &["a", "b"], &[2, 2]);
    group.settle();
    group.members.remove("b");
    assert_eq!(group.settle(), 1);
    group.expect_even();
}

#[test]
fn an_assignment_that_did_not_arrive_is_given_again_at_once() {
    let mut group = Group::new(HELD, &["a", "b"], &[2, 2]);
    let plan = group.assign();
    group.assignor.joined(true);
    group
        .members
        .insert("a".to_owned(), plan.running["a"].clone());
    assert!(group.rebalance().delay.is_zero());
    group.expect_even();
}

#[test]
fn a_plan_that_the_group_did_not_take_is_forgotten() {
    let mut group = Group::new(HELD, &["a", "b"], &[2, 2]);
    group.settle();
    group.configured = configured(&[2, 2, 2]);
    let lost = group.assign();
    let again = group.rebalance();
    assert_eq!(lost, again);
    group.expect_even();
}

#[test]
fn a_new_leader_knows_nothing_of_what_was_given_and_holds_nothing_back() {
    let mut group = Group::new(HELD, &["a", "b"], &[2, 2]);
    group.settle();
    group.members.remove("b");
    group.assignor.joined(false);
    assert_eq!(group.settle(), 1);
    group.expect_even();
}

#[test]
fn what_two_members_run_is_taken_from_both_and_then_given_to_one() {
    let mut group = Group::new(HELD, &["a", "b", "c"], &[1, 1, 1]);
    group.settle();
    let doubled = group.runs("a").clone();
    group.members.get_mut("b").unwrap().add(&doubled);
    let plan = group.rebalance();
    assert_eq!(plan.shares["a"].revoked, doubled);
    assert_eq!(plan.shares["b"].revoked, doubled);
    assert!(group.all().within(&doubled).is_empty());
    assert!(group.settle() <= 2);
    group.expect_even();
}

#[test]
fn what_was_deleted_is_taken_away() {
    let mut group = Group::new(HELD, &["a", "b"], &[2, 2]);
    group.settle();
    group.configured = configured(&[2]);
    let plan = group.rebalance();
    let mut revoked = Work::default();
    plan.shares
        .values()
        .for_each(|share| revoked.add(&share.revoked));
    assert_eq!(revoked, configured(&[2, 2]).without(&configured(&[2])));
    assert!(group.all().without(&group.configured).is_empty());
    group.settle();
    group.expect_even();
}

#[test]
fn rounds_that_take_work_away_come_at_growing_pauses() {
    let mut group = Group::new(HELD, &["a"], &[64]);
    group.settle();
    let mut pauses = Vec::new();
    for member in ["b", "c", "d"] {
        group.members.insert(member.to_owned(), Work::default());
        let plan = group.rebalance();
        pauses.push(plan.delay);
        if !plan.delay.is_zero() {
            group.now += plan.delay;
            let plan = group.rebalance();
            assert!(plan.shares.values().any(|share| !share.revoked.is_empty()));
        }
    }
    let millis = [0, 40, 1600].map(Duration::from_millis);
    assert_eq!(pauses, millis);
    group.settle();
    group.expect_even();
}

#[test]
fn eagerly_everything_is_dealt_out_round() {
    let members = ["b".to_owned(), "a".to_owned()].into();
    let running = assign_eagerly(&configured(&[2, 1]), &members);
    let connectors = |member: &str| {
        running[member]
            .connectors
            .iter()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(connectors("a"), ["c0".into()]);
    assert_eq!(connectors("b"), ["c1".into()]);
    assert_eq!(running["a"].tasks, [task("c0", 0), task("c1", 0)].into());
    assert_eq!(running["b"].tasks, [task("c0", 1)].into());
}

/// Something happens to a group.
#[derive(Debug, Clone)]
enum Event {
    Join,
    Leave(prop::sample::Index),
    Configure(Vec<u32>),
    /// The next plan reaches only some.
    Missed(prop::sample::Index),
    /// A member still runs what another has got.
    Doubled(prop::sample::Index, prop::sample::Index),
    LeaderChanges,
    Wait(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        3 => Just(Event::Join),
        2 => index().prop_map(Event::Leave),
        3 => prop::collection::vec(0..6_u32, 0..6).prop_map(Event::Configure),
        1 => index().prop_map(Event::Missed),
        1 => (index(), index()).prop_map(|(one, other)| Event::Doubled(one, other)),
        1 => Just(Event::LeaderChanges),
        2 => (1..400_u64).prop_map(Event::Wait),
    ]
}

fn pick(group: &Group, index: prop::sample::Index) -> Option<String> {
    let members: Vec<_> = group.members.keys().cloned().collect();
    (!members.is_empty()).then(|| index.get(&members).clone())
}

fn happens(group: &mut Group, event: Event, number: usize) {
    match event {
        Event::Join => {
            let name = format!("m{number}");
            group.members.insert(name, Work::default());
        }
        Event::Leave(index) if group.members.len() > 1 => {
            let member = pick(group, index);
            group.members.remove(&member.unwrap());
        }
        Event::Configure(tasks) => group.configured = configured(&tasks),
        Event::Missed(index) => {
            let plan = group.assign();
            group.assignor.joined(true);
            let missed = pick(group, index);
            for (member, work) in plan.running {
                if Some(&member) != missed.as_ref() {
                    group.members.insert(member, work);
                }
            }
        }
        Event::Doubled(one, other) => {
            let (one, other) = (pick(group, one), pick(group, other));
            let work = group.members[&one.unwrap()].clone();
            group.members.get_mut(&other.unwrap()).unwrap().add(&work);
        }
        Event::LeaderChanges => group.assignor.joined(false),
        Event::Wait(seconds) => group.now += Duration::from_secs(seconds),
        Event::Leave(_) => {}
    }
}

proptest! {
    #[test]
    fn whatever_happens_all_work_is_shared_evenly_in_the_end(
        events in prop::collection::vec((event(), any::<bool>()), 1..25),
        held in prop::bool::ANY,
    ) {
        let mut group = Group::new(if held { HELD } else { Duration::ZERO }, &["m"], &[2, 1]);
        for (number, (event, then_rebalance)) in events.into_iter().enumerate() {
            happens(&mut group, event, number);
            if then_rebalance {
                group.rebalance();
            }
        }
        group.settle();
        group.expect_even();
        let quiet = group.rebalance();
        prop_assert!(quiet.shares.values().all(|share| *share == Share::default()));
    }

    #[test]
    fn a_member_that_comes_makes_no_more_move_than_must_and_in_two_rounds(
        tasks_of in prop::collection::vec(0..8_u32, 0..8),
        members in 1..6_usize,
    ) {
        let names: Vec<_> = (0..members).map(|number| format!("m{number}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let mut group = Group::new(HELD, &names, &tasks_of);
        group.settle();
        let before = group.members.clone();
        group.members.insert("new".to_owned(), Work::default());
        prop_assert!(group.settle() <= 2);
        group.expect_even();
        for (member, work) in &before {
            prop_assert!(group.runs(member).without(work).is_empty());
        }
        let least = |all: usize| all / (members + 1);
        prop_assert_eq!(connectors(group.runs("new")), least(connectors(&group.configured)));
        prop_assert_eq!(tasks(group.runs("new")), least(tasks(&group.configured)));
    }
}
