//! What LOCK.INFO shows, read.

use crate::support::Client;
use redis::Value;

/// A hold as it is shown.
#[derive(Clone, Debug)]
pub struct Hold {
    pub owner: Vec<u8>,
    pub token: i64,
    pub ttl_ms: i64,
    pub tolerates: i64,
    pub cooling_ms: i64,
}

/// A lock as it is shown.
#[derive(Debug)]
pub struct Shown {
    pub holders: i64,
    pub lowest_token: Option<i64>,
    pub held_by: Vec<Hold>,
}

/// Asks LOCK.INFO.
pub fn shown(client: &mut Client, key: &str) -> Shown {
    let reply = client.call(&["LOCK.INFO", key]);
    let Value::Array(holds) = field(&reply, "held-by") else {
        panic!("no list: {reply:?}");
    };
    Shown {
        holders: number(field(&reply, "holders")),
        lowest_token: match field(&reply, "lowest-token") {
            Value::Nil => None,
            token => Some(number(token)),
        },
        held_by: holds.iter().map(hold).collect(),
    }
}

fn hold(of: &Value) -> Hold {
    let Value::BulkString(owner) = field(of, "owner") else {
        panic!("no owner: {of:?}");
    };
    Hold {
        owner: owner.clone(),
        token: number(field(of, "token")),
        ttl_ms: number(field(of, "ttl-ms")),
        tolerates: number(field(of, "tolerates")),
        cooling_ms: number(field(of, "cooling-ms")),
    }
}

/// In RESP2 a map is a list of names and values.
fn field<'a>(map: &'a Value, name: &str) -> &'a Value {
    let Value::Array(parts) = map else {
        panic!("no map: {map:?}");
    };
    let is_it = |part: &&[Value]| part[0] == Value::BulkString(name.as_bytes().to_vec());
    let found = parts.chunks_exact(2).find(is_it);
    &found.unwrap_or_else(|| panic!("no {name}: {map:?}"))[1]
}

fn number(value: &Value) -> i64 {
    match value {
        Value::Int(number) => *number,
        other => panic!("{other:?} is no number"),
    }
}
