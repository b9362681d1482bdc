//! What is known of a cluster: where slots are, as its nodes said when they were asked for
//! a key. No map of it is fetched, and a node that hangs is asked for its own keys only.

use crate::error::{Error, ErrorKind};
use crate::servers::Door;
use redis::cluster_routing::Slot;
use redis::{ConnectionAddr, ConnectionInfo, ServerErrorKind};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A cluster, as far as it is known.
pub(crate) struct Cluster {
    pub seeds: Vec<ConnectionInfo>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    slots: HashMap<Slot, ConnectionInfo>,
    /// Where a key is to be asked for next, once: its slot is on its way.
    detours: HashMap<Vec<u8>, ConnectionInfo>,
    /// The shared connection to each node.
    doors: HashMap<String, Door>,
}

impl Cluster {
    pub fn new(seeds: Vec<ConnectionInfo>) -> Self {
        let known = Mutex::default();
        Self { seeds, known }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The shared connection to the node at this address.
    pub fn door(&self, place: &ConnectionInfo) -> Door {
        let mut known = self.known();
        known
            .doors
            .entry(place.addr().to_string())
            .or_default()
            .clone()
    }

    /// Which node served the key when that was last said.
    pub fn place(&self, key: &[u8]) -> Option<ConnectionInfo> {
        self.known().slots.get(&Slot::for_key(key)).cloned()
    }

    /// Where to ask for the key this one time.
    pub fn detour(&self, key: &[u8]) -> Option<ConnectionInfo> {
        self.known().detours.remove(key)
    }

    /// That this node serves the key.
    pub fn is_at(&self, key: &[u8], place: ConnectionInfo) {
        self.known().slots.insert(Slot::for_key(key), place);
    }

    /// What an error of the node at `place` says of where the key is.
    pub fn learn(&self, key: &[u8], place: &ConnectionInfo, error: &Error) {
        match redirected(error, place) {
            Some(Redirection::Moved(to)) => self.is_at(key, to),
            Some(Redirection::Ask(to)) => {
                self.known().detours.insert(key.to_vec(), to);
            }
            None if error.is_transient() => {
                self.known().slots.remove(&Slot::for_key(key));
            }
            None => {}
        }
    }
}

/// Where a node sends those who ask it for a key.
pub(crate) enum Redirection {
    /// The slot is there.
    Moved(ConnectionInfo),
    /// The slot is on its way there, and this key was sent ahead.
    Ask(ConnectionInfo),
}

/// Where the error points to, as seen from the node at `place` that said it.
pub(crate) fn redirected(error: &Error, place: &ConnectionInfo) -> Option<Redirection> {
    let ErrorKind::Refused(error) = error.kind() else {
        return None;
    };
    let (address, _) = error.redirect_node()?;
    let to = place.clone().set_addr(seen_from(place.addr(), address)?);
    match error.kind() == redis::ErrorKind::Server(ServerErrorKind::Ask) {
        true => Some(Redirection::Ask(to)),
        false => Some(Redirection::Moved(to)),
    }
}

fn seen_from(here: &ConnectionAddr, address: &str) -> Option<ConnectionAddr> {
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
    use redis::IntoConnectionInfo;

    #[test]
    fn a_redirection_without_a_host_stays_on_this_host() {
        let here = "redis://10.0.0.1:6379/".into_connection_info();
        let here = here.expect("an address");
        let at = |line: &str| {
            let value = redis::parse_redis_value(line.as_bytes()).expect("an answer");
            let error = value.extract_error().expect_err("an error");
            match redirected(&Error::said("here", error), &here)? {
                Redirection::Moved(to) => Some(format!("moved {}", to.addr())),
                Redirection::Ask(to) => Some(format!("ask {}", to.addr())),
            }
        };
        for (line, expected) in [
            ("-MOVED 3999 10.0.0.2:6380\r\n", Some("moved 10.0.0.2:6380")),
            ("-MOVED 3999 :6380\r\n", Some("moved 10.0.0.1:6380")),
            ("-MOVED 3999 ?:6380\r\n", Some("moved 10.0.0.1:6380")),
            ("-ASK 3999 10.0.0.2:6380\r\n", Some("ask 10.0.0.2:6380")),
            ("-MOVED 3999 ::1:6380\r\n", Some("moved ::1:6380")),
            ("-MOVED nonsense\r\n", None),
            ("-TRYAGAIN later\r\n", None),
        ] {
            assert_eq!(at(line).as_deref(), expected, "{line}");
        }
    }
}
