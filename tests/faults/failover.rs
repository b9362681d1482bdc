//! `FAILOVER`: a master hands over to its replica, while clients work, a hundred
//! wait in line, and leases run out in the pause that it makes.
//!
//! Nothing is lost in it, so all is promised here that is promised on one server:
//! one holder at a time, nobody's hold ends early. Whoever waits is told UNBLOCKED
//! and asks the new master again. Now and then the replica stands still, so that
//! the pause is long; now and then the failover is called off.

use crate::agree::{differences, info};
use crate::campaign::{Campaign, Control};
use crate::group::{let_pass, up_to};
use crate::judge::Promise;
use crate::route::One;
use crate::support::{catch_up, eventually, Client, Server, Waiter};
use crate::workers::{Habits, Workers};
use redis::Value;
use std::sync::Arc;
use std::time::Duration;

/// How many wait for one lock.
const LINE: usize = 100;
/// How many locks are held over.
const HELD: usize = 20;
/// How many leases run out about then; somebody waits for each.
const LAPSING: usize = 20;

/// They hold for so long that a failover often hits a holder.
const HABITS: Habits = Habits {
    thinks: Duration::from_millis(4),
    ..Habits::USUAL
};

struct Trial<'a> {
    number: u64,
    master: &'a Server,
    replica: &'a Server,
    on_master: Client,
    on_replica: Client,
    held: Vec<i64>,
    line: Vec<Waiter>,
    lapsing: Vec<Waiter>,
    boss: i64,
    /// Who was granted in place of whom a lease ran out, as far as is known.
    seconds: [Option<i64>; LAPSING],
}

impl<'a> Trial<'a> {
    /// Everything is in its place.
    fn prepare(
        number: u64,
        master: &'a Server,
        replica: &'a Server,
        dice: &mut fastrand::Rng,
    ) -> Self {
        let mut on_master = master.client();
        let mut held = Vec::new();
        for hold in 0..HELD {
            held.push(on_master.acquired(&format!("held:{number}:{hold}"), "h", 600_000));
        }
        let boss = on_master.acquired(&format!("line:{number}"), "boss", 600_000);
        let mut trial = Self {
            number,
            master,
            replica,
            on_master,
            on_replica: replica.client(),
            held,
            line: Vec::new(),
            lapsing: Vec::new(),
            boss,
            seconds: [None; LAPSING],
        };
        trial.line = (0..LINE)
            .map(|it| trial.stands_in_line(master, it))
            .collect();
        let on_master = &mut trial.on_master;
        await_line(on_master, number);
        for lock in 0..LAPSING {
            let ttl_ms = dice.u64(5..150);
            let key = format!("lapsing:{number}:{lock}");
            on_master.acquired(&key, "first", ttl_ms);
            let ask = format!("LOCK.ACQUIRE {key} second 600000 BLOCK 0");
            trial.lapsing.push(Waiter::asks(master, &ask));
        }
        trial
    }

    /// Waits for the lock; gives it back as soon as it is granted.
    fn stands_in_line(&self, server: &Server, place: usize) -> Waiter {
        let number = self.number;
        let mut waiter = Waiter::asks(server, "PING");
        if place.is_multiple_of(4) {
            // Whoever can be redirected Valkey 9 does not send away by itself.
            // Others know of no such thing.
            waiter.say("CLIENT CAPA redirect");
            waiter.answer();
        }
        waiter.answer();
        waiter.say(&format!(
            "LOCK.ACQUIRE line:{number} w{place} 60000 BLOCK 0"
        ));
        waiter.say(&format!("LOCK.RELEASE line:{number} w{place}"));
        waiter
    }

    /// The failover is called off: nobody has noticed.
    fn call_off(&mut self, dice: &mut fastrand::Rng) {
        self.replica.signal("STOP");
        self.on_master.say("FAILOVER");
        let_pass(up_to(dice, 100));
        let words = ["FAILOVER", "ABORT"];
        self.on_master.call(&words);
        self.replica.signal("CONT");
    }

    /// The roles change.
    fn fail_over(&mut self, dice: &mut fastrand::Rng) {
        let stands_still = dice.bool();
        if stands_still {
            self.replica.signal("STOP");
        }
        self.on_master.say("FAILOVER");
        if stands_still {
            let_pass(up_to(dice, 200));
            self.replica.signal("CONT");
        }
        let Self {
            on_master,
            on_replica,
            ..
        } = self;
        eventually("the roles change", || {
            (on_replica.info("role") == "master").then_some(())
        });
        eventually("the old master follows", || {
            (on_master.info("master_link_status") == "up").then_some(())
        });
    }

    /// Who held before holds now, with the same token.
    fn check_holds(&self, master: &mut Client) -> Vec<String> {
        let mut broken = Vec::new();
        for (hold, &token) in self.held.iter().enumerate() {
            let key = format!("held:{}:{hold}", self.number);
            let extended = master.number(&format!("LOCK.EXTEND {key} h 600000"));
            if extended != 1 || !master.is_live(&key, token) {
                broken.push(format!("{key} with token {token} was lost"));
            }
        }
        broken
    }

    /// Whoever waited was told, and asks the new master.
    fn ask_again(&mut self) -> Vec<String> {
        let mut broken = Vec::new();
        for waiter in &mut self.line {
            let told = waiter.answer();
            if !told.starts_with("-UNBLOCKED ") {
                return vec![format!("in line, and told {told}")];
            }
        }
        for (lock, waiter) in self.lapsing.iter_mut().enumerate() {
            let told = waiter.answer();
            let token = told.strip_prefix(':').and_then(|it| it.parse().ok());
            self.seconds[lock] = token;
            // Some come to wait when writes are paused already.
            let is_sent_away = told.starts_with("-UNBLOCKED ") || told.starts_with("-READONLY ");
            if token.is_none() && !is_sent_away {
                broken.push(format!("{lock} lapsed; who waited was told {told}"));
            }
        }
        self.line = (0..LINE)
            .map(|it| self.stands_in_line(self.replica, it))
            .collect();
        broken
    }

    /// The line moves on, each with a larger token than what was held before.
    fn drain(&mut self, on_master: &mut Client) -> Vec<String> {
        await_line(on_master, self.number);
        let released = on_master.release(&format!("line:{}", self.number), "boss");
        let mut tokens: Vec<i64> = self.line.iter_mut().map(Waiter::token).collect();
        tokens.push(self.boss);
        tokens.sort_unstable();
        let is_rising = tokens.windows(2).all(|pair| pair[0] < pair[1]);
        let is_sound = is_rising && released == 1 && tokens[0] == self.boss;
        match is_sound {
            true => Vec::new(),
            false => vec![format!(
                "released {released}, {} above {tokens:?}",
                self.boss
            )],
        }
    }

    /// Every lock whose lease ran out can be had; whoever was told of a grant has it.
    fn check_lapsed(&self, on_master: &mut Client) -> Vec<String> {
        let mut broken = Vec::new();
        for (lock, told) in self.seconds.iter().enumerate() {
            let key = format!("lapsing:{}:{lock}", self.number);
            let token = eventually("the lease is over", || {
                on_master.acquire(&key, "second", 600_000)
            });
            if told.is_some_and(|told| told != token) {
                broken.push(format!("{key} was granted with {told:?}, now {token}"));
            }
            on_master.release(&key, "second");
        }
        broken
    }
}

/// Waits until all are in line.
fn await_line(client: &mut Client, number: u64) {
    let key = format!("line:{number}");
    eventually("they wait", || {
        let all = Value::Int(LINE as i64);
        (info(client, &key).get("waiters") == Some(&all)).then_some(())
    });
}

fn run(trial: &mut Trial<'_>, campaign: &mut Campaign, workers: &Workers, route: &One) {
    let is_called_off = campaign.dice().u8(0..8) == 0;
    let_pass(up_to(campaign.dice(), 50));
    let mut broken = Vec::new();
    let mut on_new = if is_called_off {
        campaign.fault("FAILOVER called off", workers.busy());
        trial.call_off(campaign.dice());
        trial.master.client()
    } else {
        campaign.fault("FAILOVER", workers.busy());
        trial.fail_over(campaign.dice());
        route.leads_to(trial.replica.port());
        broken.extend(trial.ask_again());
        trial.replica.client()
    };
    if broken.is_empty() {
        broken.extend(trial.check_holds(&mut on_new));
        broken.extend(trial.drain(&mut on_new));
        broken.extend(trial.check_lapsed(&mut on_new));
    }
    for hold in 0..HELD {
        on_new.release(&format!("held:{}:{hold}", trial.number), "h");
    }
    for what in broken {
        campaign.object(what);
    }
    workers.get_on();
}

#[test]
fn handed_over_with_a_hundred_in_line() {
    let mut campaign = Campaign::begin("FAILOVER", 5);
    let mut servers = [Server::start(), Server::start()];
    let mut master = 0;
    campaign.runs_on(&mut servers[0].client());
    let port = servers[0].port();
    servers[1]
        .client()
        .say(&format!("REPLICAOF 127.0.0.1 {port}"));
    let route = One::at(port);
    let workers = Workers::start(Arc::new(route.clone()), HABITS, campaign.seed());
    while campaign.next_trial() {
        let mut on_replica = servers[1 - master].client();
        eventually("the link is up", || {
            (on_replica.info("master_link_status") == "up").then_some(())
        });
        let number = campaign.trials();
        let (one, other) = (&servers[master], &servers[1 - master]);
        let mut trial = Trial::prepare(number, one, other, campaign.dice());
        run(&mut trial, &mut campaign, &workers, &route);
        if servers[1 - master].client().info("role") == "master" {
            master = 1 - master;
        }
        for server in &mut servers {
            server.assert_healthy();
        }
    }
    let outcome = workers.finish();
    let (mut on_master, mut on_replica) = (servers[master].client(), servers[1 - master].client());
    catch_up(&mut on_master, &mut on_replica);
    for what in differences(&mut on_master, &mut on_replica) {
        campaign.object(what);
    }
    campaign.end(outcome, Promise::OneHolder, Control::MayLose, 20);
}
