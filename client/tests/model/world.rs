//! Model servers, what is under way to and from them, and who wants the lock.

use crate::bend::Bent;
use crate::protocol::{Answer, Attempt, Moment, Node, Phase, Request, Token};
use std::time::Duration;

/// The lease that every attempt asks for.
pub const TTL: Duration = Duration::from_millis(200);

/// A step of time: half of what is left of a lease when the drift is subtracted, so that
/// it may be over after two steps (and, if the drift is forgotten, is believed in for a
/// third).
pub const TICK: Duration = Duration::from_millis(98);

/// After so many steps a server may end a lease; it need not.
pub const TICKS_OF_A_LEASE: u8 = 2;

/// A hold, as a server knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hold {
    pub owner: u8,
    pub token: u64,
    /// From this step of time on it may be over.
    pub until: u8,
}

/// A server: one lock, one counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Server {
    pub hold: Option<Hold>,
    /// The largest token that was issued here, or seen.
    pub last: u64,
    /// In quarantine before this step of time: nothing is granted.
    pub closed_until: u8,
}

/// What is under way between an attempt and a server, on one connection each way.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link {
    pub requests: Vec<(u32, Request)>,
    pub answers: Vec<(u32, Answer)>,
}

/// A server with its connections, one for each attempt.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub server: Server,
    pub links: Vec<Link>,
}

/// Somebody who wants the lock, once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Client {
    Idle,
    Trying {
        attempt: Attempt<Bent>,
        /// The largest token that anybody had been told of when it began.
        floor: u64,
        /// How often it may yet keep its hold alive.
        rounds: u8,
    },
    Over,
}

impl Client {
    /// Whether it may use the lock at that instant, going by its own clock.
    pub fn is_valid(&self, now: Moment) -> bool {
        match self {
            Self::Trying { attempt, .. } => {
                attempt.phase() == Phase::Held && now < attempt.valid_until()
            }
            _ => false,
        }
    }

    fn nodes(&self) -> Option<&[Node]> {
        match self {
            Self::Trying { attempt, .. } => Some(&attempt.nodes),
            _ => None,
        }
    }
}

/// What is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Two attempts were told of the same token.
    Twice,
    /// An attempt was told of a smaller token than another that had succeeded before it
    /// began.
    NotAboveTheEarlier,
    /// An attempt was told of a smaller token than another that had succeeded.
    Fell,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub tick: u8,
    pub places: Vec<Place>,
    pub clients: Vec<Client>,
    /// The tokens that were told, in this order.
    pub told: Vec<u64>,
    pub fault: Option<Fault>,
    pub restarts: u8,
}

impl World {
    pub fn now(&self) -> Moment {
        Duration::from_secs(1) + TICK * u32::from(self.tick)
    }

    pub fn largest_told(&self) -> u64 {
        self.told.iter().copied().max().unwrap_or(0)
    }

    /// The servers are all alike: worlds that differ in their order only are one.
    pub fn sorted(mut self) -> Self {
        let mut order: Vec<usize> = (0..self.places.len()).collect();
        let seen = |place: usize| {
            let nodes = self.clients.iter();
            let nodes = nodes.map(move |client| client.nodes().map(|nodes| nodes[place]));
            (&self.places[place], nodes)
        };
        order.sort_by(|&one, &other| {
            let ((one, seen_one), (other, seen_other)) = (seen(one), seen(other));
            one.cmp(other).then_with(|| seen_one.cmp(seen_other))
        });
        if order.is_sorted() {
            return self;
        }
        self.places = order.iter().map(|&at| self.places[at].clone()).collect();
        for client in &mut self.clients {
            if let Client::Trying { attempt, .. } = client {
                attempt.nodes = order.iter().map(|&at| attempt.nodes[at]).collect();
            }
        }
        self
    }
}

/// How a server behaves that does not keep to its own rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manners {
    /// RAISE raises the hold, and the counter stays where it is.
    pub counter_stays: bool,
    /// RAISE raises whatever hold there is, and says so.
    pub raises_any_hold: bool,
}

impl Server {
    /// Does what it is asked; the answer.
    pub fn serve(&mut self, tick: u8, owner: u8, request: Request, manners: Manners) -> Answer {
        let until = tick + TICKS_OF_A_LEASE;
        let is_own = self.hold.is_some_and(|hold| hold.owner == owner);
        let is_anybodys = manners.raises_any_hold && matches!(request, Request::Raise(_));
        match request {
            Request::Acquire if self.hold.is_none() && tick >= self.closed_until => {
                self.last += 1;
                self.hold = Some(Hold {
                    owner,
                    token: self.last,
                    until,
                });
            }
            Request::Raise(Token(token)) if is_own || is_anybodys => {
                if let Some(hold) = &mut self.hold {
                    hold.token = hold.token.max(token);
                    hold.until = hold.until.max(until);
                    if !manners.counter_stays {
                        self.last = self.last.max(hold.token);
                    }
                }
            }
            Request::Acquire if is_own => {
                if let Some(hold) = &mut self.hold {
                    hold.until = hold.until.max(until);
                }
            }
            Request::Release if is_own => self.hold = None,
            _ => {}
        }
        match self.hold {
            Some(hold) if hold.owner == owner || is_anybodys => Answer::Holds(Token(hold.token)),
            _ => Answer::HoldsNot,
        }
    }
}
