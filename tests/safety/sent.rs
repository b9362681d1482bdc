//! What log and replicas are sent.

use crate::lock::token::Cover;
use crate::lock::{Delay, Token, Tolerance, Ttl};

/// What log and replicas are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Cover(Cover),
    Grant {
        at: (u32, Vec<u8>),
        owner: Vec<u8>,
        token: Token,
        ttl: Ttl,
        tolerates: Tolerance,
        delay: Delay,
    },
    Cooling {
        at: (u32, Vec<u8>),
        owner: Vec<u8>,
        token: Token,
        tolerates: Tolerance,
        left: Ttl,
    },
    End {
        at: (u32, Vec<u8>),
        owner: Vec<u8>,
        token: Token,
    },
    Deleted(u32, Vec<u8>),
    Renamed(u32, Vec<u8>, Vec<u8>),
    Moved(u32, Vec<u8>, u32),
    Swapped([u32; 2]),
    Flushed(Option<u32>),
}
