//! Whether a replica has what its master has, once everything was sent: the same
//! locks, owners and tokens, and no lease that ends earlier.

use crate::support::eventually::within;
use crate::support::Client;
use redis::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// For how long both are asked until what is said of a lease that ends just now is
/// said of it by both.
const SETTLES: Duration = Duration::from_secs(10);

/// Leases of a replica may be shorter by so much: clocks are not all as fast.
const DRIFT: f64 = 0.99;

/// What LOCK.INFO says of a lock, or in it of a hold.
pub type Fields = BTreeMap<String, Value>;

/// Where they differ and stay different, in words.
pub fn differences(master: &mut Client, replica: &mut Client) -> Vec<String> {
    let mut found = Vec::new();
    let agree = within(SETTLES, || {
        found = look(master, replica);
        found.is_empty().then_some(())
    });
    match agree {
        Some(()) => Vec::new(),
        None => found,
    }
}

fn look(master: &mut Client, replica: &mut Client) -> Vec<String> {
    let names = |client: &mut Client| BTreeSet::from_iter(client.names_of_type("redislock"));
    let (here, there) = (names(master), names(replica));
    let mut found = Vec::new();
    for key in here.union(&there) {
        // The replica first: its leases are not shorter, and it is asked earlier.
        let on_replica = holds(replica, key);
        let on_master = holds(master, key);
        let is_same = on_replica.len() == on_master.len()
            && on_master.iter().zip(&on_replica).all(is_covered);
        if !is_same {
            found.push(format!(
                "{key}: {on_master:?}, but its replica {on_replica:?}"
            ));
        }
    }
    found
}

/// Whether the replica says the same of the hold; its lease may be longer. (It knows
/// of no sessions.)
fn is_covered((master, replica): (&Fields, &Fields)) -> bool {
    let same = |name: &str| master.get(name) == replica.get(name);
    // Of one that cools a snapshot says how long it will yet; how long in all is of
    // no use to anybody.
    let cools = master.get("cooling-ms") != Some(&Value::Int(0));
    let is_same =
        ["owner", "token", "tolerates"].into_iter().all(same) && (cools || same("delay-ms"));
    let left = |hold: &Fields, name: &str| match hold.get(name) {
        Some(&Value::Int(left)) => left as f64,
        other => panic!("LOCK.INFO says {name} {other:?}"),
    };
    let is_long_enough = |name: &str| left(replica, name) >= left(master, name) * DRIFT;
    is_same && is_long_enough("ttl-ms") && is_long_enough("cooling-ms")
}

fn holds(client: &mut Client, key: &str) -> Vec<Fields> {
    let info = info(client, key);
    match info.get("held-by") {
        Some(Value::Array(holds)) => holds.iter().cloned().map(pairs).collect(),
        other => panic!("LOCK.INFO {key} says held-by {other:?}"),
    }
}

/// What LOCK.INFO says.
pub fn info(client: &mut Client, key: &str) -> Fields {
    pairs(client.call(&["LOCK.INFO", key]))
}

fn pairs(value: Value) -> Fields {
    let Value::Array(values) = value else {
        panic!("LOCK.INFO says {value:?}");
    };
    let pair = |pair: &[Value]| match pair {
        [Value::BulkString(name), value] => {
            (String::from_utf8_lossy(name).into_owned(), value.clone())
        }
        other => panic!("LOCK.INFO says {other:?}"),
    };
    values.chunks(2).map(pair).collect()
}
