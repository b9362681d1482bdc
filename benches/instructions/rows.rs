//! The commands whose instructions are counted, each with what has to be there first.

use stand::client::Client;
use stand::commands::{Expected, Template, LEASE_MS, OWNER};
use stand::{scripts, Failure};

/// A key of its own for each command, of 16 bytes.
const KEY: &str = "key:__rand_int__";
/// A lock that is held by somebody, and a value that is there; 16 bytes too.
const HELD: &str = "key:held-by-some";
const VALUE: &str = "key:a-value-here";
const SOMEBODY: &str = "ponmlkjihgfedcba";

const OK: Expected = Expected::Line("+OK");
const ONE: Expected = Expected::Line(":1");
const ZERO: Expected = Expected::Line(":0");

/// A command that is counted.
pub struct Row {
    /// Its name in the table.
    pub name: &'static str,
    /// What is sent first for each key, uncounted.
    pub before: Option<Template>,
    /// What is counted.
    pub command: Template,
}

/// Empties the server, puts there what the rows need, and says what they are.
pub fn rows(client: &mut Client) -> Result<Vec<Row>, Failure> {
    let lease = LEASE_MS.to_string();
    client.ask(&["FLUSHALL", "SYNC"])?;
    client.ask(&["SET", VALUE, OWNER])?;
    let token = client.ask(&["LOCK.ACQUIRE", HELD, SOMEBODY, &lease])?;
    let mut load = |script| client.ask(&["SCRIPT", "LOAD", script]);
    let (delete, extend) = (load(scripts::DELETE)?, load(scripts::EXTEND)?);
    let fenced = load(scripts::FENCED)?;

    let set = format!("SET {KEY} {OWNER} NX PX {lease}");
    let acquire = format!("LOCK.ACQUIRE {KEY} {OWNER} {lease}");
    let set_held = format!("SET {VALUE} {OWNER} NX PX {lease}");
    let acquire_held = format!("LOCK.ACQUIRE {HELD} {OWNER} {lease}");
    let fenced = format!("EVALSHA {fenced} 2 {KEY} fence {OWNER} {lease}");
    let extend = format!("EVALSHA {extend} 1 {KEY} {OWNER} {lease}");
    let delete = format!("EVALSHA {delete} 1 {KEY} {OWNER}");
    let commands: [(&'static str, &str, Expected); 9] = [
        ("PING", "PING", Expected::Line("+PONG")),
        ("SET key owner NX PX", &set, OK),
        ("EVALSHA SET NX PX and INCR", &fenced, Expected::Positive),
        ("LOCK.ACQUIRE key owner ttl", &acquire, Expected::Positive),
        ("SET ... NX PX, key exists", &set_held, Expected::Nil),
        (
            "LOCK.ACQUIRE, held by another",
            &acquire_held,
            Expected::Nil,
        ),
        ("GET key", &format!("GET {VALUE}"), Expected::Value),
        (
            "LOCK.FENCE key",
            &format!("LOCK.FENCE {HELD}"),
            Expected::Positive,
        ),
        (
            "LOCK.FENCE key token",
            &format!("LOCK.FENCE {HELD} {token}"),
            ONE,
        ),
    ];
    let mut rows = Vec::from(commands.map(|(name, line, expected)| Row {
        name,
        before: None,
        command: Template::new(line, expected),
    }));
    rows.extend(on_what_is_there(client, &lease, &extend, &delete)?);
    Ok(rows)
}

/// Those that find each key held, or set.
fn on_what_is_there(
    client: &mut Client,
    lease: &str,
    extend: &str,
    delete: &str,
) -> Result<Vec<Row>, Failure> {
    let set = Template::new(&format!("SET {KEY} {OWNER} NX PX {lease}"), OK);
    let line = format!("LOCK.ACQUIRE {KEY} {OWNER} {lease}");
    let acquire = Template::new(&line, Expected::Positive);
    let row = |before: &Template, name, line: &str, expected| Row {
        name,
        before: Some(before.clone()),
        command: Template::new(line, expected),
    };
    let prolong = format!("LOCK.EXTEND {KEY} {OWNER} {lease}");
    let release = format!("LOCK.RELEASE {KEY} {OWNER}");
    let of_another = format!("LOCK.RELEASE {HELD} {OWNER}");
    let mut rows = vec![
        row(&set, "EVALSHA compare and PEXPIRE", extend, ONE),
        row(&acquire, "LOCK.EXTEND key owner ttl", &prolong, ONE),
        row(&set, "EVALSHA compare and DEL", delete, ONE),
        row(&acquire, "LOCK.RELEASE key owner", &release, ONE),
        row(&acquire, "LOCK.RELEASE, held by another", &of_another, ZERO),
    ];
    if client.has_command("DELIFEQ")? {
        let line = format!("DELIFEQ {KEY} {OWNER}");
        rows.push(row(&set, "DELIFEQ key owner", &line, ONE));
    }
    Ok(rows)
}
