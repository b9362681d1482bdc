//! A split brain: the master is cut off with a client who goes on taking locks
//! there, a replica is promoted, and the old master *starts again*, as a master:
//! its new term may be above the term of the promoted one. Then it heals and
//! becomes a replica.
//!
//! What is judged:
//!
//! - The surviving lineage: all that was granted before the cut, and what the
//!   promoted master granted and raised. Its tokens are unique and rise.
//! - The resource, which sees both sides: whatever it accepted stays. It cannot
//!   tell the sides apart, and need not: it goes by the token. A zombie with the
//!   larger token is let in, and then the true holder is refused: its token was
//!   outrun. (That is the written limit of the tokens; it is counted here.)
//! - Who is refused so: the holder asks for a larger token (`EXTEND ... RAISE`) and
//!   is let in again within [`RECOVERY_MOST`].
//! - Nobody of the surviving side loses an update: what its holders were told is
//!   written is in the counter, whatever zombies write before or after.
//!
//! What a zombie was granted is left out of the lineage: nothing of it survives.

use crate::campaign::{Campaign, Control, Outcome};
use crate::group::{let_pass, up_to, Files, Node};
use crate::history::{Grant, Stamp, Unit};
use crate::judge::Promise;
use crate::resource::Resource;
use crate::support::{catch_up, Client};
use crate::workers::{name, owner, Busy};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::Mutex;
use std::time::Duration;

/// How long a holder that was outrun may be refused.
const RECOVERY_MOST: Duration = Duration::from_secs(2);
/// How many locks there are; on each side one client for each.
const KEYS: u32 = 4;
/// How long leases are: longer than a trial.
const TTL_MS: u64 = 30_000;
/// How often a holder writes before it gives the lock back.
const WRITES: u32 = 5;

/// What all trials share.
struct World {
    resource: Resource,
    units: AtomicU64,
    grants: Mutex<Vec<Grant>>,
    operations: AtomicU64,
    broken: Mutex<Vec<String>>,
    outrun: AtomicU64,
    holding: AtomicU32,
    asking: AtomicU32,
    slowest: AtomicU64,
}

impl World {
    fn busy(&self) -> Busy {
        Busy {
            holding: self.holding.load(Ordering::SeqCst),
            asking: self.asking.load(Ordering::SeqCst),
        }
    }
}

/// One side of the split: a server, and for how long its clients go on.
struct Side<'a> {
    world: &'a World,
    port: u16,
    is_over: &'a AtomicBool,
}

impl Side<'_> {
    fn new_unit(&self) -> Unit {
        Unit(self.world.units.fetch_add(1, Ordering::SeqCst))
    }

    /// A token, or nothing if the server is not there or does not grant.
    fn ask(&self, client: &mut Client, words: &str) -> Option<i64> {
        self.world.operations.fetch_add(1, Ordering::Relaxed);
        let words: Vec<&str> = words.split(' ').collect();
        match client.try_call(&words) {
            Ok(redis::Value::Int(number)) => Some(number),
            _ => None,
        }
    }

    fn acquire(&self, client: &mut Client, key: u32, unit: Unit) -> Option<i64> {
        let world = self.world;
        world.asking.fetch_add(1, Ordering::SeqCst);
        let (key, owner) = (name(key), owner(unit));
        let token = self.ask(client, &format!("LOCK.ACQUIRE {key} {owner} {TTL_MS}"));
        world.asking.fetch_sub(1, Ordering::SeqCst);
        world
            .holding
            .fetch_add(u32::from(token.is_some()), Ordering::SeqCst);
        token
    }

    fn release(&self, client: &mut Client, key: u32, unit: Unit) {
        let (key, owner) = (name(key), owner(unit));
        self.ask(client, &format!("LOCK.RELEASE {key} {owner}"));
        self.world.holding.fetch_sub(1, Ordering::SeqCst);
    }

    fn write(&self, key: u32, unit: Unit, token: i64) -> bool {
        let resource = &self.world.resource;
        let reading = resource.read(key, token, unit);
        // It thinks: in that time the other side writes.
        let_pass(Duration::from_micros(fastrand::u64(0..300)));
        resource.write(key, token, unit, &reading)
    }

    fn note(&self, key: u32, unit: Unit, token: i64, asked: Stamp) {
        let answered = Stamp::now();
        self.world.grants.lock().expect("no panic").push(Grant {
            key,
            unit,
            token,
            asked,
            answered,
            until: answered,
            lost: None,
            server: self.port,
        });
    }

    /// Takes the lock and writes and gives it back, on the side that dies out.
    fn as_zombie(&self, key: u32) {
        while !self.is_over.load(Ordering::SeqCst) {
            let Some(mut client) = Client::try_connect(self.port) else {
                let_pass(Duration::from_millis(1));
                continue;
            };
            while !self.is_over.load(Ordering::SeqCst) {
                let unit = self.new_unit();
                let Some(token) = self.acquire(&mut client, key, unit) else {
                    break;
                };
                self.write(key, unit, token);
                self.release(&mut client, key, unit);
                let_pass(Duration::from_millis(1));
            }
        }
    }

    /// Takes the lock, writes some times, and if refused asks for a larger token.
    fn as_holder(&self, key: u32) {
        let mut client = Client::try_connect(self.port).expect("it is there");
        while !self.is_over.load(Ordering::SeqCst) {
            let unit = self.new_unit();
            let asked = Stamp::now();
            let Some(mut token) = self.acquire(&mut client, key, unit) else {
                // Held by whom the cut left behind, or not a master any more.
                let_pass(Duration::from_millis(1));
                continue;
            };
            self.note(key, unit, token, asked);
            for _ in 0..WRITES {
                if !self.write(key, unit, token) {
                    token = self.recover(&mut client, key, unit);
                }
                let_pass(Duration::from_micros(300));
            }
            self.release(&mut client, key, unit);
        }
    }

    /// The holder's token was outrun: a larger one, until it is let in.
    fn recover(&self, client: &mut Client, key: u32, unit: Unit) -> i64 {
        let world = self.world;
        world.outrun.fetch_add(1, Ordering::SeqCst);
        let refused = Stamp::now();
        loop {
            let seen = world.resource.seen(key).expect("it has seen ours");
            let (key_name, owner) = (name(key), owner(unit));
            let raised = seen + 1;
            let asked = Stamp::now();
            let raise = format!("LOCK.EXTEND {key_name} {owner} {TTL_MS} RAISE {raised}");
            let token = self.ask(client, &raise);
            if let Some(token) = token {
                self.note(key, unit, token, asked);
            }
            let is_let_in = token.is_some_and(|token| self.write(key, unit, token));
            let took = Stamp::now().0 - refused.0;
            if is_let_in {
                world.slowest.fetch_max(took, Ordering::SeqCst);
                return token.unwrap_or_default();
            }
            if took > RECOVERY_MOST.as_nanos() as u64 {
                let what =
                    format!("{unit:?} was outrun on {key_name} and is not let in: {token:?}");
                world.broken.lock().expect("no panic").push(what);
                return seen;
            }
        }
    }
}

/// Sets clients to work on `port`, one for each key.
fn work_at<'s>(
    threads: &'s std::thread::Scope<'s, '_>,
    world: &'s World,
    port: u16,
    is_over: &'s AtomicBool,
    work: impl Fn(&Side<'s>, u32) + Copy + Send + 's,
) {
    for key in 0..KEYS {
        let side = Side {
            world,
            port,
            is_over,
        };
        threads.spawn(move || work(&side, key));
    }
}

fn trial(campaign: &mut Campaign, world: &World, nodes: &mut [Node; 2]) {
    let (before, split) = (AtomicBool::new(false), AtomicBool::new(false));
    let (old, new) = (nodes[0].port(), nodes[1].port());
    nodes[1].await_link();
    let files = match campaign.dice().bool() {
        true => Files::Kept,
        false => Files::Lost,
    };
    std::thread::scope(|threads| {
        work_at(threads, world, old, &before, |side, key| {
            side.as_holder(key)
        });
        let_pass(up_to(campaign.dice(), 50));
        // The client that stays there is not of the lineage from here on.
        before.store(true, Ordering::SeqCst);
    });
    // A RAISE that is lost with the end of the stream is a limit of its own.
    let mut clients = [nodes[0].server.client(), nodes[1].server.client()];
    let [on_old, on_new] = &mut clients;
    catch_up(on_old, on_new);
    std::thread::scope(|threads| {
        work_at(threads, world, old, &split, |side, key| side.as_zombie(key));
        let_pass(up_to(campaign.dice(), 30));
        campaign.fault("split: master cut off, replica promoted", world.busy());
        nodes[1].uplink().cut();
        nodes[1].promote();
        free_all(&nodes[1]);
        work_at(threads, world, new, &split, |side, key| side.as_holder(key));
        let_pass(up_to(campaign.dice(), 50));
        campaign.fault("split: the old master starts again as master", world.busy());
        nodes[0].server.kill();
        nodes[0].come_back(files);
        let_pass(Duration::from_millis(50) + up_to(campaign.dice(), 100));
        // It heals while both sides are at work.
        nodes[0].follow(new);
        let_pass(up_to(campaign.dice(), 30));
        split.store(true, Ordering::SeqCst);
    });
    nodes.swap(0, 1);
}

/// Zombies' holds from before the cut may have got here: nobody will release them.
fn free_all(node: &Node) {
    let mut client = node.server.client();
    for key in 0..KEYS {
        client.number(&format!("DEL {}", name(key)));
    }
}

#[test]
fn an_old_master_that_starts_again_on_its_own() {
    let mut campaign = Campaign::begin("split brain", 5);
    let settings = ["appendonly yes", "repl-timeout 10"];
    let mut nodes = [Node::start(&settings), Node::start(&settings)];
    campaign.runs_on(&mut nodes[0].server.client());
    let master = nodes[0].port();
    nodes[1].follow(master);
    let world = World {
        resource: Resource::new(KEYS),
        units: AtomicU64::new(1),
        grants: Mutex::default(),
        operations: AtomicU64::new(0),
        broken: Mutex::default(),
        outrun: AtomicU64::new(0),
        holding: AtomicU32::new(0),
        asking: AtomicU32::new(0),
        slowest: AtomicU64::new(0),
    };
    let began = Stamp::now();
    while campaign.next_trial() {
        trial(&mut campaign, &world, &mut nodes);
        for what in world.broken.lock().expect("no panic").drain(..) {
            campaign.object(what);
        }
        let nodes_up = nodes.iter_mut();
        nodes_up.for_each(|node| node.server.assert_healthy());
    }
    let outrun = world.outrun.load(Ordering::SeqCst);
    let slowest_ms = world.slowest.load(Ordering::SeqCst) as f64 / 1e6;
    println!("{outrun} holders were outrun; let in again after {slowest_ms:.1} ms at most");
    if outrun == 0 {
        campaign.object("no zombie outran anybody: nothing was tried");
    }
    let outcome = Outcome {
        grants: world.grants.into_inner().expect("no panic"),
        operations: world.operations.into_inner(),
        lost: world.resource.lost(),
        time: Duration::from_nanos(Stamp::now().0 - began.0),
    };
    campaign.end(outcome, Promise::Tokens, Control::Loses, 20);
}
