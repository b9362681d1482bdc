//! Clients that take turns, watched for a while: all of them on one thread, so that the
//! server has the rest of the machine, whichever it is.

use crate::{etcd, ours, zookeeper, Failure, Shape, Way};
use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::LocalSet;

/// How long anything but a turn may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the clients go on.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// What is not counted.
    pub warm_up: Duration,
    /// What is.
    pub watched: Duration,
}

/// One of the clients.
enum Client {
    Ours(ours::Client),
    Etcd(etcd::Client),
    Zookeeper(zookeeper::Client),
}

impl Client {
    async fn connect(way: Way, port: u16, number: usize, lock: &str) -> Result<Self, Failure> {
        Ok(match way {
            Way::Everysec | Way::Always => Self::Ours(ours::Client::connect(port, number).await?),
            Way::Etcd => Self::Etcd(etcd::Client::connect(port).await?),
            Way::Zookeeper => {
                let client = zookeeper::Client::connect(port).await?;
                client.prepare(lock).await?;
                Self::Zookeeper(client)
            }
        })
    }

    async fn acquire(&mut self, lock: &str) -> Result<(), Failure> {
        match self {
            Self::Ours(client) => client.acquire(lock).await,
            Self::Etcd(client) => client.acquire(lock).await,
            Self::Zookeeper(client) => client.acquire(lock).await,
        }
    }

    async fn release(&mut self, lock: &str) -> Result<(), Failure> {
        match self {
            Self::Ours(client) => client.release(lock).await,
            Self::Etcd(client) => client.release().await,
            Self::Zookeeper(client) => client.release().await,
        }
    }
}

/// What the clients share.
#[derive(Default)]
struct Shared {
    turns: Cell<u64>,
    is_over: Cell<bool>,
    /// Whether somebody has the one lock.
    is_held: Cell<bool>,
}

/// Runs one future to its end, on a thread that has no other.
pub fn wait_for<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let tasks = LocalSet::new();
    tasks.block_on(&runtime, async move {
        tokio::time::timeout(PATIENCE, future)
            .await
            .map_err(|_| "it takes too long")?
    })
}

/// How many turns all clients together have in a second.
pub fn cycles(
    way: Way,
    shape: Shape,
    clients: usize,
    port: u16,
    window: Window,
) -> Result<f64, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let tasks = LocalSet::new();
    tasks.block_on(&runtime, watch(way, shape, clients, port, window))
}

async fn watch(
    way: Way,
    shape: Shape,
    clients: usize,
    port: u16,
    window: Window,
) -> Result<f64, Failure> {
    let shared = Rc::new(Shared::default());
    let mut ready = Vec::new();
    for number in 0..clients {
        let lock = match shape {
            Shape::Apart => format!("apart-{number}"),
            Shape::Alone => "alone".into(),
            Shape::Crowd => "crowd".into(),
        };
        let client = Client::connect(way, port, number, &lock);
        let client = tokio::time::timeout(PATIENCE, client).await??;
        ready.push((client, lock));
    }
    let tasks: Vec<_> = ready
        .into_iter()
        .map(|(client, lock)| {
            let shared = Rc::clone(&shared);
            tokio::task::spawn_local(take_turns(client, lock, shape, shared))
        })
        .collect();
    tokio::time::sleep(window.warm_up).await;
    let (before, since) = (shared.turns.get(), Instant::now());
    tokio::time::sleep(window.watched).await;
    let (turns, took) = (shared.turns.get() - before, since.elapsed());
    shared.is_over.set(true);
    for task in tasks {
        tokio::time::timeout(PATIENCE, task).await???;
    }
    Ok(turns as f64 / took.as_secs_f64())
}

async fn take_turns(
    mut client: Client,
    lock: String,
    shape: Shape,
    shared: Rc<Shared>,
) -> Result<(), Failure> {
    while !shared.is_over.get() {
        client.acquire(&lock).await?;
        // A lock that two have would make the numbers worthless.
        if shape != Shape::Apart && shared.is_held.replace(true) {
            return Err("two clients have the lock".into());
        }
        shared.turns.set(shared.turns.get() + 1);
        shared.is_held.set(false);
        client.release(&lock).await?;
    }
    Ok(())
}
