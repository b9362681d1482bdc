//! Servers in cluster mode, and slots that move between them.

use super::{eventually, Client, Server, Version};
use redis::Value;

/// A server in cluster mode that serves no slot yet.
pub fn node() -> Server {
    Server::with(&[
        "cluster-enabled yes",
        "cluster-require-full-coverage no",
        "cluster-node-timeout 2000",
    ])
}

/// A cluster of one, which serves all slots.
pub fn alone() -> (Server, Client) {
    let server = node();
    let mut client = server.client();
    client.say("CLUSTER ADDSLOTSRANGE 0 16383");
    eventually("the cluster is ready", || is_ready(&mut client));
    (server, client)
}

/// Whether the server thinks that the cluster is up.
pub fn is_ready(client: &mut Client) -> Option<()> {
    let info = client.text("CLUSTER INFO");
    info.contains("cluster_state:ok").then_some(())
}

/// Two nodes; the first serves all slots.
pub fn two() -> (Server, Server) {
    let (one, mut on_one) = alone();
    let other = node();
    let meet = format!("CLUSTER MEET 127.0.0.1 {}", other.port());
    on_one.say(&meet);
    let mut on_other = other.client();
    eventually("they know each other", || {
        // A handshake that takes longer than the node timeout is given up.
        let known = [&mut on_one, &mut on_other].map(|client| client.text("CLUSTER NODES"));
        if known.iter().any(|nodes| nodes.lines().count() < 2) {
            on_one.say(&meet);
        }
        is_ready(&mut on_other)?;
        let is_known = |nodes: &String| nodes.lines().count() == 2 && !nodes.contains("handshake");
        known.iter().all(is_known).then_some(())
    });
    (one, other)
}

/// A master that serves all slots, and its replica.
pub fn pair() -> (Server, Server) {
    let (master, replica) = two();
    let name = master.client().text("CLUSTER MYID");
    let mut on_replica = replica.client();
    eventually("it becomes a replica", || {
        let words = ["CLUSTER", "REPLICATE", &name];
        on_replica.try_call(&words).ok()
    });
    eventually("the link is up", || {
        (on_replica.info("master_link_status") == "up").then_some(())
    });
    // The master must know it, too, or it takes no part in a failover.
    let mut on_master = master.client();
    eventually("the master knows its replica", || {
        let nodes = on_master.text("CLUSTER NODES");
        nodes.contains(" slave ").then_some(())
    });
    (master, replica)
}

/// Opens the slot, as a resharding does at its beginning.
pub fn open(slot: u32, from: &mut Client, to: &mut Client) {
    let (here, there) = (from.text("CLUSTER MYID"), to.text("CLUSTER MYID"));
    to.say(&format!("CLUSTER SETSLOT {slot} IMPORTING {here}"));
    from.say(&format!("CLUSTER SETSLOT {slot} MIGRATING {there}"));
}

/// Moves a key of an open slot.
pub fn migrate(key: &str, from: &mut Client, to: &Server) {
    let port = to.port();
    from.say(&format!("MIGRATE 127.0.0.1 {port} {key} 0 5000"));
}

/// Makes `to` the master of the slot, as a resharding does at its end.
pub fn give(slot: u32, from: &mut Client, to: &mut Client) {
    let name = to.text("CLUSTER MYID");
    to.say(&format!("CLUSTER SETSLOT {slot} NODE {name}"));
    from.say(&format!("CLUSTER SETSLOT {slot} NODE {name}"));
}

/// Whether this server lets a module know where slots are: Valkey before 9.0.1 does
/// not, and who waits in a slot that is on its way is told to ask again.
pub fn lets_modules_see_its_map(server: &Server) -> bool {
    Version::of(&mut server.client()).lets_modules_see_its_map()
}

/// How far the latest CLUSTER MIGRATESLOTS is, as this server sees it.
pub fn state_of_move(client: &mut Client) -> String {
    let Value::Array(moves) = client.say("CLUSTER GETSLOTMIGRATIONS") else {
        return String::new();
    };
    let Some(Value::Array(parts)) = moves.first() else {
        return String::new();
    };
    let text = |value: &Value| match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => format!("{other:?}"),
    };
    let texts: Vec<String> = parts.iter().map(text).collect();
    let at = texts.iter().position(|text| text == "state");
    at.and_then(|at| texts.get(at + 1).cloned())
        .unwrap_or_default()
}
