//! Connections to one server, as all of them are opened here.

use crate::error::Error;
use crate::node::Node;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::io::tcp::socket2::TcpKeepalive;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, Pipeline, RedisFuture, RedisResult, Value,
};
use std::fmt;
use std::time::Duration;

/// A server that vanished without a word is noticed while one waits for it.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// A connection to one server. Its clones share it.
#[derive(Clone)]
pub struct Connection {
    connection: MultiplexedConnection,
    /// Whether the node is asked for keys of a slot that it does not serve yet.
    asks: bool,
}

impl Connection {
    /// For keys that were moved to this node before their slot: each command says ASKING.
    pub(crate) fn asking(mut self) -> Self {
        self.asks = true;
        self
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("Connection")
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        if !self.asks {
            return self.connection.req_packed_command(command);
        }
        Box::pin(async move {
            let mut both = redis::pipe();
            both.cmd("ASKING").add_command(command.clone());
            let answers = self.connection.req_packed_commands(&both, 0, 2).await?;
            let answer: RedisResult<Value> = answers.into_iter().nth(1).ok_or_else(|| {
                (redis::ErrorKind::UnexpectedReturnType, "one answer of two").into()
            });
            answer
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.connection.req_packed_commands(pipeline, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
    }
}

/// Opens a connection. Time-outs of requests are not its own, but one for each of them.
pub(crate) async fn open(
    info: ConnectionInfo,
    within: Duration,
    timeout: Duration,
) -> Result<Node<Connection>, Error> {
    let address = info.addr().to_string();
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(within))
        .set_response_timeout(None);
    let opened = async {
        let client = Client::open(info)?;
        client
            .get_multiplexed_async_connection_with_config(&config)
            .await
    };
    match opened.await {
        Ok(connection) => {
            let asks = false;
            Ok(Node::new(address, Connection { connection, asks }, timeout))
        }
        Err(error) => Err(Error::said(address, error)),
    }
}

/// With what every connection of ours has: short requests are sent at once, and a peer that
/// is gone is noticed.
pub(crate) fn settled(info: &ConnectionInfo) -> ConnectionInfo {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE)
        .with_retries(3);
    let tcp = info.tcp_settings().clone();
    info.clone()
        .set_tcp_settings(tcp.set_nodelay(true).set_keepalive(keepalive))
}
