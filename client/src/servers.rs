//! Where a lock lives: one server, a master that sentinels name, or a cluster. Connections
//! are opened when they are needed and again when they broke.
//!
//! Short commands of all locks share one connection. Who waits in line has one of its own,
//! as everything sent behind it would wait, too; in a cluster it goes to the one node that
//! serves the key, found by following its MOVED, and not to all of them.

use crate::error::{Error, ErrorKind};
use crate::node::Node;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::socket2::TcpKeepalive;
use redis::sentinel::SentinelClient;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    Pipeline, RedisFuture, RedisResult, ServerErrorKind, Value,
};
use std::fmt;
use std::future::{pending, Future};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// How long an answer may take, if nothing else is said.
const TIMEOUT: Duration = Duration::from_millis(500);

/// How long it may take to be connected: sentinels and nodes that are gone are passed over.
const CONNECTED_WITHIN: Duration = Duration::from_secs(3);

/// The same for one node of a cluster.
const NODE_CONNECTED_WITHIN: Duration = Duration::from_secs(1);

/// A server that vanished without a word is noticed while one waits for it.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// How often one who waits in line asks whether the lock lives elsewhere by now.
const LOOKS_AROUND: Duration = Duration::from_secs(2);

/// How often the way to a key may bend.
const REDIRECTS_MOST: usize = 5;

/// Where locks live. Clones share their connection.
#[derive(Clone)]
pub struct Servers {
    way: Arc<Way>,
    shared: Arc<Mutex<Shared>>,
    timeout: Duration,
}

enum Way {
    Single(ConnectionInfo),
    Sentinel(Mutex<SentinelClient>),
    Cluster {
        client: ClusterClient,
        seeds: Vec<ConnectionInfo>,
    },
}

#[derive(Default)]
struct Shared {
    node: Option<Node<Connection>>,
    /// Which connection it is, in order to forget no other one.
    number: u64,
    /// Whether another one is on its way.
    is_replaced: bool,
}

/// A connection to one server or to a cluster.
#[derive(Clone)]
pub enum Connection {
    /// To one server.
    One(MultiplexedConnection),
    /// To a cluster.
    Cluster(ClusterConnection),
}

impl fmt::Debug for Connection {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::One(_) => "Connection::One",
            Self::Cluster(_) => "Connection::Cluster",
        })
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(connection) => connection.req_packed_command(command),
            Self::Cluster(connection) => connection.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

impl fmt::Debug for Servers {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "Servers({})", self.name())
    }
}

/// The shared connection, as it was when it was asked for.
pub(crate) struct Line {
    pub node: Node<Connection>,
    number: u64,
}

impl Servers {
    /// One server.
    pub fn single(client: Client) -> Self {
        Self::on(Way::Single(settled(client.get_connection_info())))
    }

    /// The master that sentinels name: also after a failover, when it is another one. The
    /// client must ask for the master ([`redis::sentinel::SentinelServerType::Master`]).
    pub fn sentinel(client: SentinelClient) -> Self {
        Self::on(Way::Sentinel(Mutex::new(client)))
    }

    /// A cluster, of which these nodes are known: user, password and TLS are those of the
    /// first. Name several: as long as one of them answers, the others are found.
    pub fn cluster<T: IntoConnectionInfo>(seeds: impl IntoIterator<Item = T>) -> RedisResult<Self> {
        let seeds: Vec<ConnectionInfo> = seeds
            .into_iter()
            .map(|seed| Ok(settled(&seed.into_connection_info()?)))
            .collect::<RedisResult<_>>()?;
        let client = ClusterClient::builder(seeds.clone())
            .connection_timeout(NODE_CONNECTED_WITHIN)
            .response_timeout(CONNECTED_WITHIN)
            .build()?;
        Ok(Self::on(Way::Cluster { client, seeds }))
    }

    fn on(way: Way) -> Self {
        Self {
            way: Arc::new(way),
            shared: Arc::default(),
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
            Way::Single(info) => info.addr().to_string(),
            Way::Sentinel(_) => "sentinels".to_owned(),
            Way::Cluster { seeds, .. } => {
                let seeds: Vec<_> = seeds.iter().map(|seed| seed.addr().to_string()).collect();
                format!("cluster of {}", seeds.join(","))
            }
        }
    }

    /// The connection for short commands, which is shared.
    pub async fn node(&self) -> Result<Node<Connection>, Error> {
        Ok(self.line().await?.node)
    }

    pub(crate) async fn line(&self) -> Result<Line, Error> {
        let mut shared = self.shared.lock().await;
        let node = match &shared.node {
            Some(node) => node.clone(),
            None => {
                let node = self.open_shared().await?;
                shared.number += 1;
                shared.node.insert(node).clone()
            }
        };
        Ok(Line {
            node: node.within(self.timeout),
            number: shared.number,
        })
    }

    /// Passes on what was answered on this line, and sees to another one if it is no good.
    pub(crate) async fn heed<T>(&self, line: &Line, answer: Result<T, Error>) -> Result<T, Error> {
        let Err(error) = &answer else {
            return answer;
        };
        match &*self.way {
            // It mends itself, but for one thing: it does not look for another node in the
            // place of one that hangs.
            Way::Cluster { .. } if error.is_unanswered() => self.replace(line.number).await,
            Way::Cluster { .. } => {}
            _ if error.is_transient() => {
                let mut shared = self.shared.lock().await;
                if shared.number == line.number {
                    shared.node = None;
                }
            }
            _ => {}
        }
        answer
    }

    /// Opens another connection to the cluster in the background. That takes a while if one of
    /// the nodes that were named hangs; the locks of all others must not wait for it.
    async fn replace(&self, number: u64) {
        let mut shared = self.shared.lock().await;
        if shared.number != number || shared.is_replaced {
            return;
        }
        shared.is_replaced = true;
        let servers = self.clone();
        tokio::spawn(async move {
            let opened = servers.open_shared().await;
            let mut shared = servers.shared.lock().await;
            shared.is_replaced = false;
            if let Ok(node) = opened {
                shared.number += 1;
                shared.node = Some(node);
            }
        });
    }

    async fn open_shared(&self) -> Result<Node<Connection>, Error> {
        match &*self.way {
            Way::Cluster { client, .. } => {
                let opened = self.in_time(client.get_async_connection()).await?;
                let connection = Connection::Cluster(opened);
                Ok(Node::new(self.name(), connection, self.timeout))
            }
            _ => self.open(self.master().await?).await,
        }
    }

    /// A connection of its own, for one who waits for this key.
    pub(crate) async fn own(&self, key: &[u8]) -> Result<Node<Connection>, Error> {
        match &*self.way {
            Way::Cluster { seeds, .. } => self.locate(seeds, key).await,
            _ => self.open(self.master().await?).await,
        }
    }

    /// Comes back when the key is not at this address any more: a server that stopped
    /// without closing its connections was replaced.
    pub(crate) async fn moved_from(&self, address: &str, key: &[u8]) {
        if matches!(&*self.way, Way::Single(_)) {
            return pending().await;
        }
        loop {
            tokio::time::sleep(LOOKS_AROUND).await;
            let place = match &*self.way {
                Way::Cluster { seeds, .. } => {
                    let node = self.locate(seeds, key).await.ok();
                    node.map(|node| node.address().to_owned())
                }
                _ => self.master().await.ok().map(|info| info.addr().to_string()),
            };
            if place.is_some_and(|place| place != address) {
                return;
            }
        }
    }

    /// The one server that counts.
    async fn master(&self) -> Result<ConnectionInfo, Error> {
        match &*self.way {
            Way::Single(info) => Ok(info.clone()),
            Way::Cluster { seeds, .. } => Ok(seeds[0].clone()),
            Way::Sentinel(client) => {
                let asked = async { client.lock().await.async_get_client().await };
                let client = self.in_time(asked).await?;
                Ok(settled(client.get_connection_info()))
            }
        }
    }

    /// The node that serves the key, asked on a connection of its own.
    async fn locate(
        &self,
        seeds: &[ConnectionInfo],
        key: &[u8],
    ) -> Result<Node<Connection>, Error> {
        let first = fastrand::usize(..seeds.len());
        let mut found = Err(Error::new(
            self.name(),
            ErrorKind::OutOfRange("a cluster without nodes".to_owned()),
        ));
        for seed in seeds.iter().cycle().skip(first).take(seeds.len()) {
            found = self.follow(seed.clone(), key).await;
            if !found.as_ref().is_err_and(Error::is_transient) {
                break;
            }
        }
        found
    }

    async fn follow(
        &self,
        mut place: ConnectionInfo,
        key: &[u8],
    ) -> Result<Node<Connection>, Error> {
        let mut hops = 0;
        loop {
            let mut node = self.open(place.clone()).await?;
            let Err(error) = node.fence(key).await else {
                return Ok(node);
            };
            match moved_to(&error, place.addr()) {
                Some(address) if hops < REDIRECTS_MOST => place = place.set_addr(address),
                // The slot is on its way: here is where to ask again.
                None if said(&error, ServerErrorKind::Ask) => return Ok(node),
                _ => return Err(error),
            }
            hops += 1;
        }
    }

    async fn open(&self, info: ConnectionInfo) -> Result<Node<Connection>, Error> {
        let address = info.addr().to_string();
        // Time-outs are ours, one for each request.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECTED_WITHIN))
            .set_response_timeout(None);
        let opened = async {
            let client = Client::open(info)?;
            client
                .get_multiplexed_async_connection_with_config(&config)
                .await
        };
        let opened = opened.await.map_err(|error| Error::said(&address, error))?;
        Ok(Node::new(address, Connection::One(opened), self.timeout))
    }

    async fn in_time<T>(&self, opened: impl Future<Output = RedisResult<T>>) -> Result<T, Error> {
        match tokio::time::timeout(CONNECTED_WITHIN, opened).await {
            Ok(opened) => opened.map_err(|error| Error::said(self.name(), error)),
            Err(_) => Err(Error::new(
                self.name(),
                ErrorKind::TimedOut(CONNECTED_WITHIN),
            )),
        }
    }
}

/// With what every connection of ours has: short requests are sent at once, and a peer that
/// is gone is noticed.
fn settled(info: &ConnectionInfo) -> ConnectionInfo {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE)
        .with_retries(3);
    let tcp = info.tcp_settings().clone();
    info.clone()
        .set_tcp_settings(tcp.set_nodelay(true).set_keepalive(keepalive))
}

fn said(error: &Error, kind: ServerErrorKind) -> bool {
    let kind = redis::ErrorKind::Server(kind);
    matches!(error.kind(), ErrorKind::Refused(error) if error.kind() == kind)
}

/// Where MOVED points to, as seen from `here`.
fn moved_to(error: &Error, here: &ConnectionAddr) -> Option<ConnectionAddr> {
    let ErrorKind::Refused(error) = error.kind() else {
        return None;
    };
    if error.kind() != redis::ErrorKind::Server(ServerErrorKind::Moved) {
        return None;
    }
    let (address, _) = error.redirect_node()?;
    let (name, to) = address.rsplit_once(':')?;
    let to = to.parse().ok()?;
    // Without a name it is the host that was asked, at another port.
    let named = |own: &str| match name {
        "" | "?" => own.to_owned(),
        name => name.to_owned(),
    };
    match here {
        ConnectionAddr::Tcp(host, _) => Some(ConnectionAddr::Tcp(named(host), to)),
        ConnectionAddr::TcpTls {
            host,
            insecure,
            tls_params,
            ..
        } => Some(ConnectionAddr::TcpTls {
            host: named(host),
            port: to,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(detail: &str) -> Error {
        let error = redis::make_extension_error("MOVED".to_owned(), Some(detail.to_owned()));
        // As the parser makes it: of a kind that the crate knows.
        let line = format!("-{} {detail}\r\n", error.code().unwrap_or_default());
        let value = redis::parse_redis_value(line.as_bytes()).expect("a reply");
        Error::said("here", value.extract_error().expect_err("an error"))
    }

    #[test]
    fn a_redirection_without_a_host_stays_on_this_host() {
        let here = ConnectionAddr::Tcp("10.0.0.1".to_owned(), 6379);
        let at = |detail: &str| moved_to(&moved(detail), &here).map(|to| to.to_string());
        assert_eq!(at("3999 10.0.0.2:6380").as_deref(), Some("10.0.0.2:6380"));
        assert_eq!(at("3999 :6380").as_deref(), Some("10.0.0.1:6380"));
        assert_eq!(at("3999 ?:6380").as_deref(), Some("10.0.0.1:6380"));
        assert_eq!(at("3999 ::1:6380").as_deref(), Some("::1:6380"));
        assert_eq!(at("nonsense"), None);
    }
}
