//! Where a lock lives: one server, a master that sentinels name, or a cluster. Connections
//! are opened when they are needed and again when they broke.
//!
//! Short commands of all locks share one connection to each server. Who waits in line has
//! one of its own, as everything sent behind it would wait, too. In a cluster a key's node
//! is found by following MOVED, so that a wait takes one connection and not one to each
//! node, and a node that hangs holds up nobody who has no business there.

use crate::cluster::{redirected, Cluster, Redirection};
use crate::connection::{open, settled, Connection};
use crate::error::{Error, ErrorKind};
use crate::node::Node;
use redis::sentinel::SentinelClient;
use redis::{Client, ConnectionInfo, IntoConnectionInfo, RedisResult};
use std::fmt;
use std::future::{pending, Future};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// How long an answer may take, if nothing else is said.
const TIMEOUT: Duration = Duration::from_millis(500);

/// How long it may take to be connected.
const CONNECTED_WITHIN: Duration = Duration::from_secs(1);

/// How long it may take to hear from sentinels, some of which may be gone.
const TOLD_WITHIN: Duration = Duration::from_secs(3);

/// How often one who waits in line asks whether the lock lives elsewhere by now.
const LOOKS_AROUND: Duration = Duration::from_secs(2);

/// How often the way to a key may bend.
const REDIRECTS_MOST: usize = 5;

/// Where locks live. Clones share their connections.
#[derive(Clone)]
pub struct Servers {
    way: Arc<Way>,
    timeout: Duration,
}

enum Way {
    Single(ConnectionInfo, Door),
    Sentinel(Mutex<SentinelClient>, Door),
    Cluster(Cluster),
}

/// A connection that is shared, and opened by the first who needs it.
pub(crate) type Door = Arc<Mutex<Shared>>;

/// What is behind a [`Door`].
#[derive(Default)]
pub(crate) struct Shared {
    node: Option<Node<Connection>>,
    /// Which connection it is, in order to forget no other one.
    number: u64,
}

/// A shared connection, as it was when it was asked for.
#[derive(Clone)]
pub(crate) struct Line {
    pub node: Node<Connection>,
    door: Door,
    number: u64,
    /// In a cluster: of which node.
    place: Option<ConnectionInfo>,
}

impl fmt::Debug for Servers {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "Servers({})", self.name())
    }
}

impl Servers {
    /// One server.
    pub fn single(client: Client) -> Self {
        let info = settled(client.get_connection_info());
        Self::on(Way::Single(info, Door::default()))
    }

    /// The master that sentinels name: also after a failover, when it is another one. The
    /// client must ask for the master ([`redis::sentinel::SentinelServerType::Master`]).
    pub fn sentinel(client: SentinelClient) -> Self {
        Self::on(Way::Sentinel(Mutex::new(client), Door::default()))
    }

    /// A cluster, of which these nodes are known: user, password and TLS are the same for
    /// all nodes. Name several: as long as one of them answers, the others are found.
    pub fn cluster<T: IntoConnectionInfo>(seeds: impl IntoIterator<Item = T>) -> RedisResult<Self> {
        let seeds: Vec<ConnectionInfo> = seeds
            .into_iter()
            .map(|seed| Ok(settled(&seed.into_connection_info()?)))
            .collect::<RedisResult<_>>()?;
        if seeds.is_empty() {
            let kind = redis::ErrorKind::InvalidClientConfig;
            return Err((kind, "a cluster without nodes").into());
        }
        Ok(Self::on(Way::Cluster(Cluster::new(seeds))))
    }

    fn on(way: Way) -> Self {
        Self {
            way: Arc::new(way),
            timeout: TIMEOUT,
        }
    }

    /// With another time-out for each answer than 500 ms. It should be much shorter than a
    /// lease.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// As errors say it, where they are not of one server.
    pub(crate) fn name(&self) -> String {
        match &*self.way {
            Way::Single(info, _) => info.addr().to_string(),
            Way::Sentinel(..) => "sentinels".to_owned(),
            Way::Cluster(cluster) => {
                let seeds = cluster.seeds.iter();
                let seeds: Vec<_> = seeds.map(|seed| seed.addr().to_string()).collect();
                format!("cluster of {}", seeds.join(","))
            }
        }
    }

    /// The shared connection to the server of this key, for short commands.
    pub async fn node(&self, key: &[u8]) -> Result<Node<Connection>, Error> {
        Ok(self.line(key).await?.node)
    }

    pub(crate) async fn line(&self, key: &[u8]) -> Result<Line, Error> {
        match &*self.way {
            Way::Single(_, door) | Way::Sentinel(_, door) => {
                self.through(door, async { self.open(self.master().await?).await })
                    .await
            }
            Way::Cluster(cluster) => match cluster.detour(key) {
                Some(place) => {
                    let mut line = self.line_to(cluster, place).await?;
                    // Another node than that which serves the slot: it says nothing of that.
                    line.node = line.node.map(Connection::asking);
                    Ok(line)
                }
                None => {
                    let place = match cluster.place(key) {
                        Some(place) => place,
                        None => self.locate(cluster, key).await?,
                    };
                    self.line_to(cluster, place).await
                }
            },
        }
    }

    async fn line_to(&self, cluster: &Cluster, place: ConnectionInfo) -> Result<Line, Error> {
        let door = cluster.door(&place);
        let mut line = self.through(&door, self.open(place.clone())).await?;
        line.place = Some(place);
        Ok(line)
    }

    /// What is behind the door, opened if need be.
    async fn through(
        &self,
        door: &Door,
        opened: impl Future<Output = Result<Node<Connection>, Error>>,
    ) -> Result<Line, Error> {
        let mut shared = door.lock().await;
        let node = match &shared.node {
            Some(node) => node.clone(),
            None => {
                let node = opened.await?;
                shared.number += 1;
                shared.node.insert(node).clone()
            }
        };
        Ok(Line {
            node: node.within(self.timeout),
            door: Arc::clone(door),
            number: shared.number,
            place: None,
        })
    }

    /// Passes on what was answered on this line, and learns from it where the key is, and
    /// whether the line is good for anything.
    pub(crate) async fn heed<T>(
        &self,
        key: &[u8],
        line: &Line,
        answer: Result<T, Error>,
    ) -> Result<T, Error> {
        let Err(error) = &answer else {
            return answer;
        };
        if let (Way::Cluster(cluster), Some(place)) = (&*self.way, &line.place) {
            cluster.learn(key, place, error);
        }
        if error.is_transient() && !error.is_redirection() {
            let mut shared = line.door.lock().await;
            if shared.number == line.number {
                shared.node = None;
            }
        }
        answer
    }

    /// A connection of its own, for one who waits for this key.
    pub(crate) async fn own(&self, key: &[u8]) -> Result<Node<Connection>, Error> {
        self.open(self.whereabouts(key).await?).await
    }

    /// Comes back when the key is not at this address any more: a server that stopped
    /// without closing its connections was replaced.
    pub(crate) async fn moved_from(&self, address: &str, key: &[u8]) {
        if matches!(&*self.way, Way::Single(..)) {
            return pending().await;
        }
        loop {
            tokio::time::sleep(LOOKS_AROUND).await;
            let place = self.whereabouts(key).await;
            if place.is_ok_and(|place| place.addr().to_string() != address) {
                return;
            }
        }
    }

    /// The server of this key, as the others say now.
    async fn whereabouts(&self, key: &[u8]) -> Result<ConnectionInfo, Error> {
        match &*self.way {
            Way::Cluster(cluster) => self.locate(cluster, key).await,
            _ => self.master().await,
        }
    }

    /// The one server that counts; in a cluster, any that is known.
    async fn master(&self) -> Result<ConnectionInfo, Error> {
        let client = match &*self.way {
            Way::Single(info, _) => return Ok(info.clone()),
            Way::Cluster(cluster) => return Ok(cluster.seeds[0].clone()),
            Way::Sentinel(client, _) => client,
        };
        let told = async { client.lock().await.async_get_client().await };
        match tokio::time::timeout(TOLD_WITHIN, told).await {
            Ok(Ok(client)) => Ok(settled(client.get_connection_info())),
            Ok(Err(error)) => Err(Error::said(self.name(), error)),
            Err(_) => Err(Error::new(self.name(), ErrorKind::TimedOut(TOLD_WITHIN))),
        }
    }

    /// The node that serves the key: whichever node one begins with, it is said there.
    async fn locate(&self, cluster: &Cluster, key: &[u8]) -> Result<ConnectionInfo, Error> {
        let seeds = &cluster.seeds;
        let first = fastrand::usize(..seeds.len());
        let mut turn = 0;
        loop {
            let seed = seeds[(first + turn) % seeds.len()].clone();
            turn += 1;
            match self.follow(cluster, seed, key).await {
                Err(error) if error.is_transient() && turn < seeds.len() => {}
                found => return found,
            }
        }
    }

    async fn follow(
        &self,
        cluster: &Cluster,
        mut place: ConnectionInfo,
        key: &[u8],
    ) -> Result<ConnectionInfo, Error> {
        let mut hops = 0;
        loop {
            let mut line = self.line_to(cluster, place.clone()).await?;
            let answer = line.node.fence(key).await;
            let Err(error) = self.heed(key, &line, answer).await else {
                cluster.is_at(key, place.clone());
                return Ok(place);
            };
            match redirected(&error, &place) {
                Some(Redirection::Moved(to)) if hops < REDIRECTS_MOST => place = to,
                // The slot is on its way: here is still where to ask first.
                Some(Redirection::Ask(_)) => return Ok(place),
                _ => return Err(error),
            }
            hops += 1;
        }
    }

    async fn open(&self, info: ConnectionInfo) -> Result<Node<Connection>, Error> {
        open(info, CONNECTED_WITHIN, self.timeout).await
    }
}
