//! What a server does not let a module do is said in its log when it starts, and
//! only there: a line for each, and none on a server that lacks nothing.

use crate::support::{Client, Server, Version, Waiter};
use redis::Value;

const UNBLOCK: &str = "with this server CLIENT UNBLOCK of a client that waits for a lock answers 0";
const INTERNAL: &str = "with this server clients see the internal commands LOCK._*";
const MAP: &str = "with this server who waits for a lock in a slot that moves is told TRYAGAIN";

const CATEGORIES: &str = "with this server no command of a module is in an ACL category";
const CATEGORY: &str = "with this server there is no ACL category @redislock";

/// How often each of them is in the log.
fn said(server: &Server) -> [usize; 3] {
    let log = server.log();
    [UNBLOCK, INTERNAL, MAP].map(|text| log.matches(text).count())
}

fn sees(client: &mut Client, command: &str) -> bool {
    let Value::Array(found) = client.say(&format!("COMMAND INFO {command}")) else {
        panic!("it is a list");
    };
    found[0] != Value::Nil
}

#[test]
fn what_a_server_lacks_is_said_in_its_log_and_is_so() {
    let mut server = Server::start();
    let mut client = server.client();
    let version = Version::of(&mut client);
    let [unblock, internal, map] = said(&server);
    assert_eq!(unblock, usize::from(!version.lets_modules_end_waits()));
    assert_eq!(internal, usize::from(!version.hides_internal_commands()));
    assert_eq!(map, 0, "it is in no cluster");

    client.acquired("k", "holder", 60_000);
    let waiter = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k a 60000 BLOCK 0");
    let done = client.number(&format!("CLIENT UNBLOCK {}", waiter.id));
    assert_eq!(done, i64::from(unblock == 0));
    for command in ["LOCK._GRANT", "LOCK._END", "LOCK._CEILING"] {
        assert_eq!(sees(&mut client, command), internal == 1, "{command}");
    }
    assert!(sees(&mut client, "LOCK.ACQUIRE"));
    server.assert_healthy();
}

/// That it is so is seen in `acl.rs`.
#[test]
fn a_server_that_lacks_categories_says_so_in_its_log() {
    let server = Server::start();
    let version = Version::of(&mut server.client());
    let log = server.log();
    let said = [CATEGORIES, CATEGORY].map(|text| log.matches(text).count());
    let [own, any] = [
        version.lets_modules_add_categories(),
        version.lets_modules_name_categories(),
    ];
    assert_eq!(said, [usize::from(!any), usize::from(any && !own)]);
}

/// That it is so is seen where slots move (`tests/cluster`).
#[test]
fn what_a_server_lacks_in_a_cluster_is_said_in_its_log() {
    let server = Server::with(&["cluster-enabled yes"]);
    let version = Version::of(&mut server.client());
    let expected = [
        !version.lets_modules_end_waits(),
        !version.hides_internal_commands(),
        !version.lets_modules_see_its_map(),
    ];
    assert_eq!(said(&server), expected.map(usize::from));
}
