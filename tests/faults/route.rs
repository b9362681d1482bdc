//! Where a client finds the server of a key.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::Arc;

/// A way to find servers. Clients share it.
pub trait Route: Send + Sync {
    /// The port of the server to ask for this key, if one is known.
    fn port(&self, key: &str) -> Option<u16>;

    /// The one that was asked for this key did not answer, or is not the one.
    fn failed(&self, key: &str, port: u16);

    /// It said that another one is (`-MOVED`).
    fn moved(&self, key: &str, to: u16) {
        let _ = (key, to);
    }
}

/// One server for all keys; which one, somebody else decides.
#[derive(Clone)]
pub struct One(Arc<AtomicU16>);

impl One {
    /// The server at this port.
    pub fn at(port: u16) -> Self {
        Self(Arc::new(AtomicU16::new(port)))
    }

    /// Another server, from now on.
    pub fn leads_to(&self, port: u16) {
        self.0.store(port, Ordering::SeqCst);
    }
}

impl Route for One {
    fn port(&self, _: &str) -> Option<u16> {
        Some(self.0.load(Ordering::SeqCst))
    }

    fn failed(&self, _: &str, _: u16) {}
}
