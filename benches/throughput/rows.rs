//! What is measured: pairs of a command of ours and what people use instead, and what
//! the ratio should be.

use crate::setting::Mode;
use stand::client::Client;
use stand::commands::{Expected, Template, LEASE_MS, OWNER};
use stand::{scripts, Failure};

/// Keys of 16 bytes, one for each number.
const KEY: &str = "key:__rand_int__";
/// A lock and a value that are there all the while, and a hash; 16 bytes too.
const HELD: &str = "key:held-by-some";
const VALUE: &str = "key:a-value-here";
const HASH: &str = "key:a-hash-there";
const SOMEBODY: &str = "ponmlkjihgfedcba";

const OK: Expected = Expected::Line("+OK");
const ONE: Expected = Expected::Line(":1");

/// Every row, as `--rows` names it and in the order of the table.
pub const IDS: [&str; 14] = [
    "acquire",
    "acquire-held",
    "release",
    "release-delifeq",
    "extend",
    "fence",
    "fence-key",
    "cycle",
    "cycle-fenced",
    "cycle-redisson",
    "cycle-delifeq",
    "guard-set",
    "guard-get",
    "guard-hset",
];

/// Who sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// redis-benchmark, with numbers drawn at random below `numbers`.
    Benchmark { numbers: u64 },
    /// Our own client: each number once, in turn.
    Own,
}

/// One side of a row.
#[derive(Clone, Debug)]
pub struct Side {
    /// What it is, in the table.
    pub name: &'static str,
    /// What is sent: one command, or the commands of a cycle.
    pub commands: Vec<Template>,
    /// What is sent first, for as many numbers as can come up.
    pub before: Option<Template>,
    /// Whether each request makes a key, leaves what is there, or ends one.
    pub keys: Keys,
}

/// What a request does to the number of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// One more.
    More,
    /// As many as before.
    Same,
    /// One less.
    Fewer,
}

/// Two sides, and where they are compared.
#[derive(Clone, Debug)]
pub struct Row {
    /// As `--rows` names it.
    pub id: &'static str,
    /// The module's side.
    pub ours: Side,
    /// What it is compared with.
    pub theirs: Side,
    /// Who sends it.
    pub sender: Sender,
    /// The part of the requests that is enough.
    pub part: f64,
    /// The settings it is measured in.
    pub modes: &'static [Mode],
}

const PLAIN: &[Mode] = &[Mode::Plain];
const ALL: &[Mode] = &crate::setting::MODES;
const WRITES: &[Mode] = &[Mode::Plain, Mode::Everysec, Mode::Replica];
const READS: &[Mode] = &[Mode::Plain, Mode::Unpipelined, Mode::Latency];

/// Puts on an empty server what the rows need, and says what they are there.
pub fn rows(client: &mut Client) -> Result<Vec<Row>, Failure> {
    let words = Words::new(client)?;
    let mut rows = words.single();
    rows.extend(words.guarded());
    rows.extend(words.cycles());
    rows.sort_by_key(|row| IDS.iter().position(|id| *id == row.id));
    Ok(rows)
}

/// The command lines that rows are made of.
struct Words {
    token: String,
    has_delifeq: bool,
    set: Template,
    acquire: Template,
    release: Template,
    delete: Template,
    extend: Template,
    fenced: Template,
    hash_take: Template,
    hash_give_back: Template,
}

fn template(line: String, expected: Expected) -> Template {
    Template::new(&line, expected)
}

impl Words {
    fn new(client: &mut Client) -> Result<Self, Failure> {
        let lease = LEASE_MS.to_string();
        client.ask(&["SET", VALUE, OWNER])?;
        client.ask(&["HSET", HASH, "field", "12345678"])?;
        let token = client.ask(&["LOCK.ACQUIRE", HELD, SOMEBODY, &lease])?;
        let mut load = |script| client.ask(&["SCRIPT", "LOAD", script]);
        let (delete, extend) = (load(scripts::DELETE)?, load(scripts::EXTEND)?);
        let fenced = load(scripts::FENCED)?;
        let (take, give_back) = (load(scripts::HASH_TAKE)?, load(scripts::HASH_GIVE_BACK)?);
        let positive = Expected::Positive;
        Ok(Self {
            token,
            has_delifeq: client.has_command("DELIFEQ")?,
            set: template(format!("SET {KEY} {OWNER} NX PX {lease}"), OK),
            acquire: template(format!("LOCK.ACQUIRE {KEY} {OWNER} {lease}"), positive),
            release: template(format!("LOCK.RELEASE {KEY} {OWNER}"), ONE),
            delete: template(format!("EVALSHA {delete} 1 {KEY} {OWNER}"), ONE),
            extend: template(format!("EVALSHA {extend} 1 {KEY} {OWNER} {lease}"), ONE),
            fenced: template(
                format!("EVALSHA {fenced} 2 {KEY} bench:fence {OWNER} {lease}"),
                positive,
            ),
            hash_take: template(
                format!("EVALSHA {take} 1 {KEY} {OWNER} {lease}"),
                Expected::Nil,
            ),
            hash_give_back: template(
                format!("EVALSHA {give_back} 2 {KEY} bench:channel {OWNER} {lease}"),
                ONE,
            ),
        })
    }

    /// Rows of one command each.
    fn single(&self) -> Vec<Row> {
        let random = Sender::Benchmark {
            numbers: crate::benchmark::NUMBERS,
        };
        let held = self.held_already();
        let mut rows = vec![
            Row::new(
                "acquire",
                Side::new("LOCK.ACQUIRE", &self.acquire, Keys::More),
                Side::new("SET NX PX", &self.set, Keys::More),
            )
            .by(random, 1.0, ALL),
            Row::new("acquire-held", held.0, held.1).by(random, 1.0, PLAIN),
            Row::new(
                "release",
                Side::new("LOCK.RELEASE", &self.release, Keys::Fewer).after(&self.acquire),
                Side::new("EVALSHA compare and DEL", &self.delete, Keys::Fewer).after(&self.set),
            )
            .by(Sender::Own, 0.5, ALL),
            Row::new("extend", self.extend_ours(), self.extend_theirs()).by(
                Sender::Benchmark { numbers: 100_000 },
                0.5,
                PLAIN,
            ),
            Row::new(
                "fence",
                self.fence(&self.token, "LOCK.FENCE key token"),
                get(),
            )
            .by(random, 1.0, READS),
            Row::new("fence-key", self.fence("", "LOCK.FENCE key"), get()).by(random, 1.0, PLAIN),
        ];
        if self.has_delifeq {
            rows.push(self.release_delifeq());
        }
        rows
    }

    fn release_delifeq(&self) -> Row {
        Row::new(
            "release-delifeq",
            Side::new("LOCK.RELEASE", &self.release, Keys::Fewer).after(&self.acquire),
            Side::new("DELIFEQ", &self.delifeq(), Keys::Fewer).after(&self.set),
        )
        .by(Sender::Own, 0.5, WRITES)
    }

    fn held_already(&self) -> (Side, Side) {
        let (acquire, set) = (
            format!("LOCK.ACQUIRE {HELD} {OWNER} {LEASE_MS}"),
            format!("SET {VALUE} {OWNER} NX PX {LEASE_MS}"),
        );
        let (acquire, set) = (
            template(acquire, Expected::Nil),
            template(set, Expected::Nil),
        );
        (
            Side::new("LOCK.ACQUIRE, held by another", &acquire, Keys::Same),
            Side::new("SET NX PX, key exists", &set, Keys::Same),
        )
    }

    fn extend_ours(&self) -> Side {
        let line = format!("LOCK.EXTEND {KEY} {OWNER} {LEASE_MS}");
        Side::new("LOCK.EXTEND", &template(line, ONE), Keys::Same).after(&self.acquire)
    }

    fn extend_theirs(&self) -> Side {
        Side::new("EVALSHA compare and PEXPIRE", &self.extend, Keys::Same).after(&self.set)
    }

    fn fence(&self, token: &str, name: &'static str) -> Side {
        let line = format!("LOCK.FENCE {HELD} {token}");
        let template = template(line.trim_end().to_owned(), Expected::Positive);
        Side::new(name, &template, Keys::Same)
    }

    fn delifeq(&self) -> Template {
        template(format!("DELIFEQ {KEY} {OWNER}"), ONE)
    }

    /// What LOCK.GUARD adds to a command.
    fn guarded(&self) -> Vec<Row> {
        let commands = [
            (
                "guard-set",
                "LOCK.GUARD ... SET",
                "SET",
                format!("SET {VALUE} 12345678"),
            ),
            (
                "guard-get",
                "LOCK.GUARD ... GET",
                "GET",
                format!("GET {VALUE}"),
            ),
            (
                "guard-hset",
                "LOCK.GUARD ... HSET",
                "HSET",
                format!("HSET {HASH} field 12345678"),
            ),
        ];
        let row = |(id, ours, theirs, line): (&'static str, _, _, String)| {
            let guard = format!("LOCK.GUARD {HELD} {} {line}", self.token);
            let guarded = template(guard, Expected::NoError);
            let bare = template(line, Expected::NoError);
            Row::new(
                id,
                Side::new(ours, &guarded, Keys::Same),
                Side::new(theirs, &bare, Keys::Same),
            )
        };
        let numbers = crate::benchmark::NUMBERS;
        let rows = commands.map(row);
        Vec::from(rows.map(|row| row.by(Sender::Benchmark { numbers }, 0.5, PLAIN)))
    }

    /// Taken and given back, beside the ways there are without the module.
    fn cycles(&self) -> Vec<Row> {
        let cycle = |name, take: &Template, give_back: &Template| Side {
            name,
            commands: vec![take.clone(), give_back.clone()],
            before: None,
            keys: Keys::Same,
        };
        let ours = || cycle("ACQUIRE, RELEASE", &self.acquire, &self.release);
        let mut rows = vec![
            Row::new(
                "cycle",
                ours(),
                cycle("SET NX PX, EVALSHA", &self.set, &self.delete),
            )
            .by(Sender::Own, 0.25, WRITES),
            Row::new(
                "cycle-fenced",
                ours(),
                cycle("fenced EVALSHA, EVALSHA", &self.fenced, &self.delete),
            )
            .by(Sender::Own, 0.25, WRITES),
            Row::new(
                "cycle-redisson",
                ours(),
                cycle("Redisson's scripts", &self.hash_take, &self.hash_give_back),
            )
            .by(Sender::Own, 0.25, PLAIN),
        ];
        if self.has_delifeq {
            let theirs = cycle("SET NX PX, DELIFEQ", &self.set, &self.delifeq());
            rows.push(Row::new("cycle-delifeq", ours(), theirs).by(Sender::Own, 0.25, PLAIN));
        }
        rows
    }
}

fn get() -> Side {
    let get = template(format!("GET {VALUE}"), Expected::Value);
    Side::new("GET", &get, Keys::Same)
}

impl Side {
    fn new(name: &'static str, command: &Template, keys: Keys) -> Self {
        Self {
            name,
            commands: vec![command.clone()],
            before: None,
            keys,
        }
    }

    fn after(mut self, before: &Template) -> Self {
        self.before = Some(before.clone());
        self
    }
}

impl Row {
    fn new(id: &'static str, ours: Side, theirs: Side) -> Self {
        Self {
            id,
            ours,
            theirs,
            sender: Sender::Own,
            part: 1.0,
            modes: PLAIN,
        }
    }

    fn by(mut self, sender: Sender, part: f64, modes: &'static [Mode]) -> Self {
        (self.sender, self.part, self.modes) = (sender, part, modes);
        self
    }
}

/// The least ratio that is good enough, on that server in that setting, if one is set.
pub fn target(id: &str, mode: Mode, server: &str) -> Option<f64> {
    let (redis_7, redis_8, valkey_9) = match (id, mode) {
        ("acquire", Mode::Plain) => (1.2, 1.1, 1.05),
        ("acquire", Mode::Everysec) => (1.0, 1.0, 1.0),
        // Within 3 % of the time that SET takes.
        ("acquire", Mode::Latency) => (0.97, 0.97, 0.97),
        ("acquire-held", Mode::Plain) => (1.0, 1.0, 1.0),
        ("release", Mode::Plain) => (2.3, 2.3, 2.3),
        ("cycle-fenced", Mode::Plain) => (3.0, 3.0, 3.0),
        ("fence" | "fence-key", Mode::Plain) => (0.9, 0.9, 0.9),
        _ => return None,
    };
    let targets = [
        ("Redis 7.", redis_7),
        ("Redis 8.", redis_8),
        ("Valkey 9.", valkey_9),
    ];
    let mut targets = targets.into_iter();
    targets
        .find(|(name, _)| server.starts_with(name))
        .map(|(_, target)| target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_set_for_a_row_a_setting_and_a_server() {
        assert_eq!(target("acquire", Mode::Plain, "Redis 7.0.15"), Some(1.2));
        assert_eq!(target("acquire", Mode::Plain, "Valkey 9.1.2"), Some(1.05));
        assert_eq!(target("acquire", Mode::Plain, "Valkey 8.1.1"), None);
        assert_eq!(target("acquire", Mode::Replica, "Redis 8.0.6"), None);
        assert_eq!(target("guard-set", Mode::Plain, "Redis 8.0.6"), None);
    }
}
