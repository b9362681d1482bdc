//! What can happen to the two servers, in every order.
//!
//! The rules are the real ones (`minds`); what is here is the shell's and the server's
//! part: what is written where, what a crash leaves, who reads what, when a term is
//! opened. A [`Rule`] can be dropped, from outside, to see that the judge notices.

use crate::minds::{Input, Mind, Minds, Sent, Unit, View};
use crate::promise::{Fault, Opening, Past, Reading, Term, Told};
use crate::world::{Base, Left, Log, Node, Role, World};
use stateright::{Model, Property};
use std::sync::{Mutex, MutexGuard};

/// Tokens that a busy server issues in a unit of time: 2,048 a millisecond, which is
/// more than any server grants.
const BUSY: u64 = 1 << 17;
/// The ceiling is renewed when less than this is left of it.
const RENEWED_BELOW: u64 = 1 << 17;
/// No clock says when.
const SINCE_NEVER_MS: u64 = (1 << 41) - 1;

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The server in charge hands the lock from one owner to the next.
    Grant,
    /// Time goes on, and it did nothing but that.
    Busy,
    /// The holder raises its token above the ceiling.
    Raise,
    /// Time goes on.
    Tick,
    /// A server's clock is set.
    SetClock { node: usize, skew: i8 },
    /// The next transaction reaches the replica.
    Deliver,
    /// A server goes down, and so much is left of its log behind the base: all of it
    /// after a kill, less after a power cut.
    Crash { node: usize, keep: usize },
    /// It comes back, as what it was.
    Restart(usize),
    /// The replica takes over. Whoever was in charge, if it is up, does not know.
    Promote,
    /// The server that is not in charge becomes a replica of the one that is.
    Attach,
    /// The server in charge writes its log anew, without an RDB file in front.
    Rewrite,
    /// A deposed master that is up grants.
    DeposedGrant,
}

/// A rule that is kept by all but one of the models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    ReplicasHearCeilings,
    RestartsReadCeilings,
    PromotionOpensATerm,
    RestartOpensATerm,
    TermsLookAtTheClock,
    CeilingsSaySinceWhen,
    CeilingsStandInFront,
    CountersNeverGoDown,
}

/// The model.
pub struct Failover {
    left: Left,
    dropped: Option<Rule>,
    reading: Reading,
    /// What is not reached at this size.
    pub out_of_reach: &'static [&'static str],
    minds: Mutex<Minds>,
}

impl Failover {
    /// All rules are kept.
    pub fn sound(left: Left, out_of_reach: &'static [&'static str]) -> Self {
        Self {
            left,
            dropped: None,
            reading: Reading::Exact,
            out_of_reach,
            minds: Mutex::default(),
        }
    }

    /// One is not.
    pub fn without(left: Left, rule: Rule) -> Self {
        Self {
            dropped: Some(rule),
            ..Self::sound(left, &[])
        }
    }

    /// More is promised.
    pub fn read_as(left: Left, reading: Reading) -> Self {
        Self {
            reading,
            ..Self::sound(left, &[])
        }
    }

    fn keeps(&self, rule: Rule) -> bool {
        self.dropped != Some(rule)
    }

    fn minds(&self) -> MutexGuard<'_, Minds> {
        self.minds.lock().expect("nobody panicked")
    }

    fn view(&self, mind: Mind) -> View {
        self.minds().view(mind)
    }

    /// Something happens to the rules of a server that is up; what it sends.
    fn step(&self, world: &mut World, node: usize, input: Input) -> Unit {
        let mut minds = self.minds();
        let before = world.nodes[node].mind.expect("it is up");
        let outcome = minds.step(before, input);
        let (was, is) = (minds.view(before), minds.view(outcome.mind));
        if is.last < was.last || is.ceiling < was.ceiling {
            world.past.fault = Some(Fault::WentDown);
        }
        world.nodes[node].mind = Some(outcome.mind);
        outcome.unit
    }

    fn open_term(&self, world: &mut World, node: usize) {
        let wall_ms = match self.keeps(Rule::TermsLookAtTheClock) {
            true => world.wall_ms(node),
            false => 0,
        };
        self.step(world, node, Input::OpenTerm { wall_ms });
    }

    /// The server is in charge now.
    fn takes_charge(&self, world: &mut World, node: usize, opening: Opening) {
        let start = self.view(world.nodes[node].mind.expect("it is up")).last;
        let (wall_ms, told) = (world.wall_ms(node), world.nodes[node].told);
        world.in_charge = node;
        let term = Term::new(opening, wall_ms, told, start);
        world.past.open(term, self.reading);
    }

    /// What a server writes goes into its log and to its replica.
    fn writes(&self, world: &mut World, node: usize, unit: Unit) {
        if !self.keeps(Rule::CeilingsStandInFront) {
            let (behind, front): (Vec<Sent>, Vec<Sent>) = unit
                .iter()
                .partition(|sent| matches!(sent, Sent::Cover { .. }));
            for part in [front, behind] {
                self.writes_as_it_is(world, node, part.into());
            }
            return;
        }
        self.writes_as_it_is(world, node, unit);
    }

    fn writes_as_it_is(&self, world: &mut World, node: usize, unit: Unit) {
        if unit.is_empty() {
            return;
        }
        let told = &mut world.nodes[node].told;
        for sent in unit.iter() {
            told.hear_all(std::slice::from_ref(sent));
            if matches!(sent, Sent::Grant(held) if held.token > told.ceiling) {
                world.past.fault = Some(Fault::Uncovered);
            }
        }
        if node == world.in_charge && world.is_linked {
            world.wire.push(unit.clone());
        }
        world.nodes[node].log.units.push(unit);
    }

    /// The server in charge grants, once.
    fn grant(&self, world: &mut World) {
        let node = world.in_charge;
        let unit = self.step(world, node, Input::HandOver);
        self.writes(world, node, unit);
        let told = world.nodes[node].told;
        let view = self.view(world.nodes[node].mind.expect("it is up"));
        let held = view.held.expect("it was just granted");
        world.past.granted(held.token, told.ceiling);
    }

    /// The server in charge grants as often as it can in a unit of time. What is
    /// written is the last grant in front of a new cover, that one, and the last.
    fn be_busy(&self, world: &mut World) {
        let view = self.view(world.nodes[world.in_charge].mind.expect("it is up"));
        let room = view.ceiling.checked_sub(view.last);
        // The one that needs a new cover: the room behind it is too small.
        let renewing = room.map_or(1, |room| (room + 1).saturating_sub(RENEWED_BELOW).max(1));
        if renewing > BUSY {
            self.grant_many(world, BUSY);
            return;
        }
        if renewing > 1 {
            self.grant_many(world, renewing - 1);
        }
        self.grant(world);
        if renewing < BUSY {
            self.grant_many(world, BUSY - renewing);
        }
    }

    /// So many, of which only the last is written.
    fn grant_many(&self, world: &mut World, count: u64) {
        let node = world.in_charge;
        if count > 1 {
            self.step(world, node, Input::Leap(count - 1));
        }
        self.grant(world);
    }

    fn raise(&self, world: &mut World) {
        let node = world.in_charge;
        let view = self.view(world.nodes[node].mind.expect("it is up"));
        let (token, wall_ms) = (view.ceiling + 1, world.wall_ms(node));
        let unit = self.step(world, node, Input::Raise { token, wall_ms });
        self.writes(world, node, unit);
        world.past.raised(token, world.nodes[node].told.ceiling);
    }

    fn hears(&self, world: &mut World, node: usize, unit: &[Sent], rule: Rule) {
        for &sent in unit {
            let sent = match sent {
                Sent::Cover { .. } if !self.keeps(rule) => continue,
                Sent::Cover {
                    ceiling, ttl_ms, ..
                } if !self.keeps(Rule::CeilingsSaySinceWhen) => Sent::Cover {
                    ceiling,
                    ttl_ms,
                    since_ms: SINCE_NEVER_MS,
                },
                sent => sent,
            };
            self.step(world, node, Input::Apply(sent));
        }
    }

    fn deliver(&self, world: &mut World) {
        let unit = world.wire.remove(0);
        let node = world.other();
        self.hears(world, node, &unit, Rule::ReplicasHearCeilings);
        world.nodes[node].told.hear_all(&unit);
        world.nodes[node].log.units.push(unit);
    }

    fn crash(&self, world: &mut World, (node, keep): (usize, usize)) {
        let down = &mut world.nodes[node];
        down.mind = None;
        down.log.units.truncate(keep);
        down.told = down.log.told();
        world.is_linked = false;
        if node != world.in_charge {
            world.wire.clear();
        }
    }

    fn restart(&self, world: &mut World, node: usize) {
        world.nodes[node].mind = Some(self.minds().newborn());
        let is_master = world.nodes[node].role == Role::Master;
        let opens = is_master && self.keeps(Rule::RestartOpensATerm);
        // When the module is loaded, and again when the log is.
        if opens {
            self.open_term(world, node);
        }
        let Log { base, units } = world.nodes[node].log.clone();
        if let Some(counter) = base.counter {
            self.step(world, node, Input::Load(counter));
        }
        if let Some(held) = base.held {
            self.step(world, node, Input::Apply(Sent::Grant(held)));
        }
        for unit in units {
            self.hears(world, node, &unit, Rule::RestartsReadCeilings);
        }
        if opens {
            self.open_term(world, node);
        }
        if node == world.in_charge {
            world.wire.clear();
            self.takes_charge(world, node, Opening::Restart);
        }
    }

    fn promote(&self, world: &mut World) {
        let node = world.other();
        world.wire.clear();
        world.is_linked = false;
        world.nodes[node].role = Role::Master;
        if self.keeps(Rule::PromotionOpensATerm) {
            self.open_term(world, node);
        }
        self.takes_charge(world, node, Opening::Promotion);
    }

    /// A full resynchronization; then the log is begun anew, with an RDB file.
    fn attach(&self, world: &mut World) {
        let (master, node) = (world.in_charge, world.other());
        let of_master = self.view(world.nodes[master].mind.expect("it is up"));
        if world.nodes[node].role == Role::Master {
            self.step(world, node, Input::Demoted);
        }
        if !self.keeps(Rule::CountersNeverGoDown) {
            world.nodes[node].mind = Some(self.minds().newborn());
        }
        self.step(world, node, Input::Flushed);
        if let Some(counter) = of_master.stored {
            self.step(world, node, Input::Load(counter));
        }
        if let Some(held) = of_master.held {
            self.step(world, node, Input::Apply(Sent::Grant(held)));
        }
        let told = world.nodes[master].told;
        let is = self.view(world.nodes[node].mind.expect("it is up"));
        let replica = &mut world.nodes[node];
        replica.role = Role::Replica;
        replica.told.merge(told);
        replica.log = Log {
            base: Base {
                counter: is.stored,
                held: is.held,
                told: replica.told,
            },
            units: Vec::new(),
        };
        world.is_linked = true;
        world.wire.clear();
    }

    fn rewrite(&self, world: &mut World) {
        let node = world.in_charge;
        self.step(world, node, Input::LogBegun);
        let held = self.view(world.nodes[node].mind.expect("it is up")).held;
        let told = Told {
            token: held.map_or(0, |held| held.token),
            ..Told::default()
        };
        let base = Base {
            counter: None,
            held,
            told,
        };
        world.nodes[node].log = Log {
            base,
            units: Vec::new(),
        };
        let unit = self.step(world, node, Input::Turn);
        self.writes_as_it_is(world, node, unit);
    }
}

fn take(count: &mut u8) {
    *count -= 1;
}

impl Model for Failover {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let mind = self.minds().newborn();
        let node = |role| Node {
            mind: Some(mind),
            role,
            skew: 0,
            log: Log::default(),
            told: Told::default(),
        };
        let mut world = World {
            now: 0,
            nodes: [node(Role::Master), node(Role::Replica)],
            in_charge: 0,
            is_linked: true,
            wire: Vec::new(),
            past: Past::default(),
            left: self.left,
        };
        self.open_term(&mut world, 0);
        self.takes_charge(&mut world, 0, Opening::First);
        vec![world]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        let (left, node, other) = (&world.left, world.in_charge, world.other());
        if world.past.fault.is_some() {
            return;
        }
        if left.ticks > 0 {
            actions.push(Action::Tick);
        }
        if world.is_up(node) {
            let view = self.view(world.nodes[node].mind.expect("it is up"));
            if left.grants > 0 {
                actions.push(Action::Grant);
                actions.extend((left.ticks > 0).then_some(Action::Busy));
            }
            if left.raises > 0 && view.held.is_some() {
                actions.push(Action::Raise);
            }
            if left.rewrites > 0 {
                actions.push(Action::Rewrite);
            }
            if left.attachments > 0 && world.is_up(other) && !world.is_linked {
                actions.push(Action::Attach);
            }
        }
        if !world.wire.is_empty() && world.has_replica() {
            actions.push(Action::Deliver);
        }
        if left.promotions > 0 && world.has_replica() {
            actions.push(Action::Promote);
        }
        let is_deposed = world.is_up(other) && world.nodes[other].role == Role::Master;
        if left.deposed_grants > 0 && is_deposed {
            actions.push(Action::DeposedGrant);
        }
        for node in 0..2 {
            if !world.is_up(node) {
                actions.push(Action::Restart(node));
            } else if left.crashes > 0 {
                let units = world.nodes[node].log.units.len();
                actions.extend((0..=units).map(|keep| Action::Crash { node, keep }));
            }
            if left.clock_sets > 0 {
                let others = (-1..=1).filter(|&skew| skew != world.nodes[node].skew);
                actions.extend(others.map(|skew| Action::SetClock { node, skew }));
            }
        }
    }

    fn next_state(&self, before: &World, action: Action) -> Option<World> {
        let mut world = before.clone();
        match action {
            Action::Grant => {
                take(&mut world.left.grants);
                self.grant(&mut world);
            }
            Action::Busy => {
                take(&mut world.left.grants);
                take(&mut world.left.ticks);
                self.be_busy(&mut world);
                world.now += 1;
            }
            Action::Raise => {
                take(&mut world.left.raises);
                self.raise(&mut world);
            }
            Action::Tick => {
                take(&mut world.left.ticks);
                world.now += 1;
            }
            Action::SetClock { node, skew } => {
                take(&mut world.left.clock_sets);
                world.nodes[node].skew = skew;
            }
            Action::Deliver => self.deliver(&mut world),
            Action::Crash { node, keep } => {
                take(&mut world.left.crashes);
                self.crash(&mut world, (node, keep));
            }
            Action::Restart(node) => self.restart(&mut world, node),
            Action::Promote => {
                take(&mut world.left.promotions);
                self.promote(&mut world);
            }
            Action::Attach => {
                take(&mut world.left.attachments);
                self.attach(&mut world);
            }
            Action::Rewrite => {
                take(&mut world.left.rewrites);
                self.rewrite(&mut world);
            }
            Action::DeposedGrant => {
                take(&mut world.left.deposed_grants);
                let node = world.other();
                let unit = self.step(&mut world, node, Input::HandOver);
                self.writes(&mut world, node, unit);
            }
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        crate::claims::properties(self.out_of_reach)
    }
}
