//! Waiting in line, by the rules alone.

use crate::lock::slots::Slot;
use crate::lock::{Answer, BootTime, ClientId, Effect, Event, Extension, Locks, News, Patience};
use crate::lock::{Delay, LockId, Place, TicketId, Token, Tolerance};
use crate::server::Server;
use crate::values::{end, token, ttl, wall};

/// One key, and what the keyspace holds under it.
struct OneKey {
    locks: Locks,
    now_ms: u64,
    held: Option<LockId>,
}

type Told = Vec<(TicketId, News)>;

impl OneKey {
    fn new() -> Self {
        Self {
            locks: Locks::default(),
            now_ms: 1,
            held: None,
        }
    }

    fn place(&self) -> Place<'static> {
        Place {
            db: 0,
            key: b"lock",
            lock: self.held,
        }
    }

    /// Lets an event happen and carries out what comes of it; who was told what.
    fn step(&mut self, event: Event<'_>) -> (Answer, Told) {
        let now = BootTime::from_ns(self.now_ms * 1_000_000);
        let mut effects = Vec::new();
        let answer = self.locks.step(now, event, &mut effects);
        let mut told = Told::new();
        for effect in effects {
            match effect {
                Effect::Store(lock) => self.held = Some(lock),
                Effect::Delete { .. } => self.held = None,
                Effect::Reply { ticket, news } => told.push((ticket, news)),
                _ => {}
            }
        }
        assert_eq!(self.locks.broken_invariant(), None);
        (answer, told)
    }

    fn ask(&mut self, owner: &[u8], patience: Patience, session: Option<u64>) -> Answer {
        let event = Event::Acquire {
            at: self.place(),
            owner,
            ttl: ttl(100),
            session: session.and_then(ClientId::new),
            tolerates: Tolerance::ALONE,
            delay: Delay::NONE,
            patience,
        };
        self.step(event).0
    }

    fn try_it(&mut self, owner: &[u8]) -> Answer {
        self.ask(owner, Patience::Try, None)
    }

    fn wait_until(&mut self, owner: &[u8], ms: Option<u64>) -> TicketId {
        let patience = Patience::Wait {
            until: ms.map(|ms| BootTime::from_ns(ms * 1_000_000)),
            waiters_most: 10,
        };
        match self.ask(owner, patience, None) {
            Answer::InLine(ticket) => ticket,
            other => panic!("{other:?}"),
        }
    }

    fn wait(&mut self, owner: &[u8]) -> TicketId {
        self.wait_until(owner, None)
    }

    fn release(&mut self, owner: &[u8]) -> (Answer, Told) {
        let at = self.place();
        let event = Event::Release {
            at,
            owner,
            token: None,
        };
        self.step(event)
    }

    /// What the shell does before each sleep.
    fn turn(&mut self) -> Told {
        let mut told = self.step(Event::SweepWaits { most: 100 }).1;
        told.extend(self.step(Event::Sweep { most: 100 }).1);
        while self.locks.take_ready_line().is_some() {
            let at = self.place();
            told.extend(self.step(Event::GrantNext { at }).1);
        }
        told
    }

    fn live(&mut self) -> Option<Token> {
        let at = self.place();
        match self.step(Event::Fence { at, token: None }).0 {
            Answer::Token(token) => Some(token),
            _ => None,
        }
    }
}

fn granted(number: u64) -> News {
    News::Granted(token(number))
}

#[test]
fn a_release_hands_over_in_the_same_step_to_the_first_in_line() {
    let mut lock = OneKey::new();
    lock.try_it(b"ann");
    let bob = lock.wait(b"bob");
    let eve = lock.wait(b"eve");
    assert_eq!(lock.release(b"ann"), (Answer::Yes, vec![(bob, granted(2))]));
    assert_eq!(lock.try_it(b"newcomer"), Answer::NoToken);
    assert_eq!(lock.release(b"bob"), (Answer::Yes, vec![(eve, granted(3))]));
    assert_eq!(lock.release(b"eve"), (Answer::Yes, vec![]));
    assert_eq!(lock.try_it(b"newcomer"), Answer::Token(token(4)));
}

#[test]
fn a_hand_over_ends_the_old_hold_before_it_sends_the_new_one() {
    let mut lock = OneKey::new();
    lock.try_it(b"ann");
    let ticket = lock.wait(b"bob");
    let now = BootTime::from_ns(1_000_000);
    let mut effects = Vec::new();
    let event = Event::Release {
        at: lock.place(),
        owner: b"ann",
        token: None,
    };
    lock.locks.step(now, event, &mut effects);
    let [Effect::End { .. }, Effect::Store(new), rest @ ..] = &effects[..] else {
        panic!("{effects:?}");
    };
    let expected = [
        Effect::Grant {
            lock: *new,
            token: token(2),
            ttl: ttl(100),
        },
        Effect::Signal,
        Effect::Reply {
            ticket,
            news: granted(2),
        },
    ];
    assert_eq!(rest, expected);
}

#[test]
fn a_lease_that_runs_out_goes_to_the_first_in_line_and_to_nobody_else() {
    let mut lock = OneKey::new();
    lock.try_it(b"ann");
    let bob = lock.wait(b"bob");
    lock.now_ms += 100;
    // Free at this instant, but somebody was here first; also for its old owner.
    assert_eq!(lock.try_it(b"eve"), Answer::NoToken);
    assert_eq!(lock.try_it(b"ann"), Answer::NoToken);
    assert_eq!(lock.turn(), [(bob, granted(2))]);
    assert_eq!(lock.live(), Some(token(2)));
}

#[test]
fn a_wait_that_runs_out_leaves_the_line() {
    let mut lock = OneKey::new();
    lock.try_it(b"ann");
    let bob = lock.wait_until(b"bob", Some(5));
    lock.now_ms = 4;
    assert_eq!(lock.turn(), []);
    lock.now_ms = 5;
    assert_eq!(lock.turn(), [(bob, News::NotYours)]);
    assert_eq!(lock.release(b"ann"), (Answer::Yes, vec![]));
    assert_eq!(lock.locks.waiting(), 0);
}

#[test]
fn a_grant_that_nobody_heard_of_goes_to_the_next() {
    let mut lock = OneKey::new();
    lock.try_it(b"ann");
    let bob = lock.wait(b"bob");
    let eve = lock.wait(b"eve");
    lock.release(b"ann");
    lock.step(Event::TicketGone(bob));
    // Over at once for every command, and passed on in this turn.
    assert_eq!(lock.live(), None);
    assert_eq!(lock.turn(), [(eve, granted(3))]);
    lock.step(Event::TicketDelivered(eve));
    lock.step(Event::TicketGone(eve));
    assert_eq!(lock.turn(), []);
    assert_eq!(lock.live(), Some(token(3)), "a delivered grant stays");
}

#[test]
fn a_grant_that_one_of_two_connections_heard_of_stays() {
    let mut lock = OneKey::new();
    lock.try_it(b"ann");
    let first = lock.wait(b"bob");
    let second = lock.wait(b"bob");
    let told = lock.release(b"ann").1;
    assert_eq!(told, [(first, granted(2)), (second, granted(2))]);
    lock.step(Event::TicketDelivered(first));
    lock.step(Event::TicketGone(second));
    assert_eq!(lock.turn(), []);
    assert_eq!(lock.live(), Some(token(2)));
}

#[test]
fn a_session_takes_its_holds_along_and_no_others() {
    let mut lock = OneKey::new();
    lock.ask(b"ann", Patience::Try, Some(7));
    let bob = lock.wait(b"bob");
    lock.step(Event::SessionEnded(ClientId::new(8).expect("a number")));
    assert_eq!(lock.turn(), []);
    lock.step(Event::SessionEnded(ClientId::new(7).expect("a number")));
    assert_eq!(lock.live(), None);
    assert_eq!(lock.turn(), [(bob, granted(2))]);
}

#[test]
fn who_asks_again_without_session_is_bound_no_more() {
    let mut lock = OneKey::new();
    lock.ask(b"ann", Patience::Try, Some(7));
    assert_eq!(lock.try_it(b"ann"), Answer::Token(token(1)));
    lock.step(Event::SessionEnded(ClientId::new(7).expect("a number")));
    assert_eq!(lock.live(), Some(token(1)));
}

#[test]
fn the_line_has_an_end() {
    let mut lock = OneKey::new();
    lock.try_it(b"ann");
    let tickets: Vec<TicketId> = (0..10_u8).map(|number| lock.wait(&[number])).collect();
    let patience = Patience::Wait {
        until: None,
        waiters_most: 10,
    };
    assert_eq!(lock.ask(b"bob", patience, None), Answer::QueueFull);
    lock.step(Event::TicketGone(tickets[4]));
    assert!(matches!(
        lock.ask(b"bob", patience, None),
        Answer::InLine(_)
    ));
}

#[test]
fn without_tokens_everybody_in_line_is_told() {
    let mut lock = OneKey::new();
    lock.try_it(b"ann");
    let (bob, eve) = (lock.wait(b"bob"), lock.wait(b"eve"));
    lock.step(Event::ApplyCover(crate::lock::token::Cover {
        ceiling: Token::MOST,
        ttl_most: ttl(1),
        since: crate::values::wall(0),
    }));
    lock.step(Event::OpenTerm(crate::values::wall(0)));
    let none = News::TokensExhausted;
    let told = lock.release(b"ann").1;
    assert_eq!(told, [(bob, none), (eve, none)]);
    assert_eq!(lock.locks.waiting(), 0);
    assert_eq!((lock.live(), lock.held), (None, None), "it was given back");
}

fn client(number: u64) -> ClientId {
    ClientId::new(number).expect("a number")
}

#[test]
fn a_flush_and_its_reclaim_leave_nothing_of_a_session() {
    let mut lock = OneKey::new();
    lock.ask(b"ann", Patience::Try, Some(7));
    lock.step(Event::Flushed { db: Some(0) });
    lock.step(Event::Reclaim { most: u32::MAX });
    assert!(lock.locks.is_empty());
    assert!(!lock.locks.has_sessions());
}

#[test]
fn a_session_that_ends_between_a_flush_and_its_reclaim_leaves_nothing() {
    let mut lock = OneKey::new();
    lock.ask(b"ann", Patience::Try, Some(7));
    lock.step(Event::Flushed { db: Some(0) });
    lock.step(Event::SessionEnded(client(7)));
    assert!(!lock.locks.has_sessions());
}

#[test]
fn what_a_master_says_of_a_lock_is_bound_to_no_connection_of_this_server() {
    let mut lock = OneKey::new();
    lock.ask(b"ann", Patience::Try, Some(7));
    let at = lock.place();
    lock.step(Event::ApplyGrant {
        at,
        owner: b"bob",
        token: token(9),
        lease: Some(ttl(100)),
        tolerates: Tolerance::ALONE,
        delay: Delay::NONE,
    });
    lock.step(Event::SessionEnded(client(7)));
    assert_eq!(lock.live(), Some(token(9)));
    assert!(!lock.locks.has_sessions());
}

#[test]
fn who_was_told_by_extend_that_the_lock_is_held_keeps_it() {
    for extension in [
        Extension::Plain(None),
        Extension::Plain(Some(token(2))),
        Extension::Raise(token(2), wall(0)),
    ] {
        let mut lock = OneKey::new();
        lock.try_it(b"ann");
        let bob = lock.wait(b"bob");
        lock.release(b"ann");
        let at = lock.place();
        let extend = Event::Extend {
            at,
            owner: b"bob",
            ttl: ttl(50),
            extension,
        };
        assert_ne!(lock.step(extend).0, Answer::No);
        lock.step(Event::TicketGone(bob));
        assert_eq!(lock.live(), Some(token(2)), "{extension:?}");
    }
}

#[test]
fn a_release_of_one_token_leaves_the_line_alone() {
    let mut lock = OneKey::new();
    lock.try_it(b"ann");
    let bob = lock.wait(b"bob");
    let at = lock.place();
    let late = Event::Release {
        at,
        owner: b"bob",
        token: Some(token(1)),
    };
    assert_eq!(lock.step(late), (Answer::No, vec![]));
    assert_eq!(lock.release(b"ann"), (Answer::Yes, vec![(bob, granted(2))]));
}

#[test]
fn a_wish_goes_with_the_connection_that_had_it() {
    let mut lock = OneKey::new();
    lock.try_it(b"ann");
    let patience = Patience::Wait {
        until: None,
        waiters_most: 10,
    };
    let Answer::InLine(first) = lock.ask(b"bob", patience, Some(7)) else {
        panic!("somebody holds the lock");
    };
    let Answer::InLine(second) = lock.ask(b"bob", patience, Some(8)) else {
        panic!("somebody holds the lock");
    };
    lock.step(Event::SessionEnded(client(8)));
    lock.step(Event::TicketGone(second));
    assert_eq!(lock.release(b"ann").1, [(first, granted(2))]);
    lock.step(Event::TicketDelivered(first));
    // Bound to the connection that was granted, not to one that was gone before.
    lock.step(Event::SessionEnded(client(7)));
    assert_eq!(lock.live(), None);
}

#[test]
fn a_grant_in_place_of_a_lapsed_hold_ends_that_one_before_it_is_sent() {
    let mut lock = OneKey::new();
    lock.try_it(b"ann");
    lock.wait(b"bob");
    lock.now_ms += 100;
    let now = BootTime::from_ns(lock.now_ms * 1_000_000);
    let mut effects = Vec::new();
    let at = lock.place();
    // The sweep has not come by.
    lock.locks.step(now, Event::GrantNext { at }, &mut effects);
    assert_eq!(effects[0], end(b"ann", 1));
    assert_eq!(lock.locks.len(), 1);
}

#[test]
fn an_unread_grant_that_a_master_replaced_is_not_given_back() {
    let mut lock = OneKey::new();
    lock.try_it(b"ann");
    let bob = lock.wait(b"bob");
    lock.release(b"ann");
    let at = lock.place();
    lock.step(Event::ApplyGrant {
        at,
        owner: b"eve",
        token: token(9),
        lease: Some(ttl(100)),
        tolerates: Tolerance::ALONE,
        delay: Delay::NONE,
    });
    lock.step(Event::TicketGone(bob));
    assert_eq!(lock.live(), Some(token(9)));
}

#[test]
fn lines_are_looked_at_in_the_order_in_which_their_locks_ended() {
    let mut server = Server::new();
    let keys: [&[u8]; 3] = [b"c", b"a", b"b"];
    let patience = Patience::Wait {
        until: None,
        waiters_most: 10,
    };
    for key in keys {
        server.acquire(key, b"ann", 100);
        server.acquire_with(key, b"bob", 100, None, patience);
    }
    for key in keys {
        assert!(server.del(key));
    }
    let next = |server: &mut Server| server.locks.take_ready_line().map(|it| it.1.to_vec());
    let refused = next(&mut server).expect("three are ready");
    assert_eq!(refused, b"c");
    // Who could not be served comes last.
    server.locks.put_ready_line_back(0, &refused);
    for key in [b"a", b"b", b"c"] {
        assert_eq!(next(&mut server), Some(key.to_vec()));
    }
    assert_eq!(next(&mut server), None);
    // Nobody was granted here: all are noted again.
    server.flush(None);
    server.turn();
    assert_eq!(server.locks.len(), 3);
}

#[test]
fn who_waits_in_an_open_slot_stays_and_is_told_when_the_slot_left() {
    let slot = Slot::of_key(b"lock");
    let mut lock = OneKey::new();
    lock.locks.enter_slot(b"lock", crate::values::wall(0));
    lock.try_it(b"ann");
    let bob = lock.wait(b"bob");
    assert_eq!(lock.step(Event::SlotOpen(slot)), (Answer::Yes, vec![]));
    assert!(lock.locks.is_new_slot(b"lock"), "another may grant in it");
    assert_eq!(lock.locks.waiting(), 1);
    let moved = (bob, News::Moved(slot));
    assert_eq!(lock.step(Event::SlotLeft(slot)), (Answer::Yes, vec![moved]));
    assert_eq!(lock.locks.waiting(), 0);
}

#[test]
fn a_line_that_goes_leaves_the_others_to_be_looked_at_in_their_order() {
    let mut locks = Locks::default();
    let now = BootTime::from_ns(1_000_000);
    let keys: [&[u8]; 4] = [b"a", b"b", b"c", b"d"];
    let tickets = keys.map(|key| {
        let mut held = None;
        let mut ask = |owner, patience| {
            let at = Place {
                db: 0,
                key,
                lock: held,
            };
            let event = Event::Acquire {
                at,
                owner,
                ttl: ttl(100),
                session: None,
                tolerates: Tolerance::ALONE,
                delay: Delay::NONE,
                patience,
            };
            let mut effects = Vec::new();
            let answer = locks.step(now, event, &mut effects);
            for effect in effects {
                if let Effect::Store(lock) = effect {
                    held = Some(lock);
                }
            }
            answer
        };
        ask(b"holder", Patience::Try);
        let patience = Patience::Wait {
            until: None,
            waiters_most: 10,
        };
        match ask(b"waiter", patience) {
            Answer::InLine(ticket) => ticket,
            other => panic!("{other:?}"),
        }
    });
    // All come free at once, and the only one who waits for the second goes.
    locks.step(now, Event::Flushed { db: None }, &mut Vec::new());
    assert_eq!(locks.lines_ready(), 4);
    locks.step(now, Event::TicketGone(tickets[1]), &mut Vec::new());
    assert_eq!(locks.lines_ready(), 3);
    let mut next = || locks.take_ready_line().map(|(_, key)| key.to_vec());
    let order: Vec<Vec<u8>> = std::iter::from_fn(&mut next).collect();
    assert_eq!(order, [b"a", b"c", b"d"]);
}
