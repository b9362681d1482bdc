//! A master that must have a replica (`min-replicas-to-write 1`) and has lost it:
//! it grants nobody anything, not by itself either, until the replica is back.

use crate::campaign::{Campaign, Control};
use crate::group::{let_pass, up_to, Node};
use crate::history::Stamp;
use crate::judge::Promise;
use crate::proxy::Way;
use crate::route::One;
use crate::support::{eventually, Client, Waiter};
use crate::workers::{Habits, Workers};
use std::sync::Arc;
use std::time::Duration;

const HABITS: Habits = Habits {
    thinks: Duration::from_millis(4),
    ..Habits::USUAL
};

/// How many wait for each lock whose lease runs out in loneliness.
const LINE: usize = 3;

/// From when to when it was alone.
struct Spell {
    from: Stamp,
    to: Stamp,
}

fn refuses(client: &mut Client) -> bool {
    let words = ["SET", "any", "thing"];
    let refused = client.try_call(&words).err();
    refused.is_some_and(|error| error.code() == Some("NOREPLICAS"))
}

/// Others who wait for a lock that is held. Whoever is granted gives it back at
/// once.
fn line_for(key: &str, master: &Node, client: &mut Client) -> Vec<Waiter> {
    let stands = |place: usize| {
        let line = format!("LOCK.ACQUIRE {key} w{place} 60000 BLOCK 0");
        let mut waiter = Waiter::asks(&master.server, &line);
        waiter.say(&format!("LOCK.RELEASE {key} w{place}"));
        waiter
    };
    let line = (0..LINE).map(stands).collect();
    eventually("they wait", || {
        let info = format!("{:?}", client.call(&["LOCK.INFO", key]));
        let all = (0..LINE).all(|place| info.contains(&format!("\"w{place}\"")));
        all.then_some(())
    });
    line
}

fn be_alone(campaign: &mut Campaign, replica: &Node, workers: &Workers) {
    match campaign.dice().u8(0..4) {
        0 => {
            campaign.fault("alone: the link is silent", workers.busy());
            replica.uplink().set_both(Way::Frozen);
        }
        _ => {
            campaign.fault("alone: the link is cut", workers.busy());
            replica.uplink().cut();
        }
    }
}

fn trial(campaign: &mut Campaign, nodes: &[Node], workers: &Workers) -> Spell {
    let (master, replica) = (&nodes[0], &nodes[1]);
    let mut client = master.server.client();
    eventually("it has its replica", || {
        (!refuses(&mut client)).then_some(())
    });
    let number = campaign.trials();
    // One hold ends with a session, one by its lease: both while it is alone, the
    // second if chance has it so.
    let (dies, lapses) = (format!("dies:{number}"), format!("lapses:{number}"));
    let mut session = master.server.client();
    session.number(&format!("LOCK.ACQUIRE {dies} first 600000 SESSION"));
    client.acquired(&lapses, "first", campaign.dice().u64(300..2_000));
    let mut lines = vec![
        line_for(&dies, master, &mut client),
        line_for(&lapses, master, &mut client),
    ];
    let_pass(up_to(campaign.dice(), 50));
    be_alone(campaign, replica, workers);
    eventually("it finds itself alone", || {
        refuses(&mut client).then_some(())
    });
    let from = Stamp::now();
    let still_wait: Vec<&Waiter> = lines.iter().flatten().filter(|it| it.is_silent()).collect();
    drop(session);
    let end = from.plus(Duration::from_millis(150) + up_to(campaign.dice(), 1_000));
    while Stamp::now() < end {
        if !still_wait.iter().all(|it| it.is_silent()) {
            campaign.object("somebody was granted by a master that is alone");
            let to = Stamp::now();
            return Spell { from, to };
        }
        let_pass(Duration::from_millis(5));
    }
    let to = Stamp::now();
    replica.uplink().heal();
    // The line goes on, in its order.
    for line in &mut lines {
        let mut last = 0;
        for waiter in line {
            let token = waiter.token();
            if token <= last {
                campaign.object(format!("{token} behind {last} in line"));
            }
            last = token;
        }
    }
    Spell { from, to }
}

#[test]
fn nobody_is_granted_while_the_master_is_alone() {
    let mut campaign = Campaign::begin("min-replicas-to-write 1, and none", 4);
    let settings = [
        "min-replicas-to-write 1",
        "min-replicas-max-lag 2",
        "repl-ping-replica-period 1",
    ];
    let mut nodes: Vec<Node> = vec![Node::start(&settings), Node::start(&[])];
    campaign.runs_on(&mut nodes[0].server.client());
    let master = nodes[0].port();
    nodes[1].follow(master);
    nodes[1].await_link();
    let workers = Workers::start(Arc::new(One::at(master)), HABITS, campaign.seed());
    let mut spells = Vec::new();
    while campaign.next_trial() {
        spells.push(trial(&mut campaign, &nodes, &workers));
    }
    let outcome = workers.finish();
    for spell in &spells {
        let in_it = outcome
            .grants
            .iter()
            .find(|it| it.asked > spell.from && it.answered < spell.to);
        if let Some(grant) = in_it {
            campaign.object(format!("granted by a master that is alone: {grant:?}"));
        }
    }
    for node in &mut nodes {
        node.server.assert_healthy();
    }
    // While it is alone there are none.
    campaign.end(outcome, Promise::OneHolder, Control::MayLose, 5);
}
