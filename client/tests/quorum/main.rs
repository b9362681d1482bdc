//! One lock over several independent servers, on real ones with the module.

#[allow(
    dead_code,
    unused_imports,
    reason = "each group of tests uses a part of it"
)]
#[path = "../../../tests/support/mod.rs"]
mod support;

mod documented;
mod failing;
mod holding;
mod rules;

use redis_lock_client::quorum::guard::QuorumGuard;
use redis_lock_client::{Quorum, QuorumLock};
use std::time::Duration;
use support::{eventually, Client, Server};

/// A lease that a busy machine keeps alive, and for which a test can wait.
const TTL: Duration = Duration::from_secs(2);

const KEY: &str = "seat:42";

/// Servers that know nothing of each other.
struct Nodes(Vec<Server>);

impl Nodes {
    fn start(count: usize) -> Self {
        Self((0..count).map(|_| Server::start()).collect())
    }

    fn quorum(&self) -> Quorum {
        let urls = self.0.iter().map(|server| server.port());
        let urls = urls.map(|port| format!("redis://127.0.0.1:{port}/"));
        Quorum::new(urls.map(|url| redis::Client::open(url).expect("an address")))
    }

    /// With a time-out that a busy machine keeps.
    fn lock(&self) -> QuorumLock {
        let lock = QuorumLock::new(&self.quorum(), KEY);
        let lock = lock.ttl(TTL).timeout(Duration::from_millis(400));
        // A test that goes wrong is to fail, and to say which server said what.
        lock.wait(support::patience())
    }

    fn clients(&self) -> Vec<Client> {
        self.0.iter().map(Server::client).collect()
    }

    /// The tokens that live on the servers.
    fn tokens(&self) -> Vec<Option<i64>> {
        let clients = self.clients().into_iter();
        clients.map(|mut client| client.fence(KEY)).collect()
    }

    /// Waits until the lock is free everywhere.
    fn are_free(&self) {
        eventually("the lock is free everywhere", || {
            self.tokens().iter().all(Option::is_none).then_some(())
        });
    }

    fn majority_holds(&self, guard: &QuorumGuard) -> bool {
        let token = Some(guard.token().get_signed());
        let tokens = self.tokens();
        let holding = tokens.iter().filter(|&&held| held == token).count();
        holding > self.0.len() / 2
    }
}
