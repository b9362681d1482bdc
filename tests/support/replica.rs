//! Replicas of a server, and waiting until they have what it sent.

use super::{eventually, Client, Server};

/// A replica of `master` that has caught up.
pub fn replica_of(master: &Server, settings: &[&str]) -> Server {
    let replica = Server::with(settings);
    let mut client = replica.client();
    client.say(&format!("REPLICAOF 127.0.0.1 {}", master.port()));
    eventually("the link is up", || {
        (client.info("master_link_status") == "up").then_some(())
    });
    replica
}

/// Waits until the replica has everything that the master sent.
pub fn catch_up(master: &mut Client, replica: &mut Client) {
    let sent: u64 = master.info("master_repl_offset").parse().expect("a number");
    eventually("the replica catches up", || {
        let got: u64 = replica.info("slave_repl_offset").parse().ok()?;
        (got >= sent).then_some(())
    });
}
