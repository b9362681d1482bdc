//! A cluster of several masters, and how a client finds its way in it.

use crate::route::Route;
use crate::slots::{Slot, SLOTS};
use crate::support::cluster::is_ready;
use crate::support::{eventually, Client, Server};
use redis::{Connection, Value};
use std::collections::hash_map::Entry;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// The servers of a cluster. The first `masters` of them are masters at the start,
/// and the one that comes as many later is the replica of each.
pub struct Cluster {
    pub servers: Vec<Server>,
    pub route: Arc<SlotMap>,
}

/// How many replicas each master has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replicas {
    None,
    OneEach,
}

impl Cluster {
    /// So many masters, each with a fair part of the slots, and with a replica or
    /// without.
    pub fn start(masters: usize, replicas: Replicas, settings: &[&str]) -> Self {
        let mut all = vec![
            "cluster-enabled yes",
            "cluster-require-full-coverage no",
            "cluster-allow-replica-migration no",
            "cluster-replica-validity-factor 0",
            "repl-ping-replica-period 1",
        ];
        all.extend(settings);
        let count = match replicas {
            Replicas::None => masters,
            Replicas::OneEach => 2 * masters,
        };
        let servers: Vec<Server> = (0..count).map(|_| Server::with(&all)).collect();
        let mut clients: Vec<Client> = servers.iter().map(Server::client).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            client.say(&format!("CLUSTER SET-CONFIG-EPOCH {}", number + 1));
            if number < masters {
                let end = |number: usize| usize::from(SLOTS) * number / masters;
                let (first, last) = (end(number), end(number + 1) - 1);
                client.say(&format!("CLUSTER ADDSLOTSRANGE {first} {last}"));
            }
        }
        for server in &servers[1..] {
            clients[0].say(&format!("CLUSTER MEET 127.0.0.1 {}", server.port()));
        }
        for client in &mut clients {
            eventually("all know each other", || {
                let nodes = client.text("CLUSTER NODES");
                (nodes.lines().count() == count && !nodes.contains("handshake")).then_some(())
            });
        }
        for number in masters..count {
            let master = clients[number - masters].text("CLUSTER MYID");
            clients[number].say(&format!("CLUSTER REPLICATE {master}"));
        }
        let route = Arc::new(SlotMap::over(servers.iter().map(Server::port).collect()));
        let cluster = Self { servers, route };
        cluster.is_well();
        cluster
    }

    /// Waits until all servers say that the cluster is up.
    pub fn is_up(&self) {
        for server in &self.servers {
            let mut client = server.client();
            eventually("the cluster is up", || is_ready(&mut client));
        }
    }

    /// Waits until nothing is amiss: the cluster is up, all replicas follow, nobody
    /// takes anybody for dead.
    pub fn is_well(&self) {
        self.is_up();
        for server in &self.servers {
            let mut client = server.client();
            eventually("it follows its master", || follows(&mut client));
        }
        for server in &self.servers {
            let mut client = server.client();
            eventually("nobody is thought to be down", || {
                let nodes = client.text("CLUSTER NODES");
                let is_down = |line: &str| line.contains("fail") || line.contains("handshake");
                (!nodes.lines().any(is_down)).then_some(())
            });
        }
        eventually("all say the same of all slots", || {
            let owners = self.owners(0);
            let is_same = (1..self.servers.len()).all(|other| self.owners(other) == owners);
            (is_same && !owners.contains(&None)).then_some(())
        });
        self.route.refresh();
    }

    /// Which server serves each slot, by its place in the list, as this one sees it.
    pub fn owners(&self, seen_by: usize) -> Vec<Option<usize>> {
        let mut client = self.servers[seen_by].client();
        let mut owners = vec![None; usize::from(SLOTS)];
        for (first, last, port) in ranges(&client.say("CLUSTER SLOTS")) {
            let owner = self.servers.iter().position(|it| it.port() == port);
            owners[first..=last].fill(owner);
        }
        owners
    }
}

/// Whether it is a master, or a replica whose link is up.
fn follows(client: &mut Client) -> Option<()> {
    (client.info("role") == "master" || client.info("master_link_status") == "up").then_some(())
}

/// Who serves which slots, as CLUSTER SLOTS says: first, last, port.
fn ranges(said: &Value) -> Vec<(usize, usize, u16)> {
    let number = |value: &Value| match value {
        Value::Int(number) => Some(*number as usize),
        _ => None,
    };
    let range = |value: &Value| match value {
        Value::Array(parts) => match (parts.first(), parts.get(1), parts.get(2)) {
            (Some(first), Some(last), Some(Value::Array(node))) => {
                Some((number(first)?, number(last)?, number(node.get(1)?)? as u16))
            }
            _ => None,
        },
        _ => None,
    };
    match said {
        Value::Array(all) => all.iter().filter_map(range).collect(),
        _ => Vec::new(),
    }
}

/// Where the clients think that each slot is served.
pub struct SlotMap {
    ports: Vec<AtomicU16>,
    nodes: Vec<u16>,
    turn: AtomicU64,
    links: Mutex<HashMap<u16, Connection>>,
}

/// A server that does not answer within this time is not asked for its map.
const PATIENCE_FOR_A_MAP: Duration = Duration::from_millis(200);

impl SlotMap {
    fn over(nodes: Vec<u16>) -> Self {
        let map = Self {
            ports: (0..SLOTS).map(|_| AtomicU16::new(0)).collect(),
            nodes,
            turn: AtomicU64::new(0),
            links: Mutex::default(),
        };
        map.refresh();
        map
    }

    fn place(&self, key: &str) -> &AtomicU16 {
        &self.ports[usize::from(Slot::of_key(key.as_bytes()).number())]
    }

    /// Asks the next server for its map; one client at a time does.
    pub fn refresh(&self) {
        let Ok(mut links) = self.links.try_lock() else {
            return;
        };
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) as usize;
        let node = self.nodes[turn % self.nodes.len()];
        let Some(said) = ask_for_map(&mut links, node) else {
            links.remove(&node);
            return;
        };
        for (first, last, port) in ranges(&said) {
            for place in &self.ports[first..=last] {
                place.store(port, Ordering::SeqCst);
            }
        }
    }
}

fn ask_for_map(links: &mut HashMap<u16, Connection>, node: u16) -> Option<Value> {
    let link = match links.entry(node) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(place) => {
            let client = redis::Client::open(format!("redis://127.0.0.1:{node}/")).ok()?;
            let link = client.get_connection_with_timeout(PATIENCE_FOR_A_MAP);
            let link = link.ok()?;
            link.set_read_timeout(Some(PATIENCE_FOR_A_MAP)).ok()?;
            place.insert(link)
        }
    };
    redis::cmd("CLUSTER").arg("SLOTS").query(link).ok()
}

impl Route for SlotMap {
    fn port(&self, key: &str) -> Option<u16> {
        let port = self.place(key).load(Ordering::SeqCst);
        (port != 0).then_some(port)
    }

    fn failed(&self, _: &str, _: u16) {
        self.refresh();
    }

    fn moved(&self, key: &str, to: u16) {
        self.place(key).store(to, Ordering::SeqCst);
    }
}

/// A key of this slot.
pub fn key_in(slot: u16, name: &str) -> String {
    static TAGS: OnceLock<Vec<String>> = OnceLock::new();
    let tags = TAGS.get_or_init(|| {
        let mut tags = vec![String::new(); usize::from(SLOTS)];
        let mut missing = tags.len();
        for number in 0_u32.. {
            if missing == 0 {
                break;
            }
            let tag = format!("{number:x}");
            let place = &mut tags[usize::from(Slot::of_key(tag.as_bytes()).number())];
            if place.is_empty() {
                *place = tag;
                missing -= 1;
            }
        }
        tags
    });
    format!("{{{}}}{name}", tags[usize::from(slot)])
}
