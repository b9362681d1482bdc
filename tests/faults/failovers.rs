//! A cluster whose masters die, are stopped or hand over, one after the other.
//!
//! Replication is asynchronous, so two may hold a lock for a moment; tokens rise all
//! the same. What a master acknowledged before it was killed or stopped counts in
//! full. What one that was stopped and replaced says after it runs on, until it is a
//! master again, is a zombie's word (`zombies.rs`): there are two masters then, for
//! as long as it takes to hear of the other one.

use crate::campaign::{Campaign, Control};
use crate::cluster::{Cluster, Replicas};
use crate::history::Stamp;
use crate::judge::Promise;
use crate::support::cluster::is_ready;
use crate::support::eventually;
use crate::workers::{Habits, Workers};
use crate::zombies::{Way, Zombies};
use std::sync::Arc;
use std::time::Duration;

/// A way to change masters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// The master dies, the others notice and vote.
    Kill,
    /// The replica asks the master for its place.
    Handover,
    /// The master is stopped; the replica asks the others.
    Force,
    /// The master is stopped; the replica asks nobody.
    Takeover,
}

impl Change {
    const ALL: [Self; 4] = [Self::Kill, Self::Handover, Self::Force, Self::Takeover];

    fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill -9 of a cluster's master",
            Self::Handover => "CLUSTER FAILOVER",
            Self::Force => "CLUSTER FAILOVER FORCE, master stopped",
            Self::Takeover => "CLUSTER FAILOVER TAKEOVER, master stopped",
        }
    }
}

const MASTERS: usize = 3;

/// How long a shard is left alone after a change. A server that wins an election
/// keeps the votes for two seconds, also if it becomes a replica meanwhile; if its
/// master goes within them, it counts them again and promotes itself, unasked and
/// with an old epoch (seen on Redis 7.0 and 8.0). Nobody can promise much then.
const VOTES_LAST: Duration = Duration::from_millis(2_500);

/// Who is what.
struct Shards {
    cluster: Cluster,
    /// Of each shard: its master and its replica, by their places.
    roles: [(usize, usize); MASTERS],
    /// When each changed masters.
    changed: [Stamp; MASTERS],
    zombies: Zombies,
}

impl Shards {
    fn start() -> Self {
        Self {
            cluster: Cluster::start(MASTERS, Replicas::OneEach, &["cluster-node-timeout 1000"]),
            roles: std::array::from_fn(|shard| (shard, shard + MASTERS)),
            changed: [Stamp::now(); MASTERS],
            zombies: Zombies::default(),
        }
    }

    /// The shard that changed masters the longest ago, when it may again.
    fn next(&self) -> usize {
        let longest_ago = (0..MASTERS).min_by_key(|&shard| self.changed[shard]);
        let shard = longest_ago.expect("there are some");
        let due = self.changed[shard].plus(VOTES_LAST);
        let left = due.0.saturating_sub(Stamp::now().0);
        std::thread::park_timeout(Duration::from_nanos(left));
        shard
    }

    /// Makes the replica of a shard its master, and the master its replica.
    fn change(&mut self, shard: usize, change: Change) {
        let (master, replica) = self.roles[shard];
        let servers = &mut self.cluster.servers;
        let mut on_replica = servers[replica].client();
        match change {
            Change::Kill => servers[master].kill(),
            Change::Force | Change::Takeover => servers[master].signal("STOP"),
            Change::Handover => {}
        }
        self.zombies.lives(servers[replica].port());
        match change {
            Change::Kill => {}
            Change::Handover => drop(on_replica.say("CLUSTER FAILOVER")),
            Change::Force => drop(on_replica.say("CLUSTER FAILOVER FORCE")),
            Change::Takeover => drop(on_replica.say("CLUSTER FAILOVER TAKEOVER")),
        }
        eventually("the replica is promoted", || {
            (on_replica.info("role") == "master").then_some(())
        });
        eventually("it serves", || is_ready(&mut on_replica));
        match change {
            Change::Kill => servers[master].start_again(),
            Change::Force | Change::Takeover => {
                self.zombies.rises(servers[master].port(), Way::RanOn);
                servers[master].signal("CONT");
            }
            Change::Handover => {}
        }
        let mut on_master = servers[master].client();
        eventually("the old master follows", || {
            (on_master.info("role") == "slave").then_some(())
        });
        self.roles[shard] = (replica, master);
        self.changed[shard] = Stamp::now();
        self.cluster.is_well();
    }

    /// The shards that changed masters although nobody told them to.
    fn changed_by_themselves(&mut self) -> u32 {
        let mut changes = 0;
        for roles in &mut self.roles {
            let (master, replica) = *roles;
            let role = |place: usize| self.cluster.servers[place].client().info("role");
            if role(master) == "slave" && role(replica) == "master" {
                *roles = (replica, master);
                changes += 1;
            }
        }
        changes
    }
}

#[test]
fn masters_of_a_cluster_are_replaced() {
    let mut campaign = Campaign::begin("cluster failovers", 4);
    let mut shards = Shards::start();
    campaign.runs_on(&mut shards.cluster.servers[0].client());
    let habits = Habits {
        keys: 16,
        ..Habits::USUAL
    };
    let route = Arc::clone(&shards.cluster.route);
    let workers = Workers::start(route, habits, campaign.seed());
    // Each way once before any comes again.
    let mut ways = Vec::new();
    while campaign.next_trial() {
        if ways.is_empty() {
            ways = Change::ALL.to_vec();
            campaign.dice().shuffle(&mut ways);
        }
        let change = ways.pop().expect("there is one");
        let shard = shards.next();
        let quiet = Duration::from_micros(campaign.dice().u64(0..200_000));
        std::thread::park_timeout(quiet);
        if shards.changed_by_themselves() > 0 {
            // With a master that lives and does not know it is replaced there are
            // two, and who said what when is not known.
            campaign.object("a shard changed masters although nobody told it to");
            break;
        }
        campaign.fault(change.name(), workers.busy());
        shards.change(shard, change);
    }
    let mut outcome = workers.finish();
    let (zombies, broken) = shards.zombies.part(&mut outcome.grants);
    println!("{zombies} grants by masters that were replaced");
    for line in broken {
        campaign.object(line);
    }
    for server in &mut shards.cluster.servers {
        server.assert_healthy();
    }
    campaign.end(outcome, Promise::Tokens, Control::MayLose, 20);
}
