//! A slot that moves whole: CLUSTER MIGRATESLOTS, which Valkey has from 9.0 on. It
//! sends the slot's keys as the commands that make them, then what happens to them
//! meanwhile, and changes the owner in one instant. Servers that have not got it move
//! the slot key by key in these tests.

use super::slots::{clock_beyond, token_by_clock};
use super::support::cluster::{give, migrate, node, open, state_of_move, two};
use super::support::{blocked_clients, eventually, Client, Server, Waiter};

/// Slot 12182, by the example in the specification of Redis Cluster.
const KEY: &str = "foo";
const SLOT: u32 = 12_182;

/// A slot on its way.
struct Move<'a> {
    from: &'a Server,
    to: &'a Server,
    way: Way,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// As a stream of commands.
    Whole,
    /// With DUMP and RESTORE.
    KeyByKey,
}

/// How this server moves slots; and that it does not know the other way if its
/// version says so.
fn way(server: &Server) -> Way {
    let mut client = server.client();
    let info = client.text("INFO server");
    let version = info
        .lines()
        .find_map(|line| line.strip_prefix("valkey_version:"));
    let major = version.and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    let told = client.error_of("CLUSTER MIGRATESLOTS");
    if major.is_some_and(|major| major >= 9) {
        assert!(told.contains("wrong number of arguments"), "{told}");
        Way::Whole
    } else {
        assert!(told.contains("unknown subcommand"), "{told}");
        Way::KeyByKey
    }
}

fn reaches(client: &mut Client, wanted: &str) {
    eventually(wanted, || (state_of_move(client) == wanted).then_some(()));
}

impl<'a> Move<'a> {
    /// Begins it; it does not end before it is told to.
    fn begin(from: &'a Server, to: &'a Server) -> Self {
        let way = way(from);
        let (mut here, mut there) = (from.client(), to.client());
        match way {
            Way::Whole => {
                here.say("DEBUG SLOTMIGRATION PREVENT-PAUSE 1");
                let name = there.text("CLUSTER MYID");
                let ask = format!("CLUSTER MIGRATESLOTS SLOTSRANGE {SLOT} {SLOT} NODE {name}");
                let words: Vec<&str> = ask.split(' ').collect();
                // The other server may not have heard yet of what was moved before.
                eventually("it is on its way", || {
                    let is_under_way = here.try_call(&words).is_err();
                    (is_under_way && state_of_move(&mut here) == "waiting-to-pause").then_some(())
                });
            }
            Way::KeyByKey => open(SLOT, &mut here, &mut there),
        }
        Self { from, to, way }
    }

    /// Waits until the slot is the other server's.
    fn end(self) {
        let (mut here, mut there) = (self.from.client(), self.to.client());
        match self.way {
            Way::Whole => {
                here.say("DEBUG SLOTMIGRATION PREVENT-PAUSE 0");
                reaches(&mut here, "success");
            }
            Way::KeyByKey => {
                for key in here.texts(&format!("CLUSTER GETKEYSINSLOT {SLOT} 100")) {
                    migrate(&key, &mut here, self.to);
                }
                give(SLOT, &mut here, &mut there);
            }
        }
    }

    /// The slot stays where it is.
    fn call_off(self) {
        let (mut here, mut there) = (self.from.client(), self.to.client());
        match self.way {
            Way::Whole => {
                here.say("CLUSTER CANCELSLOTMIGRATIONS");
                reaches(&mut here, "cancelled");
                reaches(&mut there, "failed");
            }
            Way::KeyByKey => {
                for client in [&mut here, &mut there] {
                    client.say(&format!("CLUSTER SETSLOT {SLOT} STABLE"));
                }
            }
        }
    }
}

/// A key of the slot.
fn key(name: &str) -> String {
    format!("{{{KEY}}}{name}")
}

fn joins(server: &Server, client: &mut Client, key: &str, owner: &str) -> Waiter {
    let ask = format!("LOCK.ACQUIRE {key} {owner} 60000 BLOCK 0");
    Waiter::joins(server, client, &ask)
}

#[test]
fn a_slot_that_moves_takes_its_locks_along() {
    let (mut one, mut other) = two();
    let (mut on_one, mut on_other) = (one.client(), other.client());
    let held = on_one.acquired(KEY, "alice", 60_000);
    let [first, second] = ["a", "b"].map(|owner| {
        let ask = format!("LOCK.ACQUIRE {} {owner} 60000 SHARED", key("shared"));
        on_one.number(&ask)
    });
    let free = on_one.acquired(&key("free"), "alice", 60_000);
    on_one.release(&key("free"), "alice");
    let mut waiter = joins(&one, &mut on_one, KEY, "bob");

    let slot = Move::begin(&one, &other);
    assert!(waiter.is_silent(), "nobody is sent away before");
    slot.end();
    let told = waiter.answer();
    let is_sent = told.starts_with(&format!("-MOVED {SLOT} ")) || told.starts_with("-TRYAGAIN ");
    assert!(is_sent, "{told}");
    assert_eq!(blocked_clients(&mut on_one), 0);
    assert_eq!(on_one.number("DBSIZE"), 0, "nothing is left behind");

    // The owner extends it, the line is formed anew, and tokens rise.
    assert_eq!(on_other.fence(KEY), Some(held));
    assert_eq!(
        on_other.number(&format!("LOCK.EXTEND {KEY} alice 60000")),
        1
    );
    let mut waiter = joins(&other, &mut on_other, KEY, "bob");
    assert_eq!(on_other.release(KEY, "alice"), 1);
    assert!(waiter.token() > second);
    assert!(on_other.is_live(&key("shared"), first));
    assert!(on_other.is_live(&key("shared"), second));
    // The first grant opens a term there, though the counter knows of no other.
    let by_clock = clock_beyond(on_other.acquired(&key("another"), "bob", 60_000));
    assert!(on_other.acquired(&key("free"), "bob", 60_000) > free);
    assert!(by_clock > free);
    one.assert_healthy();
    other.assert_healthy();
}

#[test]
fn the_first_grant_in_a_slot_that_came_opens_a_term() {
    let (one, other) = two();
    let (mut on_one, mut on_other) = (one.client(), other.client());
    let held = on_one.acquired(KEY, "alice", 60_000);
    Move::begin(&one, &other).end();
    let by_clock = clock_beyond(held + (100 << 12));
    let token = on_other.acquired(&key("new"), "bob", 60_000);
    assert!(token > by_clock, "{token} does not open a term");
    assert!(token < token_by_clock() + (1 << 12), "{token} is ahead");
}

/// What happens to locks between the picture that is taken of the slot and the
/// instant in which it changes hands.
#[test]
fn what_happens_to_a_lock_on_its_way_arrives() {
    let (mut one, mut other) = two();
    let replica = node();
    let (mut on_one, mut on_other) = (one.client(), other.client());
    let mut on_replica = replica.client();
    on_other.say(&format!("CLUSTER MEET 127.0.0.1 {}", replica.port()));
    let master = on_other.text("CLUSTER MYID");
    eventually("it becomes a replica", || {
        on_replica.try_call(&["CLUSTER", "REPLICATE", &master]).ok()
    });
    eventually("the link is up", || {
        (on_replica.info("master_link_status") == "up").then_some(())
    });
    let names = ["released", "raised", "shared"].map(key);
    let [released, raised, shared] = &names;
    for name in [released, raised] {
        on_one.acquired(name, "alice", 60_000);
    }
    let lapsed = key("lapsed");
    let deleted = key("deleted");
    let mut waits = joins(&one, &mut on_one, released, "bob");
    on_one.number(&format!("LOCK.ACQUIRE {shared} a 60000 SHARED"));
    let sharer = on_one.number(&format!("LOCK.ACQUIRE {shared} b 60000 SHARED"));

    let slot = Move::begin(&one, &other);
    let is_whole = slot.way == Way::Whole;
    on_one.release(released, "alice");
    let by_release = waits.token();
    let above = by_release + 5;
    let raise = format!("LOCK.EXTEND {raised} alice 60000 RAISE {above}");
    assert_eq!(on_one.number(&raise), above);
    assert_eq!(on_one.release(shared, "a"), 1);
    let mut expected = vec![(released, by_release), (raised, above), (shared, sharer)];
    if is_whole {
        // Nobody asked for these changes on this key: the server itself made them.
        on_one.acquired(&deleted, "alice", 60_000);
        let mut by_del = joins(&one, &mut on_one, &deleted, "bob");
        on_one.say(&format!("DEL {deleted}"));
        expected.push((&deleted, by_del.token()));
        on_one.acquired(&lapsed, "alice", 300);
        let mut by_lapse = joins(&one, &mut on_one, &lapsed, "bob");
        expected.push((&lapsed, by_lapse.token()));
    }
    slot.end();
    let most = expected.iter().map(|&(_, token)| token).max();
    for (key, token) in &expected {
        assert_eq!(on_other.fence(key), Some(*token), "{key}");
    }
    on_replica.say("READONLY");
    for (key, token) in &expected {
        eventually("its replica knows", || {
            (on_replica.fence(key) == Some(*token)).then_some(())
        });
    }
    assert!(on_other.acquired(&key("new"), "carol", 60_000) > most.expect("some"));
    for (key, _) in &expected {
        assert_eq!(on_other.acquire(key, "carol", 1_000), None, "{key}");
    }
    one.assert_healthy();
    other.assert_healthy();
}

#[test]
fn a_move_that_is_called_off_leaves_no_lock_behind() {
    let (mut one, mut other) = two();
    let (mut on_one, mut on_other) = (one.client(), other.client());
    let token = on_one.acquired(KEY, "alice", 60_000);
    on_one.acquired(&key("freed"), "alice", 60_000);
    let mut waiter = joins(&one, &mut on_one, KEY, "bob");
    let slot = Move::begin(&one, &other);
    let is_whole = slot.way == Way::Whole;
    if is_whole {
        on_one.acquired(&key("new"), "alice", 60_000);
    }
    slot.call_off();
    assert_eq!(on_other.number("DBSIZE"), 0);
    assert!(waiter.is_silent(), "it is still in line");
    assert_eq!(on_one.fence(KEY), Some(token));
    assert_eq!(on_one.release(KEY, "alice"), 1);
    let last = waiter.token();
    assert!(last > token);
    on_one.release(&key("freed"), "alice");
    if is_whole {
        on_one.release(&key("new"), "alice");
    }
    // What came there with the first attempt does not come back with the second.
    Move::begin(&one, &other).end();
    assert_eq!(on_other.fence(KEY), Some(last));
    for name in ["freed", "new"].map(key) {
        assert_eq!(on_other.fence(&name), None);
        assert!(on_other.acquired(&name, "carol", 60_000) > last);
    }
    one.assert_healthy();
    other.assert_healthy();
}

/// Back and forth, as fast as it goes where it goes whole: each server has granted in
/// the slot before.
#[test]
fn tokens_rise_when_a_slot_goes_back_and_forth() {
    let (mut one, mut other) = two();
    // Whoever has no slot left becomes a replica.
    give(SLOT + 1, &mut one.client(), &mut other.client());
    // Key by key, longer than a look at the slots takes to come round.
    let (turns, stays_ms) = match way(&one) {
        Way::Whole => {
            // One of them looks at its slots by itself once a second only.
            one.client().say("CONFIG SET hz 1");
            (6, 0)
        }
        Way::KeyByKey => (3, 2_500),
    };
    let mut last = 0;
    for turn in 0..turns {
        let (from, to) = if turn % 2 == 0 {
            (&one, &other)
        } else {
            (&other, &one)
        };
        let mut client = from.client();
        for _ in 0..3 {
            let token = client.acquired(KEY, "alice", 60_000);
            assert!(token > last, "turn {turn}: {token} is not above {last}");
            last = token;
            client.release(KEY, "alice");
        }
        let slot = Move::begin(from, to);
        // Terms of two servers that begin in the same millisecond are not ordered.
        clock_beyond(last + (stays_ms << 12));
        slot.end();
    }
    one.assert_healthy();
    other.assert_healthy();
}
