//! What can happen, and what comes of it.

use crate::bend::{Bend, Bent};
use crate::claims;
use crate::protocol::{Answer, Attempt, Command, Event, Failure, Loss, Phase, Request, Token};
use crate::world::{Client, Fault, Link, Manners, Place, Server, World};
use crate::world::{TICKS_OF_A_LEASE, TTL};
use stateright::{Model, Property};
use std::collections::BTreeSet;
use std::sync::Mutex;

/// What leases are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leases {
    /// A server may end any hold at any time: no clock can be trusted.
    EndAnyTime,
    /// No hold ends before its lease, and there are so many steps of time.
    LastFor(u8),
}

/// What the counter of a server says that restarts without its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Where it was, or above all that was ever issued anywhere: its ceiling was
    /// kept, or its clock is right.
    IsAbove,
    /// Nothing: its ceiling is lost, and its clock far behind.
    IsLost,
}

/// What a server does that restarts without its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// It grants nothing for as long as a lease may last.
    InQuarantine,
    /// It grants at once.
    AtOnce,
}

/// A size of the world, and what can happen in it.
#[derive(Clone, Debug)]
pub struct Size {
    /// What the counters of the servers say in the beginning; as many servers.
    pub counters: Vec<u64>,
    pub attempts: usize,
    pub leases: Leases,
    /// How often each hold may be kept alive.
    pub rounds: u8,
    pub restarts: u8,
    pub restart: Restart,
    pub counter: Counter,
    /// Requests may be given up as lost.
    pub silences: bool,
    pub releases: Releases,
    pub beginning: Beginning,
}

/// How a world begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// With servers that nobody has asked.
    Untouched,
    /// The first attempt has just got the lock from all servers but the last, whose answer
    /// it did not wait for: from there on, what is sent to it may be carried out, or not.
    Held,
}

/// How releases are modelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Releases {
    /// They are sent and carried out as all else, to the end of all things.
    AreSent,
    /// The hold of whoever is over may end at any time; the ACQUIRE that he is not waiting
    /// for any more may be carried out at any time before or after. That is all that a
    /// release can do, and more; it makes for fewer worlds. When nobody is trying any
    /// more, the world ends.
    HappenSometime,
}

impl Size {
    pub fn new(counters: &[u64], attempts: usize, leases: Leases) -> Self {
        Self {
            counters: counters.to_vec(),
            attempts,
            leases,
            rounds: 0,
            restarts: 0,
            restart: Restart::InQuarantine,
            counter: Counter::IsAbove,
            silences: false,
            releases: Releases::HappenSometime,
            beginning: Beginning::Untouched,
        }
    }
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// An attempt begins.
    Start(usize),
    /// A server does what it is asked, by an attempt.
    Serve {
        place: usize,
        client: usize,
        at: usize,
    },
    /// Its answer arrives.
    Arrive {
        place: usize,
        client: usize,
    },
    /// The attempt waits for it no longer.
    Silence {
        place: usize,
        client: usize,
    },
    Timer(usize),
    GiveUp(usize),
    /// A lease is over.
    Lapse(usize),
    Tick,
    /// A server starts anew, without a record of holds.
    Restart {
        place: usize,
        last: u64,
    },
}

/// The model.
pub struct Quorum {
    pub size: Size,
    pub bent: Bent,
    pub manners: Manners,
    /// All attempts have the same owner.
    pub is_one_owner: bool,
    /// What is sent to one server may change its order.
    pub may_overtake: bool,
    /// What was met on the way; no part of the worlds.
    pub met: Mutex<BTreeSet<&'static str>>,
}

impl Quorum {
    pub fn as_written(size: Size) -> Self {
        Self {
            size,
            bent: Bent(None),
            manners: Manners::default(),
            is_one_owner: false,
            may_overtake: false,
            met: Mutex::default(),
        }
    }

    pub fn without(size: Size, bend: Bend) -> Self {
        Self {
            bent: Bent(Some(bend)),
            ..Self::as_written(size)
        }
    }

    fn meet(&self, what: &'static str) {
        if let Ok(mut met) = self.met.lock() {
            met.insert(what);
        }
    }

    /// Whether nothing can happen any more that matters.
    fn is_over(&self, world: &World) -> bool {
        let mut clients = world.clients.iter();
        self.size.releases == Releases::HappenSometime
            && clients.all(|client| match client {
                Client::Idle => false,
                Client::Over => true,
                Client::Trying {
                    attempt, rounds, ..
                } => attempt.phase() == Phase::Held && *rounds == 0,
            })
    }

    /// Whether leases last.
    pub fn is_timed(&self) -> bool {
        matches!(self.size.leases, Leases::LastFor(_))
    }

    fn owner(&self, client: usize) -> u8 {
        match self.is_one_owner {
            true => 0,
            false => client as u8,
        }
    }

    fn may_lapse(&self, world: &World, server: &Server) -> bool {
        let Some(hold) = server.hold else {
            return false;
        };
        match self.size.leases {
            Leases::EndAnyTime => true,
            Leases::LastFor(_) if world.tick >= hold.until => true,
            Leases::LastFor(_) => {
                let is_over = world.clients[usize::from(hold.owner)] == Client::Over;
                is_over && self.size.releases == Releases::HappenSometime
            }
        }
    }

    /// What is to be done is done: requests go out, and what is told is written down.
    fn carry_out(&self, world: &mut World, client: usize, floor: u64, commands: Vec<Command>) {
        for command in commands {
            match command {
                Command::Ask(ask) => {
                    let link = &mut world.places[ask.node].links[client];
                    link.requests.push((ask.number, ask.request));
                }
                Command::Held { token, .. } => self.tell(world, floor, token),
                Command::Kept { .. } => self.meet("a lease was moved"),
                Command::Failed(Failure::Refused) => self.meet("refused"),
                Command::Failed(Failure::Unreachable) => self.meet("unreachable"),
                Command::Failed(Failure::TooLate) => self.meet("too late"),
                Command::Lost(Loss::Lapsed) => self.meet("lapsed"),
                Command::Lost(Loss::Gone) => self.meet("gone"),
            }
        }
    }

    fn tell(&self, world: &mut World, floor: u64, token: Token) {
        let Token(token) = token;
        let fault = if world.told.contains(&token) {
            Some(Fault::Twice)
        } else if token < floor {
            Some(Fault::NotAboveTheEarlier)
        } else if token < world.largest_told() {
            Some(Fault::Fell)
        } else {
            None
        };
        if fault != Some(Fault::Fell) || self.is_timed() {
            world.fault = world.fault.or(fault);
        }
        world.told.push(token);
        if world.told.len() > 1 {
            self.meet("one holder after another");
        }
    }

    /// The attempt is told of something.
    fn step(&self, world: &mut World, client: usize, event: Event) {
        let now = world.now();
        let Client::Trying {
            attempt,
            floor,
            rounds,
        } = &mut world.clients[client]
        else {
            return;
        };
        let before = attempt.clone();
        let commands = attempt.step(now, event);
        // Whatever it was, told twice it changes nothing.
        let mut again = attempt.clone();
        if self.bent == Bent(None) && event != Event::GiveUp {
            assert_eq!(again.step(now, event), [], "{event:?}, twice");
            assert_eq!(again, *attempt, "{event:?}, twice");
        }
        self.notice(&before, attempt, event);
        let is_round = event == Event::Timer && attempt.phase() == Phase::Held;
        *rounds -= u8::from(is_round);
        let (floor, is_over) = (*floor, attempt.phase() == Phase::Over);
        self.carry_out(world, client, floor, commands);
        if is_over {
            world.clients[client] = Client::Over;
            for place in &mut world.places {
                let link = &mut place.links[client];
                link.answers.clear();
                if self.size.releases == Releases::HappenSometime {
                    link.requests.retain(|(_, it)| *it == Request::Acquire);
                    link.requests.iter_mut().for_each(|(number, _)| *number = 0);
                }
            }
        }
    }

    /// So that it is known that all of it is met somewhere.
    fn notice(&self, before: &Attempt<Bent>, after: &Attempt<Bent>, event: Event) {
        match (before.phase(), after.phase()) {
            (Phase::Raising, _) if after.token() > before.token() => {
                self.meet("a larger token came to light");
            }
            (Phase::Acquiring, Phase::Held) => self.meet("held without a write-back"),
            (Phase::Raising, Phase::Held) => self.meet("held after a write-back"),
            _ => {}
        }
        let Event::Answered {
            node,
            number,
            answer,
        } = event
        else {
            return;
        };
        let asked = before.nodes()[node].asked();
        if before == after {
            self.meet("a late answer");
        } else if let (Some(Request::Raise(target)), Answer::Holds(token)) = (asked, answer) {
            if token > target && before.phase() == Phase::Held {
                self.meet("kept alive with a larger token");
            }
        } else if asked == Some(Request::Acquire)
            && number > 1
            && matches!(answer, Answer::Holds(_))
        {
            self.meet("a record was renewed");
        }
    }

    fn start(&self, world: &mut World, client: usize) {
        let nodes = self.size.counters.len();
        let (attempt, commands) = Attempt::under(self.bent, nodes, TTL, world.now());
        let floor = world.largest_told();
        world.clients[client] = Client::Trying {
            attempt,
            floor,
            rounds: self.size.rounds,
        };
        self.carry_out(world, client, floor, commands);
    }

    /// The first attempt begins, and gets the lock from all servers but the last.
    fn held(&self, mut world: World) -> World {
        self.start(&mut world, 0);
        for node in 0..world.places.len() - 1 {
            self.serve(&mut world, (node, 0, 0));
            self.arrive(&mut world, node, 0);
        }
        assert_eq!(world.told.len(), 1, "it is held");
        world
    }

    fn arrive(&self, world: &mut World, place: usize, client: usize) {
        let answers = &mut world.places[place].links[client].answers;
        if answers.is_empty() {
            return;
        }
        let (number, answer) = answers.remove(0);
        let event = Event::Answered {
            node: place,
            number,
            answer,
        };
        self.step(world, client, event);
    }

    fn serve(&self, world: &mut World, (place, client, at): (usize, usize, usize)) {
        let is_over = world.clients[client] == Client::Over;
        let Place { server, links } = &mut world.places[place];
        let link = &mut links[client];
        let (number, request) = link.requests.remove(at);
        let answer = server.serve(world.tick, self.owner(client), request, self.manners);
        if !is_over {
            link.answers.push((number, answer));
        }
        if let Leases::EndAnyTime = self.size.leases {
            // When does not matter then.
            if let Some(hold) = &mut server.hold {
                hold.until = 0;
            }
        }
    }

    fn restart(&self, world: &mut World, place: usize, last: u64) {
        let server = &mut world.places[place].server;
        server.hold = None;
        server.last = last;
        if self.size.restart == Restart::InQuarantine {
            server.closed_until = world.tick + TICKS_OF_A_LEASE;
        }
        world.restarts += 1;
        self.meet("a restart");
    }

    fn actions_of_client(&self, world: &World, client: usize, actions: &mut Vec<Action>) {
        let Client::Trying {
            attempt, rounds, ..
        } = &world.clients[client]
        else {
            return;
        };
        let is_due = attempt.timer().is_some_and(|timer| timer <= world.now());
        let is_round = attempt.phase() == Phase::Held && world.now() < attempt.valid_until();
        if is_due && (!is_round || *rounds > 0) {
            actions.push(Action::Timer(client));
        }
        if attempt.phase() == Phase::Held {
            actions.push(Action::GiveUp(client));
        }
    }

    fn actions_at_place(&self, world: &World, place: usize, actions: &mut Vec<Action>) {
        let Place { server, links } = &world.places[place];
        for (client, link) in links.iter().enumerate() {
            let most = match self.may_overtake {
                true => link.requests.len(),
                false => link.requests.len().min(1),
            };
            actions.extend((0..most).map(|at| Action::Serve { place, client, at }));
            if !link.answers.is_empty() {
                actions.push(Action::Arrive { place, client });
            }
            if let (true, Client::Trying { attempt, .. }) =
                (self.size.silences, &world.clients[client])
            {
                if attempt.nodes()[place].asked().is_some() {
                    actions.push(Action::Silence { place, client });
                }
            }
        }
        if self.may_lapse(world, server) {
            actions.push(Action::Lapse(place));
        }
        if world.restarts < self.size.restarts {
            match self.size.counter {
                Counter::IsLost => actions.push(Action::Restart { place, last: 0 }),
                Counter::IsAbove => {
                    let lasts = world.places.iter().map(|place| place.server.last);
                    let above = lasts.max().unwrap_or(0) + 1;
                    actions
                        .extend([server.last, above].map(|last| Action::Restart { place, last }));
                }
            }
        }
    }
}

impl Model for Quorum {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let counters = self.size.counters.iter();
        let place = |&last| Place {
            server: Server {
                hold: None,
                last,
                closed_until: 0,
            },
            links: vec![Link::default(); self.size.attempts],
        };
        let world = World {
            tick: 0,
            places: counters.map(place).collect(),
            clients: vec![Client::Idle; self.size.attempts],
            told: Vec::new(),
            fault: None,
            restarts: 0,
        };
        let mut begun = Some(world);
        if self.size.beginning == Beginning::Held {
            // Nothing is sorted yet: the servers are as they were numbered.
            begun = begun.map(|world| self.held(world));
        }
        begun.into_iter().map(World::sorted).collect()
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if self.is_over(world) {
            return;
        }
        let idle = world.clients.iter().position(|it| *it == Client::Idle);
        actions.extend(idle.map(Action::Start));
        for client in 0..world.clients.len() {
            self.actions_of_client(world, client, actions);
        }
        for place in 0..world.places.len() {
            self.actions_at_place(world, place, actions);
        }
        if let Leases::LastFor(ticks) = self.size.leases {
            if world.tick < ticks {
                actions.push(Action::Tick);
            }
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        match action {
            Action::Start(client) => self.start(&mut next, client),
            Action::Serve { place, client, at } => self.serve(&mut next, (place, client, at)),
            Action::Arrive { place, client } => self.arrive(&mut next, place, client),
            Action::Silence { place, client } => {
                let Client::Trying { attempt, .. } = &next.clients[client] else {
                    return None;
                };
                let event = Event::Answered {
                    node: place,
                    number: attempt.nodes()[place].number(),
                    answer: Answer::Unknown,
                };
                self.step(&mut next, client, event);
            }
            Action::Timer(client) => self.step(&mut next, client, Event::Timer),
            Action::GiveUp(client) => self.step(&mut next, client, Event::GiveUp),
            Action::Lapse(place) => next.places[place].server.hold = None,
            Action::Tick => next.tick += 1,
            Action::Restart { place, last } => self.restart(&mut next, place, last),
        }
        Some(next.sorted())
    }

    fn properties(&self) -> Vec<Property<Self>> {
        claims::properties()
    }
}
