//! What each rule is for: it is left out, and the checker finds what goes wrong.
//!
//! Three rules can be left out and nobody is told of anything wrong: they are for speed, or
//! so that others need not wait, and the tests here say so.

use crate::bend::Bend;
use crate::claims::{ABOVE, ALONE, NOTHING_LEFT, RISES, UNIQUE};
use crate::kept_alive;
use crate::steps::{Beginning, Counter, Leases, Quorum, Releases, Restart, Size};
use crate::world::Manners;
use stateright::{Checker, HasDiscoveries, Model};

/// The checker finds where the property fails.
fn fails(model: Quorum, property: &'static str) {
    let checker = model.checker();
    let checker = checker.finish_when(HasDiscoveries::AnyOf([property].into()));
    let checker = checker.spawn_bfs().join();
    let found = checker.discovery(property);
    let path = found.unwrap_or_else(|| panic!("nothing is missed"));
    println!("{} worlds", checker.unique_state_count());
    println!("{:?}", path.into_actions());
}

/// Leases end at any time.
fn any_time() -> Size {
    Size::new(&[0, 1, 2], 2, Leases::EndAnyTime)
}

/// Leases last.
fn in_time() -> Size {
    Size::new(&[0, 0, 1], 2, Leases::LastFor(3))
}

#[test]
fn it_is_noticed_if_half_of_the_servers_decide() {
    let size = Size::new(&[0, 0, 0, 0], 2, Leases::LastFor(0));
    fails(Quorum::without(size.clone(), Bend::HalfIsEnough), ALONE);
    fails(Quorum::without(size, Bend::HalfIsEnough), UNIQUE);
}

#[test]
fn it_is_noticed_if_the_largest_token_is_not_written_back() {
    fails(Quorum::without(any_time(), Bend::NoWriteBack), UNIQUE);
}

#[test]
fn it_is_noticed_if_a_larger_answer_is_taken_for_success() {
    fails(Quorum::without(any_time(), Bend::LargerCounts), UNIQUE);
}

#[test]
fn it_is_noticed_if_answers_to_an_earlier_token_count() {
    fails(
        Quorum::without(any_time(), Bend::EarlierRoundCounts),
        UNIQUE,
    );
}

#[test]
fn it_is_noticed_if_two_attempts_have_one_owner() {
    let mut model = Quorum::as_written(any_time());
    model.is_one_owner = true;
    fails(model, UNIQUE);
}

#[test]
fn it_is_noticed_if_late_answers_count_for_a_later_round() {
    fails(
        Quorum::without(kept_alive(&[0, 0, 0]), Bend::LateAnswersCount),
        ALONE,
    );
}

#[test]
fn it_is_noticed_if_the_write_back_is_not_subtracted() {
    fails(Quorum::without(in_time(), Bend::WriteBackIsFree), ALONE);
}

#[test]
fn it_is_noticed_if_the_drift_is_not_subtracted() {
    fails(Quorum::without(in_time(), Bend::NoDrift), ALONE);
}

#[test]
fn it_is_noticed_if_a_lost_record_keeps_a_lease_alive() {
    let size = kept_alive(&[0, 0, 0]);
    fails(Quorum::without(size, Bend::NilKeeps), ALONE);
}

#[test]
fn it_is_noticed_if_there_is_no_quarantine() {
    let mut size = Size::new(&[0, 0, 1], 2, Leases::LastFor(0));
    size.restarts = 1;
    size.restart = Restart::AtOnce;
    fails(Quorum::as_written(size), ALONE);
}

/// Quarantine does not help there: it is over some time.
#[test]
fn it_is_noticed_if_a_restarted_server_forgets_its_counter() {
    let mut size = Size::new(&[1, 1, 0], 2, Leases::EndAnyTime);
    size.restarts = 1;
    size.counter = Counter::IsLost;
    size.restart = Restart::AtOnce;
    fails(Quorum::as_written(size), UNIQUE);
    let mut size = Size::new(&[1, 1, 0], 2, Leases::LastFor(3));
    size.restarts = 1;
    size.counter = Counter::IsLost;
    size.beginning = Beginning::Held;
    fails(Quorum::as_written(size), ABOVE);
}

#[test]
fn it_is_noticed_if_the_counter_of_a_server_does_not_follow_a_raise() {
    let mut model = Quorum::as_written(any_time());
    model.manners = Manners {
        counter_stays: true,
        ..Manners::default()
    };
    fails(model, UNIQUE);
}

#[test]
fn it_is_noticed_if_somebody_else_s_hold_can_be_raised() {
    let mut model = Quorum::as_written(any_time());
    model.manners = Manners {
        raises_any_hold: true,
        ..Manners::default()
    };
    fails(model, UNIQUE);
}

/// Going by the clock, the order in which tokens are told is that of their size; without
/// clocks nothing more than [`ABOVE`] can be promised.
#[test]
fn no_more_could_be_promised_where_leases_end_any_time() {
    let mut size = Size::new(&[0, 0, 1], 2, Leases::LastFor(0));
    size.restarts = 1;
    size.restart = Restart::AtOnce;
    fails(Quorum::as_written(size), RISES);
}

/// The costs are that others wait until the lease ends.
#[test]
fn it_is_noticed_if_who_failed_does_not_release() {
    let mut size = Size::new(&[0, 0, 1], 2, Leases::LastFor(0));
    size.releases = Releases::AreSent;
    fails(Quorum::without(size, Bend::NoRelease), NOTHING_LEFT);
}

/// The same, as long as a lease, is left behind if a RELEASE overtakes its ACQUIRE.
#[test]
fn it_is_noticed_if_requests_overtake_each_other() {
    let mut size = Size::new(&[0, 0, 1], 1, Leases::LastFor(0));
    size.releases = Releases::AreSent;
    let mut model = Quorum::as_written(size);
    model.may_overtake = true;
    fails(model, NOTHING_LEFT);
}

/// Without releases nobody is told of anything wrong.
#[test]
fn releases_are_for_those_who_wait_only() {
    let size = Size::new(&[0, 0, 0], 2, Leases::LastFor(2));
    let model = Quorum::without(size, Bend::NoRelease);
    let checker = model.checker().spawn_bfs().join();
    checker.assert_properties();
}

/// A larger answer is given way to, so any token would do to begin with; the largest is
/// written back in one round.
#[test]
fn to_begin_with_the_largest_token_is_for_speed_only() {
    let size = Size::new(&[0, 0, 1], 2, Leases::EndAnyTime);
    let model = Quorum::without(size, Bend::SmallestFirst);
    let checker = model.checker().spawn_bfs().join();
    checker.assert_properties();
}
