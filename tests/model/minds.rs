//! What a server knows about tokens, and how that changes: the real rules.
//!
//! A [`Mind`] names a state of [`Locks`], reached by a list of inputs. The rules are
//! asked once for each pair of a mind and an input, on `Locks` that were brought into
//! that state by the same inputs; the model's worlds hold names only. Two states are
//! the same mind if the counter is the same in all its parts, as printed (`printed`), and the key
//! has the same holder: the model has one key, all leases are equally long, none runs
//! out and nobody waits, so that nothing else is left by which they could differ.

use crate::lock::holders::HoldRef;
use crate::lock::token::{Cover, StoredCounter, Tokens};
use crate::lock::{
    Answer, BootTime, Delay, Effect, Event, Extension, LockId, Locks, Patience, Place, Token,
    Tolerance, Ttl, WallTime,
};
use std::collections::HashMap;
use std::sync::Arc;

/// The counter in all its parts but for the number of changes, by which no token goes: the
/// shell compares it to tell whether a file has the last of them.
fn printed(tokens: &Tokens) -> String {
    let all = format!("{tokens:?}");
    let (parts, changes) = all.rsplit_once(", changes: ").expect("it is the last part");
    assert!(
        changes.ends_with(" }") && !changes.contains(','),
        "{changes}"
    );
    parts.to_owned()
}

/// The state of a server's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mind(u32);

/// What log and replicas are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sent {
    Cover {
        ceiling: u64,
        ttl_ms: u64,
        since_ms: u64,
    },
    Grant(Held),
    Deleted,
}

/// Who holds the key, with which token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Held {
    pub owner: u8,
    pub token: u64,
}

/// A counter as a file has it: last, ceiling, longest lease, since.
pub type Counter = [u64; 4];

/// One transaction: all of it arrives, or nothing.
pub type Unit = Arc<[Sent]>;

/// What happens to a server's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    OpenTerm {
        wall_ms: u64,
    },
    Apply(Sent),
    Load(Counter),
    Flushed,
    Demoted,
    LogBegun,
    /// What a turn of the event loop writes.
    Turn,
    /// The holder releases and another owner is granted.
    HandOver,
    Raise {
        token: u64,
        wall_ms: u64,
    },
    /// As if so many tokens had been issued, none of which needed a new cover.
    Leap(u64),
}

/// What comes of an input.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub mind: Mind,
    pub unit: Unit,
}

/// What can be seen of a mind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    pub last: u64,
    pub ceiling: u64,
    pub stored: Option<Counter>,
    pub held: Option<Held>,
}

/// Every mind that was met.
#[derive(Debug, Default)]
pub struct Minds {
    names: HashMap<(String, Option<Held>), Mind>,
    histories: Vec<Vec<Input>>,
    views: Vec<View>,
    outcomes: HashMap<(Mind, Input), Outcome>,
}

impl Minds {
    /// That of a server that just started.
    pub fn newborn(&mut self) -> Mind {
        self.named(&Server::default(), Vec::new)
    }

    /// What can be seen of it.
    pub fn view(&self, mind: Mind) -> View {
        self.views[mind.0 as usize]
    }

    /// What comes of an input.
    pub fn step(&mut self, mind: Mind, input: Input) -> Outcome {
        if let Some(known) = self.outcomes.get(&(mind, input)) {
            return known.clone();
        }
        let mut server = Server::default();
        let history = self.histories[mind.0 as usize].clone();
        for &before in &history {
            server.take(before);
        }
        let unit = server.take(input).into();
        let then = || [history, vec![input]].concat();
        let outcome = Outcome {
            mind: self.named(&server, then),
            unit,
        };
        self.outcomes.insert((mind, input), outcome.clone());
        outcome
    }

    fn named(&mut self, server: &Server, history: impl FnOnce() -> Vec<Input>) -> Mind {
        let view = server.view();
        let key = (printed(server.locks.tokens()), view.held);
        let next = Mind(self.histories.len() as u32);
        *self.names.entry(key).or_insert_with(|| {
            self.histories.push(history());
            self.views.push(view);
            next
        })
    }
}

/// The rules, and the one key.
#[derive(Default)]
struct Server {
    locks: Locks,
    handle: Option<LockId>,
}

const KEY: &[u8] = b"lock";
const OWNERS: [&[u8]; 2] = [b"ann", b"bob"];
const LEASE_MS: u64 = 30_000;

impl Server {
    fn view(&self) -> View {
        let tokens = self.locks.tokens();
        let counter = |it: StoredCounter| [it.last, it.ceiling, it.ttl_most_ms, it.since_ms];
        View {
            last: tokens.last(),
            ceiling: tokens.ceiling(),
            stored: tokens.stored().map(counter),
            held: self.hold().map(held),
        }
    }

    fn hold(&self) -> Option<HoldRef<'_>> {
        self.locks.lock(self.handle?)?.holders.iter().next()
    }

    fn take(&mut self, input: Input) -> Vec<Sent> {
        let at = self.at();
        match input {
            Input::OpenTerm { wall_ms } => self.silently(Event::OpenTerm(wall(wall_ms))),
            Input::Apply(sent) => self.apply(sent),
            Input::Load([last, ceiling, ttl_most_ms, since_ms]) => {
                self.silently(Event::LoadCounter(StoredCounter {
                    last,
                    ceiling,
                    ttl_most_ms,
                    since_ms,
                }));
            }
            Input::Flushed => {
                self.silently(Event::Flushed { db: None });
                self.silently(Event::Reclaim { most: u32::MAX });
                self.handle = None;
            }
            Input::Demoted => self.silently(Event::Demoted),
            Input::LogBegun => self.silently(Event::LogBegun),
            Input::Turn => {
                let lost = self.locks.take_lost_cover();
                return lost.map(cover_sent).into_iter().collect();
            }
            Input::HandOver => return self.hand_over(),
            Input::Raise { token, wall_ms } => {
                let owner = self.hold().map(|hold| hold.owner.to_vec());
                return self.step(Event::Extend {
                    at,
                    owner: &owner.expect("there is a holder"),
                    ttl: lease(),
                    extension: Extension::Raise(number(token), wall(wall_ms)),
                });
            }
            Input::Leap(count) => {
                let last = self.locks.tokens().last() + count;
                self.silently(Event::LoadCounter(StoredCounter {
                    last,
                    ..StoredCounter::default()
                }));
            }
        }
        Vec::new()
    }

    fn at(&self) -> Place<'static> {
        Place {
            db: 0,
            key: KEY,
            lock: self.handle,
        }
    }

    fn hand_over(&mut self) -> Vec<Sent> {
        let before = self.hold().map(held);
        let mut sent = Vec::new();
        if let Some(before) = before {
            sent = self.step(Event::Release {
                at: self.at(),
                owner: OWNERS[usize::from(before.owner)],
                token: None,
            });
        }
        let next = before.map_or(0, |before| 1 - before.owner);
        sent.extend(self.step(Event::Acquire {
            at: self.at(),
            owner: OWNERS[usize::from(next)],
            ttl: lease(),
            session: None,
            tolerates: Tolerance::ALONE,
            delay: Delay::NONE,
            patience: Patience::Try,
        }));
        sent
    }

    fn apply(&mut self, sent: Sent) {
        match sent {
            Sent::Cover {
                ceiling,
                ttl_ms,
                since_ms,
            } => self.silently(Event::ApplyCover(Cover {
                ceiling: number(ceiling),
                ttl_most: Ttl::from_ms(ttl_ms).expect("within range"),
                since: wall(since_ms),
            })),
            Sent::Grant(held) => {
                self.step(Event::ApplyGrant {
                    at: self.at(),
                    owner: OWNERS[usize::from(held.owner)],
                    token: number(held.token),
                    lease: Some(lease()),
                    tolerates: Tolerance::ALONE,
                    delay: Delay::NONE,
                });
            }
            Sent::Deleted => {
                if let Some(lock) = self.handle.take() {
                    self.silently(Event::Unlinked { lock });
                }
            }
        }
    }

    fn silently(&mut self, event: Event<'_>) {
        assert_eq!(self.step(event), []);
    }

    /// A step, with the shell's part in it; what is sent.
    fn step(&mut self, event: Event<'_>) -> Vec<Sent> {
        let mut effects = Vec::new();
        let answer = self.locks.step(BootTime::from_ns(1), event, &mut effects);
        let is_refused = matches!(answer, Answer::RaiseTooFar(_) | Answer::OutOfRange);
        assert!(!is_refused, "{event:?}: {answer:?}");
        let sent = effects.into_iter().filter_map(|effect| match effect {
            Effect::Cover(cover) => Some(cover_sent(cover)),
            Effect::Store(lock) => {
                self.handle = Some(lock);
                None
            }
            Effect::Grant { .. } => self.hold().map(held).map(Sent::Grant),
            Effect::Delete { .. } => {
                self.handle = None;
                Some(Sent::Deleted)
            }
            Effect::Signal => None,
            other => unreachable!("{other:?}: nothing cools, nobody waits"),
        });
        let sent = sent.collect();
        assert_eq!(self.locks.broken_invariant(), None, "after {event:?}");
        sent
    }
}

fn cover_sent(cover: Cover) -> Sent {
    Sent::Cover {
        ceiling: cover.ceiling.get(),
        ttl_ms: cover.ttl_most.as_ms(),
        since_ms: cover.since.as_ms_since_2024(),
    }
}

fn held(hold: HoldRef<'_>) -> Held {
    Held {
        owner: u8::from(*hold.owner == *OWNERS[1]),
        token: hold.token.get(),
    }
}

fn lease() -> Ttl {
    Ttl::from_ms(LEASE_MS).expect("within range")
}

fn number(token: u64) -> Token {
    Token::new(token).expect("within range")
}

fn wall(ms: u64) -> WallTime {
    WallTime::from_ms_since_2024(ms).expect("within range")
}

/// The abstraction of the model, proved: a leap is as many grants.
#[test]
fn a_leap_leaves_the_counter_as_so_many_grants_do() {
    const COUNT: u64 = 300_000;
    let mut slow = Server::default();
    slow.take(Input::OpenTerm { wall_ms: 64_000 });
    let mut fast = Server::default();
    fast.take(Input::OpenTerm { wall_ms: 64_000 });
    // What needs a cover is granted in both; what does not is leapt over in one.
    let mut leap = 0;
    for _ in 0..COUNT {
        let sent = slow.take(Input::HandOver);
        let needs_cover = sent.iter().any(|it| matches!(it, Sent::Cover { .. }));
        if needs_cover {
            fast.take(Input::Leap(leap));
            let there = fast.take(Input::HandOver);
            assert_eq!(
                there[there.len() - 2..],
                sent[sent.len() - 2..],
                "as covered"
            );
            leap = 0;
        } else {
            leap += 1;
        }
    }
    fast.take(Input::Leap(leap));
    let (slow, fast) = (slow.locks.tokens(), fast.locks.tokens());
    assert_eq!(printed(slow), printed(fast));
}
