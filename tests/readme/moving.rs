//! The page on moving over says how to run two locks while a fleet is replaced: an old
//! lock, the new one and the old one inside it, the new one only. It is done here, with
//! SET NX and its script for the old lock.

use super::support::{eventually, Client, Server};
use std::thread;

const OLD: &str = "seat:42";
const NEW: &str = "seat:42:lock";
const DELETE_IF_MINE: &str = "
    if redis.call('get', KEYS[1]) == ARGV[1] then
        return redis.call('del', KEYS[1])
    end
    return 0";
const TURNS: u32 = 25;

/// Which locks an instance takes, by the step in which it was rolled out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Old,
    Both,
    New,
}

fn lock_old(client: &mut Client, owner: &str) {
    eventually("the old lock", || {
        let reply = client.say(&format!("SET {OLD} {owner} NX PX 60000"));
        (reply != redis::Value::Nil).then_some(())
    });
}

fn unlock_old(client: &mut Client, owner: &str) {
    let done = client.call(&["EVAL", DELETE_IF_MINE, "1", OLD, owner]);
    assert_eq!(done, redis::Value::Int(1), "the old lock was ours");
}

fn lock_new(client: &mut Client, owner: &str) {
    let granted = client.number_or_nil(&format!("LOCK.ACQUIRE {NEW} {owner} 60000 BLOCK 60000"));
    assert!(granted.is_some(), "the new lock");
}

fn count(client: &mut Client) -> i64 {
    client.text("GET count").parse().expect("a number")
}

/// Adds one by reading and writing: without a lock around it counts are lost.
fn add_one(client: &mut Client, takes: Takes, owner: &str) {
    if takes != Takes::Old {
        lock_new(client, owner);
    }
    if takes != Takes::New {
        lock_old(client, owner);
    }
    let next = count(client) + 1;
    client.say(&format!("SET count {next}"));
    if takes != Takes::New {
        unlock_old(client, owner);
    }
    if takes != Takes::Old {
        assert_eq!(client.release(NEW, owner), 1, "the new lock was ours");
    }
}

/// How much of what two instances of each kind counted is there.
fn counted_by(kinds: [Takes; 2]) -> i64 {
    let server = Server::start();
    server.client().say("SET count 0");
    thread::scope(|scope| {
        for (instance, takes) in kinds.into_iter().chain(kinds).enumerate() {
            let mut client = server.client();
            scope.spawn(move || {
                for turn in 0..TURNS {
                    add_one(&mut client, takes, &format!("{instance}-{turn}"));
                }
            });
        }
    });
    count(&mut server.client())
}

#[test]
fn who_takes_both_locks_excludes_who_takes_the_old_one() {
    let all = i64::from(4 * TURNS);
    assert_eq!(counted_by([Takes::Old, Takes::Both]), all);
}

#[test]
fn who_takes_both_locks_excludes_who_takes_the_new_one() {
    let all = i64::from(4 * TURNS);
    assert_eq!(counted_by([Takes::Both, Takes::New]), all);
}

/// The control, and why the step between must not be left out.
#[test]
fn the_old_lock_and_the_new_one_do_not_exclude_each_other() {
    let server = Server::start();
    let mut client = server.client();
    lock_old(&mut client, "old");
    lock_new(&mut client, "new");
}
