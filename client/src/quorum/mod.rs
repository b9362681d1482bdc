//! One lock over several independent servers: a majority decides.
//!
//! The servers know nothing of each other: no replicas, no cluster, no sentinels. A lock
//! that a majority of them has granted outlives any minority of them, also their files.
//!
//! | room | what it holds |
//! |---|---|
//! | [`protocol`] | the rules: pure, and explored in every order by a model |
//! | `lane` | what is asked of one server, one thing after the other |
//! | `runner` | an attempt and the hold that comes of it, run on real servers |
//! | [`guard`] | a lock that a majority holds |
//! | [`error`] | why there is none, and which server said what |

pub mod error;
pub mod guard;
mod lane;
pub mod protocol;
mod runner;

use crate::clock::{sleep_until, BootTime};
use crate::lease::{in_millis, TTL_LEAST};
use crate::servers::Servers;
use error::{NoQuorum, Why};
use guard::QuorumGuard;
use redis::Client;
use std::sync::Arc;
use std::time::Duration;

/// The first pause between two attempts is no longer than this; the longest one doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(640);

/// An answer is waited for no longer than this, unless something else is said.
const TIMEOUT_MOST: Duration = Duration::from_millis(200);

/// Independent servers, each with the module. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Quorum {
    nodes: Arc<[Servers]>,
}

impl Quorum {
    /// Best an odd number of servers, three or five: of four, no more may fail than of
    /// three. One to 64; another number has no lock ([`Why::OutOfRange`]).
    pub fn new(clients: impl IntoIterator<Item = Client>) -> Self {
        let nodes = clients.into_iter().map(Servers::single);
        Self {
            nodes: nodes.collect(),
        }
    }

    /// How many servers there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// How many of them decide.
    pub fn majority(&self) -> usize {
        self.nodes.len() / 2 + 1
    }
}

/// A lock that can be asked for, as often as one likes: each time by a new owner.
#[derive(Clone, Debug)]
pub struct QuorumLock {
    quorum: Quorum,
    key: Vec<u8>,
    ttl: Duration,
    wait: Option<Duration>,
    timeout: Option<Duration>,
}

impl QuorumLock {
    /// The lock of this key, with a lease of 30 s. [`QuorumLock::acquire`] waits without
    /// limit.
    pub fn new(quorum: &Quorum, key: impl AsRef<[u8]>) -> Self {
        Self {
            quorum: quorum.clone(),
            key: key.as_ref().to_vec(),
            ttl: Duration::from_secs(30),
            wait: None,
            timeout: None,
        }
    }

    /// The lease: for how long a holder that died still blocks the others. One that lives
    /// keeps the lock for as long as it likes. Whole milliseconds, from 100 on.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = in_millis(ttl);
        self
    }

    /// For how long [`QuorumLock::acquire`] tries at most.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = Some(wait);
        self
    }

    /// For how long the answer of one server is waited for: a tenth of the lease, and 200 ms
    /// at most, if nothing else is said. It should be much shorter than the lease, and longer
    /// than the way to the servers and back takes.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Asks all servers once.
    pub async fn try_acquire(&self) -> Result<QuorumGuard, NoQuorum> {
        self.check()?;
        let timeout = self.timeout.unwrap_or((self.ttl / 10).min(TIMEOUT_MOST));
        let nodes = self.quorum.nodes.iter();
        let nodes = nodes.map(|node| node.clone().with_timeout(timeout));
        runner::begin(nodes.collect(), &self.key, self.ttl, timeout).await
    }

    /// Asks until a majority grants the lock, the wait is over, or a majority will always
    /// refuse (no module, a wrong password): then with the reason of the last attempt.
    /// Between attempts there is a random pause, which grows.
    ///
    /// There is no line over several servers: whoever asks at the right moment is first.
    /// Dropping the future ends the attempt, and gives back what it was granted.
    pub async fn acquire(&self) -> Result<QuorumGuard, NoQuorum> {
        let end = self.wait.map(|wait| BootTime::now() + wait);
        let mut longest = FIRST_PAUSE;
        loop {
            let refused = match self.try_acquire().await {
                Ok(guard) => return Ok(guard),
                Err(refused) if !refused.may_pass() => return Err(refused),
                Err(refused) => refused,
            };
            let pause = longest.mul_f64(fastrand::f64());
            longest = (longest * 2).min(LONGEST_PAUSE);
            let next = BootTime::now() + pause;
            if end.is_some_and(|end| end <= next) {
                return Err(refused);
            }
            sleep_until(next).await;
        }
    }

    fn check(&self) -> Result<(), NoQuorum> {
        let is_sound = (1..=64).contains(&self.quorum.len()) && self.ttl >= TTL_LEAST;
        match is_sound {
            true => Ok(()),
            false => Err(NoQuorum::new(Why::OutOfRange, Vec::new())),
        }
    }
}
