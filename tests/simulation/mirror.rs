//! What somebody sees who listens to a node: who holds what, by what was sent to
//! its log and replicas, and who stands in line, by what clients were told.
//!
//! It is written without the rules, and is what they are compared with.

use crate::lock::holders::StoredHold;
use crate::lock::{BootTime, Tolerance};
use crate::sent::Sent;

/// The largest token, and the largest ceiling, that a node was told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) last: u64,
    pub(crate) ceiling: u64,
    /// When the term of the ceiling began, if it was said.
    since_ms: Option<u64>,
}

impl Known {
    pub(crate) fn hear(&mut self, sent: &Sent) {
        match sent {
            Sent::Cover(cover) => self.join(Self {
                last: 0,
                ceiling: cover.ceiling.get(),
                since_ms: Some(cover.since.as_ms_since_2024()),
            }),
            Sent::Grant { token, .. } | Sent::Cooling { token, .. } => self.hear_token(token.get()),
            _ => {}
        }
    }

    fn hear_token(&mut self, token: u64) {
        self.join(Self {
            last: token,
            ceiling: token,
            since_ms: None,
        });
    }

    pub(crate) fn join(&mut self, other: Self) {
        self.last = self.last.max(other.last);
        if other.ceiling > self.ceiling {
            (self.ceiling, self.since_ms) = (other.ceiling, other.since_ms);
        }
    }

    /// A term that begins then must begin above this: 2,048 tokens above the ceiling
    /// for each millisecond since the term of that, and 4,096 for each since 2024.
    pub(crate) fn most_at(self, wall_ms: u64) -> u64 {
        let went_on_ms = self
            .since_ms
            .map_or(0, |since| wall_ms.saturating_sub(since));
        let by_ceiling = match self.ceiling {
            0 => 0,
            ceiling => ceiling + (went_on_ms << 11),
        };
        self.last.max(by_ceiling).max(wall_ms << 12)
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct SeenHold {
    pub(crate) owner: u64,
    pub(crate) token: u64,
    pub(crate) deadline: u64,
    pub(crate) delay: u64,
    pub(crate) tolerates: Tolerance,
    /// Bound to this connection.
    pub(crate) session: Option<u64>,
    /// A client was told of it. Until then it ends with the connection in line.
    pub(crate) is_heard: bool,
}

impl SeenHold {
    pub(crate) fn over_at(&self) -> u64 {
        self.deadline + self.delay
    }

    pub(crate) fn counts(&self, now: u64) -> bool {
        now < self.over_at()
    }

    pub(crate) fn is_live(&self, now: u64) -> bool {
        now < self.deadline
    }
}

/// Holds with what was left of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct SavedHolds(Vec<Vec<SeenHold>>);

impl SavedHolds {
    pub(crate) fn new(keys: usize) -> Self {
        Self(vec![Vec::new(); keys])
    }

    /// A record has it.
    pub(crate) fn add(&mut self, key: usize, hold: &StoredHold<'_>) {
        self.0[key].push(SeenHold {
            owner: owner_number(hold.owner),
            token: hold.token.get(),
            deadline: hold.lease.map_or(0, |ttl| ttl.as_ms() * MS),
            delay: hold.delay.as_ms() * MS,
            tolerates: hold.tolerates,
            session: None,
            is_heard: true,
        });
    }

    /// Nothing that is held is left out, and none of its time.
    pub(crate) fn check(&self, now: BootTime, mirror: &Mirror) {
        let now = now.as_ns();
        for (saved, seen) in self.0.iter().zip(&mirror.holds) {
            for hold in seen.iter().filter(|hold| hold.counts(now)) {
                let left = |until: u64| until.saturating_sub(now).div_ceil(MS) * MS;
                let is_it = |it: &SeenHold| {
                    (it.owner, it.token) == (hold.owner, hold.token)
                        && it.deadline == left(hold.deadline)
                        && match hold.is_live(now) {
                            true => it.delay == hold.delay,
                            false => it.delay == left(hold.over_at()),
                        }
                };
                assert!(
                    saved.iter().any(is_it),
                    "a snapshot lacks {hold:?}: {saved:?}"
                );
            }
        }
    }

    /// What can be known from the holds alone.
    pub(crate) fn known(&self) -> Known {
        let mut known = Known::default();
        for hold in self.0.iter().flatten() {
            known.hear_token(hold.token);
        }
        known
    }
}

/// A place in line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeenPlace {
    pub(crate) owner: u64,
    pub(crate) tolerates: Tolerance,
    pub(crate) connections: usize,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Mirror {
    /// By key.
    pub(crate) holds: Vec<Vec<SeenHold>>,
    pub(crate) lines: Vec<Vec<SeenPlace>>,
    pub(crate) known: Known,
}

/// Which of the keys, all of which have one letter.
pub(crate) fn key_number(key: &[u8]) -> usize {
    usize::from(key[0] - b'a')
}

pub(crate) fn owner_number(owner: &[u8]) -> u64 {
    u64::from_be_bytes(owner.try_into().expect("owners have eight bytes"))
}

const MS: u64 = 1_000_000;

impl Mirror {
    pub(crate) fn new(keys: usize) -> Self {
        Self {
            holds: vec![Vec::new(); keys],
            lines: vec![Vec::new(); keys],
            known: Known::default(),
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.holds.iter().all(Vec::is_empty) && self.lines.iter().all(Vec::is_empty)
    }

    /// The latest hold of an owner.
    pub(crate) fn hold_of(&mut self, key: usize, owner: u64) -> Option<&mut SeenHold> {
        let mut holds = self.holds[key].iter_mut().rev();
        holds.find(|hold| hold.owner == owner)
    }

    /// The hold of an owner with this token: beside it an earlier one may cool.
    pub(crate) fn hold_with(
        &mut self,
        (key, owner): (usize, u64),
        token: u64,
    ) -> Option<&mut SeenHold> {
        let mut holds = self.holds[key].iter_mut();
        holds.find(|hold| hold.owner == owner && hold.token == token)
    }

    /// As [`crate::server::Server::apply`]: whatever is said is so.
    pub(crate) fn apply(&mut self, now: BootTime, sent: &Sent) {
        self.known.hear(sent);
        let now = now.as_ns();
        match sent {
            Sent::Cover(_) => {}
            Sent::Grant {
                at: (_, key),
                owner,
                token,
                ttl,
                tolerates,
                delay,
            } => self.put(
                key_number(key),
                SeenHold {
                    owner: owner_number(owner),
                    token: token.get(),
                    deadline: now + ttl.as_ms() * MS,
                    delay: delay.as_ms() * MS,
                    tolerates: *tolerates,
                    session: None,
                    is_heard: true,
                },
            ),
            Sent::Cooling {
                at: (_, key),
                owner,
                token,
                tolerates,
                left,
            } => self.put(
                key_number(key),
                SeenHold {
                    owner: owner_number(owner),
                    token: token.get(),
                    deadline: now,
                    delay: left.as_ms() * MS,
                    tolerates: *tolerates,
                    session: None,
                    is_heard: true,
                },
            ),
            Sent::End {
                at: (_, key),
                token,
                ..
            } => self.holds[key_number(key)].retain(|hold| hold.token != token.get()),
            Sent::Deleted(db, key) | Sent::Moved(db, key, _) if *db == 0 => {
                self.holds[key_number(key)].clear();
            }
            Sent::Deleted(..) | Sent::Moved(..) => {}
            Sent::Renamed(_, from, to) => {
                self.holds[key_number(from)].clear();
                self.holds[key_number(to)].clear();
            }
            Sent::Swapped(_) | Sent::Flushed(_) => self.holds.iter_mut().for_each(Vec::clear),
        }
    }

    fn put(&mut self, key: usize, hold: SeenHold) {
        let holds = &mut self.holds[key];
        if hold.tolerates == Tolerance::ALONE {
            holds.clear();
        }
        holds.retain(|there| there.token != hold.token);
        holds.push(hold);
    }

    pub(crate) fn load(&mut self, now: BootTime, saved: &SavedHolds) {
        self.holds.clone_from(&saved.0);
        for hold in self.holds.iter_mut().flatten() {
            hold.deadline += now.as_ns();
        }
    }
}
