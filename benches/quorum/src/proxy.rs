//! A port that leads to a server: what is sent there arrives later, or nobody is there.
//! Answers pass. The bytes of one connection stay in their order, those of two need not.

use stand::Failure;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{copy, AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep_until, Instant};

/// What becomes of what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Road {
    /// It arrives.
    Open,
    /// It arrives so much later.
    Slow(Duration),
    /// Each request arrives later, by anything up to this.
    Uneven(Duration),
    /// Connections are refused, and those that there were are gone.
    Closed,
}

/// A port that leads to another one, until it is dropped.
pub struct Proxy {
    port: u16,
    road: watch::Sender<Road>,
    runtime: Option<Runtime>,
}

impl Proxy {
    /// Leads to that port of this machine.
    pub fn to(target: u16) -> Result<Self, Failure> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0)))?;
        let port = listener.local_addr()?.port();
        let (road, roads) = watch::channel(Road::Open);
        runtime.spawn(listen(listener, target, roads));
        Ok(Self {
            port,
            road,
            runtime: Some(runtime),
        })
    }

    /// Where to connect.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on.
    pub fn set(&self, road: Road) {
        // Nobody hears it if it is closed already.
        self.road.send_replace(road);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

type Dice = Arc<Mutex<fastrand::Rng>>;

async fn listen(listener: TcpListener, target: u16, mut roads: watch::Receiver<Road>) {
    let dice = Arc::new(Mutex::new(fastrand::Rng::with_seed(7)));
    // Dropped with this, and with it the connections.
    let mut pairs = JoinSet::new();
    loop {
        tokio::select! {
            came = listener.accept() => if let Ok((client, _)) = came {
                pairs.spawn(pair(client, target, roads.clone(), dice.clone()));
            },
            changed = roads.changed() => {
                if changed.is_err() || *roads.borrow() == Road::Closed {
                    return;
                }
            }
        }
    }
}

async fn pair(client: TcpStream, target: u16, roads: watch::Receiver<Road>, dice: Dice) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", target)).await else {
        return;
    };
    let set = client.set_nodelay(true).and(server.set_nodelay(true));
    let (from_client, mut to_client) = client.into_split();
    let (mut from_server, to_server) = server.into_split();
    let (later, due) = mpsc::unbounded_channel();
    let answers = async {
        copy(&mut from_server, &mut to_client).await?;
        to_client.shutdown().await
    };
    // Whoever is gone is gone for the other, too, but what he has sent still arrives.
    let _ended = (
        set,
        tokio::join!(
            read(from_client, later, roads, dice),
            write(to_server, due),
            answers
        ),
    );
}

type Later = (Instant, Vec<u8>);

async fn read(
    mut from: OwnedReadHalf,
    later: mpsc::UnboundedSender<Later>,
    roads: watch::Receiver<Road>,
    dice: Dice,
) -> io::Result<()> {
    let mut last = Instant::now();
    loop {
        let mut bytes = vec![0; 1 << 14];
        let length = from.read(&mut bytes).await?;
        if length == 0 {
            return Ok(());
        }
        bytes.truncate(length);
        let delay = match *roads.borrow() {
            Road::Open | Road::Closed => Duration::ZERO,
            Road::Slow(delay) => delay,
            Road::Uneven(most) => {
                let mut dice = dice.lock().unwrap_or_else(PoisonError::into_inner);
                most.mul_f64(dice.f64())
            }
        };
        last = last.max(Instant::now() + delay);
        if later.send((last, bytes)).is_err() {
            return Ok(());
        }
    }
}

async fn write(mut to: OwnedWriteHalf, mut due: mpsc::UnboundedReceiver<Later>) -> io::Result<()> {
    while let Some((when, bytes)) = due.recv().await {
        if when > Instant::now() {
            sleep_until(when).await;
        }
        to.write_all(&bytes).await?;
    }
    to.shutdown().await
}
