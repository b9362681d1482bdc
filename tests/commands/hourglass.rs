//! Letting time pass without a clock of our own: the server's leases measure it.

use crate::support::{eventually, Client};

/// Returns when a lease of `ttl_ms` that began at this call is over.
pub fn run_out(client: &mut Client, ttl_ms: u64) {
    client.acquired("hourglass", "nobody", ttl_ms);
    until_free(client, "hourglass");
}

/// Returns when nobody holds `key`.
pub fn until_free(client: &mut Client, key: &str) {
    eventually(&format!("{key} is free"), || {
        client.fence(key).is_none().then_some(())
    });
}
