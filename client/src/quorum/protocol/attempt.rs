//! One try to get the lock, and the hold that comes of it.
//!
//! ```text
//!            grants on a majority         a majority holds exactly T
//! Acquiring ─────────────────────▶ Raising ─────────────────────▶ Held ──┐ a round of
//!     │                               │                            │ ◀──┘ RAISE, again
//!     └── no majority possible, or ───┴──── lapsed, gone, or ──────┴──▶ Over   and again
//!         too late, or given up             given up                (released everywhere)
//! ```
//!
//! Each node is asked one thing after the other, and only the answer to the latest
//! counts; so nothing that was asked in an earlier round is counted in a later one.

use super::{Answer, AsWritten, Ask, Command, Event, Failure, Loss, Moment, Request};
use super::{Rules, Token};
use std::time::Duration;

/// The lease is moved each time a third of it has gone by: two rounds may fail.
const ROUNDS_IN_A_LEASE: u32 = 3;

/// How far an attempt has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Asking for grants.
    Acquiring,
    /// Writing the largest token back.
    Raising,
    /// The lock is held.
    Held,
    /// Failed, lost, or given up.
    Over,
}

/// What is known of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// The number of the latest request.
    number: u32,
    /// That request, until it is answered.
    asked: Option<Request>,
    /// The latest answer that was heard, and to what.
    said: Option<(Request, Answer)>,
    /// Its part in the round of keeping alive.
    round: Round,
}

/// What a node has said in a round of keeping alive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Round {
    /// Nothing yet.
    #[default]
    Open,
    /// The hold is there, and its lease was moved.
    Kept,
    /// The hold is not there, or was not when the round began.
    Gone,
}

impl Node {
    /// The token that the attempt holds there, by the latest answer.
    pub fn token(&self) -> Option<Token> {
        match self.said {
            Some((_, Answer::Holds(token))) => Some(token),
            _ => None,
        }
    }

    /// The latest answer, and to what.
    pub fn said(&self) -> Option<(Request, Answer)> {
        self.said
    }

    /// What it was asked and has not answered.
    pub fn asked(&self) -> Option<Request> {
        self.asked
    }

    /// The number of the latest request.
    pub fn number(&self) -> u32 {
        self.number
    }

    fn may_yet_count(&self) -> bool {
        self.asked.is_some() || self.token().is_some()
    }
}

/// One try, under an owner of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt<R = AsWritten> {
    rules: R,
    phase: Phase,
    ttl: Duration,
    /// When the first request was sent.
    start: Moment,
    /// When the latest round of RAISE began.
    round_start: Moment,
    valid_until: Moment,
    /// The token, as far as it is known.
    target: Option<Token>,
    pub(crate) nodes: Vec<Node>,
}

impl Attempt {
    /// Begins: everybody is asked for the lock, at `start`, for `ttl`.
    pub fn new(nodes: usize, ttl: Duration, start: Moment) -> (Self, Vec<Command>) {
        Self::under(AsWritten, nodes, ttl, start)
    }
}

impl<R: Rules> Attempt<R> {
    /// The same by other rules; for the model.
    pub fn under(rules: R, nodes: usize, ttl: Duration, start: Moment) -> (Self, Vec<Command>) {
        let valid_until = rules.valid_until(start, start, ttl);
        let mut attempt = Self {
            rules,
            phase: Phase::Acquiring,
            ttl,
            start,
            round_start: start,
            valid_until,
            target: None,
            nodes: vec![Node::default(); nodes],
        };
        let mut commands = Vec::new();
        attempt.ask_all(Request::Acquire, &mut commands);
        (attempt, commands)
    }

    /// How far it has come.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// What is known of the nodes, in their order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The token, as far as it is known: for good once the lock is held.
    pub fn token(&self) -> Option<Token> {
        self.target
    }

    /// The instant from which on the lock is not held.
    pub fn valid_until(&self) -> Moment {
        self.valid_until
    }

    /// When [`Event::Timer`] is due.
    pub fn timer(&self) -> Option<Moment> {
        match self.phase {
            Phase::Acquiring | Phase::Raising => Some(self.valid_until),
            Phase::Held => Some(self.valid_until.min(self.next_round())),
            Phase::Over => None,
        }
    }

    /// One thing happened; what is to be done now, in this order.
    pub fn step(&mut self, now: Moment, event: Event) -> Vec<Command> {
        let mut commands = Vec::new();
        match event {
            _ if self.phase == Phase::Over => {}
            Event::GiveUp => self.release(&mut commands),
            // Nothing that is heard from here on brings it back.
            _ if now >= self.valid_until => self.end_too_late(&mut commands),
            Event::Timer if self.phase == Phase::Held => {
                if now >= self.next_round() {
                    self.begin_round(now, &mut commands);
                }
            }
            Event::Timer => {}
            Event::Answered {
                node,
                number,
                answer,
            } => {
                if let Some(request) = self.hear(node, number, answer) {
                    match self.phase {
                        Phase::Held => self.keep(node, (request, answer), &mut commands),
                        _ => self.settle(now, &mut commands),
                    }
                }
            }
        }
        commands
    }

    /// What the answer is to, unless it comes too late, or twice.
    fn hear(&mut self, node: usize, number: u32, answer: Answer) -> Option<Request> {
        let node = self.nodes.get_mut(node)?;
        if !self.rules.hears(number, node.number) {
            return None;
        }
        let request = node.asked.take()?;
        node.said = Some((request, answer));
        Some(request)
    }

    fn ask(&mut self, node: usize, request: Request, commands: &mut Vec<Command>) {
        let known = &mut self.nodes[node];
        known.number += 1;
        known.asked = Some(request);
        commands.push(Command::Ask(Ask {
            node,
            number: known.number,
            request,
        }));
    }

    fn ask_all(&mut self, request: Request, commands: &mut Vec<Command>) {
        (0..self.nodes.len()).for_each(|node| self.ask(node, request, commands));
    }

    fn majority(&self) -> usize {
        self.rules.majority(self.nodes.len())
    }

    fn how_many(&self, is_one: impl Fn(&Node) -> bool) -> usize {
        self.nodes.iter().filter(|node| is_one(node)).count()
    }

    /// Looks whether the lock is held by now, or cannot be had, and goes on otherwise.
    fn settle(&mut self, now: Moment, commands: &mut Vec<Command>) {
        if self.phase == Phase::Acquiring
            && self.how_many(|node| node.token().is_some()) >= self.majority()
        {
            self.phase = Phase::Raising;
            self.round_start = now;
        }
        if self.phase == Phase::Raising {
            let target = self.choose_target();
            let counts = |said| self.rules.counts(said, target);
            if self.how_many(|node| node.said.is_some_and(counts)) >= self.majority() {
                return self.hold(now, target, commands);
            }
            self.raise_the_lower(target, commands);
        }
        if self.how_many(Node::may_yet_count) < self.majority() {
            let refusals = self.how_many(|node| {
                matches!(node.said, Some((_, Answer::HoldsNot))) && node.asked.is_none()
            });
            let is_refused = refusals + self.majority() > self.nodes.len();
            self.fail(
                match is_refused {
                    true => Failure::Refused,
                    false => Failure::Unreachable,
                },
                commands,
            );
        }
    }

    /// The token that all are to hold: it is given once a majority has granted, and
    /// never falls.
    fn choose_target(&mut self) -> Token {
        let held = || self.nodes.iter().filter_map(Node::token);
        let target = match self.target {
            None => self.rules.largest(held()),
            Some(target) => held()
                .filter(|&other| self.rules.gives_way(target, other))
                .max()
                .or(Some(target)),
        };
        self.target = target;
        target.unwrap_or(Token(0))
    }

    /// A node that holds the token already is not asked to raise it. Nor does one that
    /// was asked and has not answered count for less than it has said.
    fn raise_the_lower(&mut self, target: Token, commands: &mut Vec<Command>) {
        let request = Request::Raise(target);
        for node in 0..self.nodes.len() {
            let known = &self.nodes[node];
            let is_lower = known.token().is_some_and(|token| token < target);
            if is_lower && known.asked != Some(request) {
                self.ask(node, request, commands);
            }
        }
    }

    fn hold(&mut self, now: Moment, token: Token, commands: &mut Vec<Command>) {
        let valid_until = self
            .rules
            .valid_until(self.start, self.round_start, self.ttl);
        self.valid_until = valid_until;
        if now >= valid_until {
            return self.fail(Failure::TooLate, commands);
        }
        self.phase = Phase::Held;
        // The next round is due by when this lease began.
        self.round_start = self.start;
        commands.push(Command::Held { token, valid_until });
        // Whoever granted it holds the token, too: the more know it, the fewer
        // restarts can make it forgotten, and the next attempt needs no write-back.
        self.raise_the_lower(token, commands);
    }

    fn next_round(&self) -> Moment {
        self.round_start + self.ttl / ROUNDS_IN_A_LEASE
    }

    fn begin_round(&mut self, now: Moment, commands: &mut Vec<Command>) {
        let Some(target) = self.target else { return };
        self.round_start = now;
        for node in &mut self.nodes {
            node.round = Round::Open;
        }
        self.ask_all(Request::Raise(target), commands);
    }

    /// A node answered while the lock is held.
    fn keep(&mut self, node: usize, said: (Request, Answer), commands: &mut Vec<Command>) {
        let Some(target) = self.target else { return };
        match said {
            (Request::Raise(_), answer) if self.rules.keeps(answer, target) => {
                // One that was lost and had again counts from the next round on: in
                // between, somebody else may have had it.
                let known = &mut self.nodes[node];
                if known.round == Round::Open {
                    known.round = Round::Kept;
                    self.move_lease(commands);
                }
            }
            (Request::Raise(_), Answer::HoldsNot) => {
                self.nodes[node].round = Round::Gone;
                if self.how_many(|node| node.round == Round::Gone) + self.majority()
                    > self.nodes.len()
                {
                    return self.lose(Loss::Gone, commands);
                }
                if self.rules.renews() {
                    self.ask(node, Request::Acquire, commands);
                }
            }
            (Request::Acquire, Answer::Holds(token)) if token < target => {
                self.ask(node, Request::Raise(target), commands);
            }
            _ => {}
        }
    }

    fn move_lease(&mut self, commands: &mut Vec<Command>) {
        if self.how_many(|node| node.round == Round::Kept) < self.majority() {
            return;
        }
        let start = self.round_start;
        let valid_until = self.rules.valid_until(start, start, self.ttl);
        if valid_until > self.valid_until {
            self.valid_until = valid_until;
            commands.push(Command::Kept { valid_until });
        }
    }

    fn end_too_late(&mut self, commands: &mut Vec<Command>) {
        match self.phase {
            Phase::Held => self.lose(Loss::Lapsed, commands),
            _ => self.fail(Failure::TooLate, commands),
        }
    }

    fn fail(&mut self, why: Failure, commands: &mut Vec<Command>) {
        commands.push(Command::Failed(why));
        self.clean_up(commands);
    }

    fn lose(&mut self, why: Loss, commands: &mut Vec<Command>) {
        commands.push(Command::Lost(why));
        self.clean_up(commands);
    }

    fn clean_up(&mut self, commands: &mut Vec<Command>) {
        match self.rules.cleans_up() {
            true => self.release(commands),
            false => self.phase = Phase::Over,
        }
    }

    /// Everywhere, also where nothing was granted: the answer may be on its way.
    fn release(&mut self, commands: &mut Vec<Command>) {
        self.phase = Phase::Over;
        self.ask_all(Request::Release, commands);
    }
}
