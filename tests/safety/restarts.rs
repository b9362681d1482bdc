//! Restarts after random histories: what a file carries is held again, and tokens
//! go on above everything, however little of the log is left.

use crate::histories::Run;
use crate::lock::record::{decode, encode, VERSION};
use crate::lock::token::{Cover, StoredCounter, Tokens};
use crate::lock::{Answer, Event, Token};
use crate::random_steps::{history, Step};
use crate::replay;
use crate::server::{Sent, Server};
use crate::values::{the_hold, token, ttl, wall};
use proptest::prelude::*;

/// The first token of a server that just started.
fn first_token(server: &mut Server) -> Token {
    match server.acquire(b"a key of its own", b"ann", 30) {
        (Answer::Token(token), _) => token,
        (answer, _) => panic!("{answer:?} is no token"),
    }
}

proptest! {
    #![proptest_config(replay::config())]

    /// Nothing of the log is read but its covers, and when the log is begun anew
    /// all covers so far are lost.
    #[test]
    fn a_log_of_covers_alone_is_enough_to_start_above_every_token(steps in history()) {
        let mut run = Run::new();
        let mut started = Server::new();
        let mut is_begun = false;
        for step in steps {
            if matches!(step, Step::LogBegun) {
                started = Server::new();
                is_begun = false;
            }
            run.take(step);
            for sent in std::mem::take(&mut run.server.sent) {
                if matches!(sent, Sent::Cover(_)) {
                    started.apply(&sent);
                }
                is_begun |= matches!(sent, Sent::Cover(_) | Sent::Grant { .. });
            }
            if is_begun {
                prop_assert!(started.locks.tokens().ceiling() >= run.model.token_most());
            }
        }
        if is_begun {
            started.open_term(wall(0));
            prop_assert!(first_token(&mut started).get() > run.model.token_most());
        }
    }

    /// The written limit: up to the next cover, which was lost with the tail.
    #[test]
    fn a_replica_that_lost_the_tail_starts_above_what_its_last_cover_covered(
        steps in history(), cut in any::<prop::sample::Index>(),
    ) {
        let mut run = Run::new();
        for step in steps {
            run.take(step);
        }
        let sent = std::mem::take(&mut run.server.sent);
        let (heard, lost) = sent.split_at(cut.index(sent.len() + 1));
        let mut promoted = Server::new();
        for sent in heard {
            promoted.apply(sent);
        }
        let is_cover = |sent: &&Sent| matches!(sent, Sent::Cover(_));
        let covered = lost.iter().take_while(|sent| !is_cover(sent));
        let tokens = heard.iter().chain(covered).filter_map(|sent| match sent {
            Sent::Grant { token, .. } => Some(*token),
            _ => None,
        });
        let most = tokens.max();
        promoted.open_term(wall(0));
        prop_assert!(Some(first_token(&mut promoted)) > most);
    }

    #[test]
    fn a_file_brings_back_every_hold_and_tokens_go_on_above_them(
        steps in history(), shift_ns in 0..10_000_000u64,
    ) {
        let mut run = Run::new();
        for step in steps {
            run.take(step);
        }
        let before = &run.server;
        let mut started = Server::new();
        // Another boot: the clock reads anything.
        started.advance_ns(shift_ns);
        let counter = before.locks.tokens().stored();
        started.silently(Event::LoadCounter(counter.unwrap_or_default()));
        for (db, key, handle) in before.keys() {
            let bytes = encode(before.now, before.locks.lock(handle));
            let holders = decode(VERSION, &bytes).expect("sound");
            prop_assert_eq!(!holders.is_empty(), before.locks.lock(handle).is_some());
            let (Some(holder), Some(saved)) = (holders.first(), before.locks.lock(handle)) else {
                continue;
            };
            started.db = db;
            started.apply_grant(key, holder.owner, holder.token, holder.lease.expect("it runs"));
            let loaded = started.locks.lock(started.handle(key)).expect("loaded");
            prop_assert_eq!(&the_hold(loaded).owner, &the_hold(saved).owner);
            prop_assert_eq!(the_hold(loaded).token, the_hold(saved).token);
            let left_ns = |deadline_ns: u64, now_ns| deadline_ns.saturating_sub(now_ns);
            let left_there = left_ns(the_hold(saved).deadline.as_ns(), before.now.as_ns());
            let left_here = left_ns(the_hold(loaded).deadline.as_ns(), started.now.as_ns());
            prop_assert!((left_there..=left_there + 1_000_000).contains(&left_here));
        }
        started.open_term(wall(0));
        prop_assert!(first_token(&mut started).get() > run.model.token_most());
    }

    #[test]
    fn a_stored_counter_is_within_the_range_that_loading_accepts(steps in history()) {
        let mut run = Run::new();
        for step in steps {
            run.take(step);
            let stored = run.server.locks.tokens().stored();
            let stored: StoredCounter = stored.unwrap_or_default();
            let mut started = Server::new();
            prop_assert_eq!(started.silently(Event::LoadCounter(stored)), Answer::Yes);
        }
    }
}

/// What a server knows that lost everything but a cover, and starts at `wall_ms`.
fn started_from(cover: Cover, wall_ms: u64) -> Tokens {
    let mut tokens = Tokens::default();
    tokens.observe_cover(cover);
    tokens.open_term(wall(wall_ms));
    tokens
}

proptest! {
    #![proptest_config(replay::config())]

    /// Two crashes, and what the first restart wrote is lost with the second. As
    /// long as the clock goes on, that does no harm, whether the ceiling is ahead
    /// of the clock or behind it.
    #[test]
    fn a_later_start_from_one_cover_is_above_all_that_an_earlier_one_could_issue(
        since_ms in 0..1_000u64,
        lead_ms in prop_oneof![0..200u64, 0..3_600_000u64],
        (crash_ms, again_ms) in prop_oneof![
            (0..200u64, 1..200u64),
            (0..3_600_000u64, 1..3_600_000u64),
        ],
    ) {
        let known = Cover {
            ceiling: token((since_ms + lead_ms) * 4_096 + 1),
            ttl_most: ttl(30),
            since: wall(since_ms),
        };
        let first_ms = since_ms + crash_ms;
        let first = started_from(known, first_ms);
        let second = started_from(known, first_ms + again_ms);
        // No server grants 2,048 in a millisecond.
        prop_assert!(second.last() >= first.last() + again_ms * 2_048);
    }
}
