//! Where tokens come from: the term, the ceiling, and what survives a restart.

use crate::lock::slots::Slot;
use crate::lock::token::{CounterOutOfRange, Cover, StoredCounter, Tokens, RESERVE};
use crate::lock::{Answer, Effect, Event, Ttl, WallTime};
use crate::server::Server;
use crate::values::{cover, cover_since, first_cover, token, ttl, wall, TOKEN_MOST};

/// The next token, which there is.
fn issue(tokens: &mut Tokens) -> (u64, Option<Cover>) {
    let (token, cover) = tokens.issue(ttl(30)).expect("a token is left");
    (token.get(), cover)
}

fn cover_of(ceiling: u64, ttl_most_ms: u64) -> Cover {
    Cover {
        ceiling: token(ceiling),
        ttl_most: ttl(ttl_most_ms),
        since: wall(0),
    }
}

fn counter(last: u64, ceiling: u64, ttl_most_ms: u64) -> StoredCounter {
    StoredCounter {
        last,
        ceiling,
        ttl_most_ms,
        since_ms: 0,
    }
}

#[test]
fn tokens_start_at_one_and_rise_by_one() {
    let mut tokens = Tokens::default();
    let issued: Vec<_> = (0..4).map(|_| issue(&mut tokens).0).collect();
    assert_eq!(issued, [1, 2, 3, 4]);
}

#[test]
fn a_term_starts_at_4096_tokens_for_each_millisecond_since_2024() {
    let mut tokens = Tokens::default();
    tokens.open_term(wall(1_000));
    assert_eq!(issue(&mut tokens).0, 1_000 * 4_096 + 1);
}

#[test]
fn a_term_never_starts_below_what_was_issued() {
    let mut tokens = Tokens::default();
    tokens.open_term(wall(1_000));
    let (before, _) = issue(&mut tokens);
    for earlier in [999, 1, 0] {
        tokens.open_term(wall(earlier));
        assert!(issue(&mut tokens).0 > before);
    }
}

#[test]
fn a_term_never_starts_below_what_was_seen_though_nothing_covered_it() {
    let mut tokens = Tokens::default();
    tokens.observe(token(500));
    tokens.open_term(wall(0));
    assert_eq!(issue(&mut tokens).0, 501);
}

#[test]
fn what_was_seen_is_stored_as_covered_though_nothing_covered_it() {
    let mut tokens = Tokens::default();
    tokens.open_term(wall(0));
    tokens.observe(token(500));
    assert_eq!(tokens.stored(), Some(counter(500, 500, 0)));
}

#[test]
fn a_term_that_issued_nothing_is_not_gone_back_behind() {
    let mut tokens = Tokens::default();
    tokens.open_term(wall(1_000));
    tokens.open_term(wall(0));
    assert_eq!(issue(&mut tokens).0, 1_000 * 4_096 + 1);
}

#[test]
fn opening_a_term_writes_nothing() {
    let mut server = Server::new();
    server.open_term(wall(1_000));
    assert_eq!(server.sent, []);
    assert_eq!(server.locks.tokens().stored(), None);
}

#[test]
fn a_clock_at_the_end_of_time_leaves_4095_tokens_and_never_wraps() {
    let mut tokens = Tokens::default();
    tokens.open_term(WallTime::from_unix_ms(u64::MAX));
    assert_eq!(issue(&mut tokens).0, TOKEN_MOST - 4_094);
    for _ in 1..4_095 {
        issue(&mut tokens);
    }
    assert_eq!(tokens.last(), TOKEN_MOST);
    assert_eq!(tokens.issue(ttl(30)), None);
    assert_eq!(tokens.last(), TOKEN_MOST);
}

#[test]
fn the_reserve_is_renewed_when_half_of_it_is_used() {
    let mut tokens = Tokens::default();
    let mut covers = Vec::new();
    for _ in 0..400_000 {
        let (issued, cover) = issue(&mut tokens);
        covers.extend(cover.map(|cover| (issued, cover.ceiling.get())));
    }
    let expected = [
        (1, 262_145),
        (131_074, 393_218),
        (262_147, 524_291),
        (393_220, 655_364),
    ];
    assert_eq!(covers, expected);
}

#[test]
fn no_token_is_ever_issued_above_the_cover_that_went_out_before_it() {
    let mut tokens = Tokens::default();
    let mut ceiling = 0;
    for _ in 0..600_000 {
        let (issued, cover) = issue(&mut tokens);
        ceiling = cover.map_or(ceiling, |cover| cover.ceiling.get());
        assert!(issued <= ceiling);
    }
}

#[test]
fn a_restart_that_knows_only_the_ceiling_starts_above_every_token() {
    let mut before = Tokens::default();
    let mut after = Tokens::default();
    for _ in 0..600_000 {
        let (issued, cover) = issue(&mut before);
        // The log is cut behind any cover; the grant that needed it is lost.
        if let Some(cover) = cover {
            assert!(after.ceiling() >= issued - 1);
            after.observe_cover(cover);
        }
    }
    after.open_term(wall(0));
    assert!(issue(&mut after).0 > before.last());
}

#[test]
fn a_restart_that_knows_only_the_clock_starts_above_every_token_it_could_issue() {
    let mut before = Tokens::default();
    before.open_term(wall(1_000));
    for _ in 0..4_096 * 10 {
        issue(&mut before);
    }
    let mut after = Tokens::default();
    after.open_term(wall(1_010));
    assert_eq!(issue(&mut after).0, before.last() + 1);
}

/// More than the clock and the reserve can account for.
fn most_by_clock(wall_ms: u64) -> u64 {
    wall_ms * 4_096 + 2 * RESERVE
}

/// What a server starts with that was up for `uptime_ms`, whatever it did just before
/// it went, and came back at once.
fn started_after(uptime_ms: u64, does: impl Fn(&mut Tokens, WallTime)) -> u64 {
    let mut before = Tokens::default();
    before.open_term(wall(0));
    issue(&mut before);
    does(&mut before, wall(uptime_ms));
    issue(&mut before);
    let mut after = Tokens::default();
    let stored = before.stored().expect("it granted");
    assert_eq!(after.load(stored), Ok(()));
    after.open_term(wall(uptime_ms));
    let (first, _) = issue(&mut after);
    assert!(first > before.last());
    first
}

const DAY_MS: u64 = 86_400_000;

/// The servers of a cluster give tokens for the same keys, one after the other: one
/// that is ahead of its clock outbids all that come after it.
#[test]
fn a_server_that_entered_a_slot_is_not_ahead_of_its_clock_after_a_restart() {
    let foo = Slot::of_key(b"foo");
    let first = started_after(DAY_MS, |tokens, now| tokens.enter_slot(foo, now));
    assert!(first <= most_by_clock(DAY_MS), "{first}");
}

#[test]
fn a_server_that_saw_a_token_of_today_is_not_ahead_of_its_clock_after_a_restart() {
    let first = started_after(DAY_MS, |tokens, now| {
        tokens.see_clock(now);
        tokens.observe(token(DAY_MS * 4_096));
    });
    assert!(first <= most_by_clock(DAY_MS), "{first}");
}

#[test]
fn a_lower_counter_never_lowers_anything() {
    let mut tokens = Tokens::default();
    issue(&mut tokens);
    issue(&mut tokens);
    let before = tokens.stored();
    assert_eq!(before, Some(counter(2, 1 + RESERVE, 30)));
    assert_eq!(tokens.load(counter(1, 1, 1)), Ok(()));
    assert_eq!(tokens.load(StoredCounter::default()), Ok(()));
    tokens.observe(token(1));
    tokens.observe_cover(cover_of(1, 1));
    assert_eq!(tokens.stored(), before);
}

#[test]
fn each_number_of_a_counter_is_taken_in_if_it_is_higher() {
    let mut tokens = Tokens::default();
    for (loaded, known) in [
        (counter(5, 10, 30), counter(5, 10, 30)),
        (counter(6, 9, 29), counter(6, 10, 30)),
        (counter(5, 11, 29), counter(6, 11, 30)),
        (counter(5, 10, 31), counter(6, 11, 31)),
    ] {
        assert_eq!(tokens.load(loaded), Ok(()));
        assert_eq!(tokens.stored(), Some(known));
    }
    tokens.open_term(wall(0));
    assert_eq!(issue(&mut tokens).0, 12);
}

#[test]
fn a_higher_ceiling_brings_the_time_of_its_term_and_a_lower_one_does_not() {
    let since = |ceiling, since_ms| StoredCounter {
        since_ms,
        ..counter(0, ceiling, 30)
    };
    let mut tokens = Tokens::default();
    for (loaded, known) in [
        (since(10, 7), since(10, 7)),
        (since(9, 8), since(10, 7)),
        (since(10, 6), since(10, 7)),
        (since(11, 5), since(11, 5)),
    ] {
        assert_eq!(tokens.load(loaded), Ok(()));
        assert_eq!(tokens.stored(), Some(known));
    }
}

#[test]
fn a_cover_carries_the_time_at_which_its_term_began() {
    let mut tokens = Tokens::default();
    tokens.open_term(wall(7));
    let (_, cover) = issue(&mut tokens);
    assert_eq!(cover.map(|cover| cover.since), Some(wall(7)));
    assert_eq!(tokens.stored().map(|stored| stored.since_ms), Some(7));
    tokens.open_term(wall(9));
    let (_, cover) = issue(&mut tokens);
    assert_eq!(cover.map(|cover| cover.since), Some(wall(9)));
}

#[test]
fn each_number_of_a_masters_cover_is_taken_in_if_it_is_higher() {
    let mut tokens = Tokens::default();
    for (told, known) in [
        (cover_of(10, 30), counter(0, 10, 30)),
        (cover_of(11, 29), counter(0, 11, 30)),
        (cover_of(10, 31), counter(0, 11, 31)),
    ] {
        tokens.observe_cover(told);
        assert_eq!(tokens.stored(), Some(known));
    }
}

#[test]
fn a_counter_out_of_range_is_refused_whole() {
    let over = TOKEN_MOST + 1;
    let ttl_over = Ttl::MOST.as_ms() + 1;
    for bad in [
        counter(over, 10, 30),
        counter(5, over, 30),
        counter(5, 10, ttl_over),
        StoredCounter {
            since_ms: 1 << 41,
            ..counter(5, 10, 30)
        },
        counter(u64::MAX, u64::MAX, u64::MAX),
    ] {
        let mut tokens = Tokens::default();
        assert_eq!(tokens.load(bad), Err(CounterOutOfRange));
        assert_eq!(tokens.stored(), None);
        assert_eq!(issue(&mut tokens).0, 1);
        let mut server = Server::new();
        let answer = server.silently(Event::LoadCounter(bad));
        assert_eq!(answer, Answer::OutOfRange);
    }
}

#[test]
fn the_largest_counter_that_can_be_stored_is_taken_in() {
    let mut tokens = Tokens::default();
    let largest = StoredCounter {
        since_ms: (1 << 41) - 1,
        ..counter(TOKEN_MOST, TOKEN_MOST, Ttl::MOST.as_ms())
    };
    assert_eq!(tokens.load(largest), Ok(()));
    assert_eq!(tokens.issue(ttl(30)), None);
    tokens.open_term(WallTime::from_unix_ms(u64::MAX));
    assert_eq!(tokens.stored(), Some(largest));
}

#[test]
fn the_longest_lease_is_announced_once_and_never_a_shorter_one() {
    let mut server = Server::new();
    let covers = |effects: Vec<Effect>| -> Vec<_> {
        let is_cover = |effect: &Effect| matches!(effect, Effect::Cover(_));
        effects.into_iter().filter(is_cover).collect()
    };
    assert_eq!(
        covers(server.acquire(b"a", b"ann", 30).1),
        [first_cover(30)]
    );
    assert_eq!(covers(server.acquire(b"b", b"ann", 29).1), []);
    assert_eq!(
        covers(server.acquire(b"c", b"ann", 50).1),
        [first_cover(50)]
    );
    assert_eq!(covers(server.extend(b"a", b"ann", 50).1), []);
    assert_eq!(covers(server.extend(b"b", b"ann", 60).1), [first_cover(60)]);
}

#[test]
fn a_cover_lost_with_the_log_is_written_again_once() {
    let mut server = Server::new();
    server.silently(Event::LogBegun);
    assert_eq!(server.locks.take_lost_cover(), None, "nothing to cover");
    server.acquire(b"lock", b"ann", 30);
    assert_eq!(server.locks.take_lost_cover(), None, "nothing is lost");
    server.silently(Event::LogBegun);
    assert!(server.locks.tokens().has_lost_cover());
    let lost = server.locks.take_lost_cover();
    assert_eq!(lost, Some(cover_of(1 + RESERVE, 30)));
    assert!(!server.locks.tokens().has_lost_cover());
    assert_eq!(server.locks.take_lost_cover(), None, "written once");
}

#[test]
fn a_grant_writes_a_lost_cover_again_in_front_of_itself() {
    let mut server = Server::new();
    server.acquire(b"lock", b"ann", 30);
    server.silently(Event::LogBegun);
    let (_, effects) = server.acquire(b"other", b"ann", 20);
    assert_eq!(effects.first(), Some(&first_cover(30)));
    assert_eq!(server.locks.take_lost_cover(), None);
    let (_, effects) = server.acquire(b"third", b"ann", 20);
    assert!(matches!(effects[..], [Effect::Store(_), ..]));
}

#[test]
fn a_new_term_covers_its_first_grant() {
    let mut server = Server::new();
    server.open_term(wall(1));
    let (_, effects) = server.acquire(b"lock", b"ann", 30);
    assert_eq!(effects.first(), Some(&cover_since(4_097 + RESERVE, 30, 1)));
    server.open_term(wall(0));
    let first = 4_097 + RESERVE + 1;
    let (answer, effects) = server.acquire(b"other", b"ann", 30);
    assert_eq!(answer, Answer::Token(token(first)));
    assert_eq!(effects.first(), Some(&cover(first + RESERVE, 30)));
}

/// Two crashes, and both times only the same old ceiling is known, which is ahead
/// of the clock: the second term starts above what the first one issued.
#[test]
fn two_terms_from_one_ceiling_do_not_meet_if_the_clock_goes_on() {
    let known = Cover {
        ceiling: token(1 << 40),
        ttl_most: ttl(30),
        since: wall(1_000),
    };
    let start_at = |wall_ms| {
        let mut server = Server::new();
        server.silently(Event::ApplyCover(known));
        server.open_term(wall(wall_ms));
        server
    };
    let mut first = start_at(1_100);
    let answers = (0..2_048).map(|_| {
        let answer = first.acquire(b"lock", b"ann", 30).0;
        first.release(b"lock", b"ann", None);
        answer
    });
    let last = answers.last();
    assert_eq!(last, Some(Answer::Token(token((1 << 40) + 101 * 2_048))));
    let mut second = start_at(1_101);
    let next = second.acquire(b"lock", b"bob", 30).0;
    assert_eq!(next, Answer::Token(token((1 << 40) + 101 * 2_048 + 1)));
}

/// A limit that the README states. Each start that knows a ceiling puts the tokens a
/// reserve further ahead of the clock. If the ceilings of two starts in quick
/// succession are lost together, the next one needs more than the clock went on: half
/// a reserve for each 64 ms.
#[test]
fn ceilings_of_two_starts_lost_together_are_made_good_when_the_clock_went_on_for_both() {
    let started = |known: Option<Cover>, wall_ms| {
        let mut tokens = Tokens::default();
        known.into_iter().for_each(|it| tokens.observe_cover(it));
        tokens.open_term(wall(wall_ms));
        issue(&mut tokens)
    };
    let first = started(None, 1_000).1;
    let second = started(first, 1_001).1;
    let (lost, _) = started(second, 1_002);
    // Neither the second cover nor the third is known.
    let next_at = |wall_ms| started(first, wall_ms).0;
    assert!(next_at(1_003) < lost, "the limit");
    assert!(next_at(1_002 + 2 * 64) > lost);
}

/// A log that is read without its covers: nothing says when the term began.
#[test]
fn a_token_that_nothing_covered_does_not_carry_the_whole_clock_on() {
    for behind_ms in [0, 1, 60_000] {
        let mut tokens = Tokens::default();
        let seen = 244_140_625 * 4_096;
        tokens.observe(token(seen));
        tokens.open_term(wall(244_140_625 - behind_ms));
        assert_eq!(issue(&mut tokens).0, seen + 1);
    }
}
