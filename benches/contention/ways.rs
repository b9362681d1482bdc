//! Four ways to take turns, each as its users write it.
//!
//! A client asks for the lock, holds it for an instant, gives it back and asks
//! again, on connections of its own, as if each were another process. No way is
//! helped and none is hampered: one command to ask and one to give back, and
//! what the way itself makes necessary.

use crate::crowd::Client;
use clap::ValueEnum;
use redis::{Cmd, Connection, RedisResult, Script};
use serde::Serialize;
use std::time::Duration;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// `LOCK.ACQUIRE ... BLOCK 0` and `LOCK.RELEASE`.
    Lock,
    /// `BLPOP` and `RPUSH` on a list of one element: no lease, no owner, no
    /// fence. What a hand-over costs in Redis at the least.
    List,
    /// `SET NX PX` in a script, a message to all who wait when it is given back
    /// (the way of Redisson).
    Message,
    /// `SET NX PX`, asked again after 50 ms, then 100 ms, up to 2 s.
    BackOff,
}

/// The order in which they take turns being measured.
pub const WAYS: [Way; 4] = [Way::Lock, Way::List, Way::Message, Way::BackOff];

/// No lease ends while the benchmark runs.
const LEASE_MS: u32 = 600_000;
const KEY: &str = "bench:lock";
const LIST: &str = "bench:list";
const CHANNEL: &str = "bench:channel";
const BACK_OFF_LEAST: Duration = Duration::from_millis(50);
const BACK_OFF_MOST: Duration = Duration::from_secs(2);

/// Takes the lock, or says for how long it is held.
const TAKE: &str = "
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return nil end
return redis.call('PTTL', KEYS[1])";

/// Gives the lock back, if it is still the caller's.
const GIVE_BACK: &str = "
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])";

/// The same, and tells everybody who waits.
const GIVE_BACK_AND_TELL: &str = "
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', KEYS[2], 'free')
return 1";

impl Way {
    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lock => "LOCK.ACQUIRE BLOCK",
            Self::List => "BLPOP, RPUSH (no lock: the limit)",
            Self::Message => "Lua and pub/sub",
            Self::BackOff => "SET NX PX and back-off",
        }
    }

    /// What must be there before the clients start.
    pub fn prepare(self, connection: &mut Connection) -> RedisResult<()> {
        Cmd::new().arg("FLUSHALL").exec(connection)?;
        match self {
            Self::List => Cmd::rpush(LIST, "token").exec(connection),
            Self::Lock | Self::Message | Self::BackOff => Ok(()),
        }
    }

    /// Takes turns until the client's connection is closed.
    pub fn take_turns(self, client: &mut Client) -> RedisResult<()> {
        match self {
            Self::Lock => in_line(client),
            Self::List => with_a_list(client),
            Self::Message => with_messages(client),
            Self::BackOff => with_back_off(client),
        }
    }
}

fn in_line(client: &mut Client) -> RedisResult<()> {
    let mut connection = client.connect()?;
    loop {
        let owner = client.begin_wait();
        let mut acquire = Cmd::new();
        acquire.arg("LOCK.ACQUIRE").arg(KEY).arg(&owner);
        acquire.arg(LEASE_MS).arg("BLOCK").arg(0);
        acquire.query::<u64>(&mut connection)?;
        client.end_wait();
        let mut release = Cmd::new();
        release.arg("LOCK.RELEASE").arg(KEY).arg(&owner);
        must_have_held(release.query(&mut connection)?);
    }
}

fn with_a_list(client: &mut Client) -> RedisResult<()> {
    let mut connection = client.connect()?;
    loop {
        client.begin_wait();
        Cmd::blpop(LIST, 0.0).query::<(String, String)>(&mut connection)?;
        client.end_wait();
        Cmd::rpush(LIST, "token").exec(&mut connection)?;
    }
}

fn with_messages(client: &mut Client) -> RedisResult<()> {
    let mut connection = client.connect()?;
    let mut listener = client.connect()?;
    let take = Script::new(TAKE);
    let give_back = Script::new(GIVE_BACK_AND_TELL);
    loop {
        let owner = client.begin_wait();
        let mut try_it = || -> RedisResult<bool> {
            let mut call = take.prepare_invoke();
            call.key(KEY).arg(&owner).arg(LEASE_MS);
            Ok(call.invoke::<Option<i64>>(&mut connection)?.is_none())
        };
        if !try_it()? {
            let mut messages = listener.as_pubsub();
            messages.subscribe(CHANNEL)?;
            // It may have been given back before the subscription was there.
            while !try_it()? {
                messages.get_message()?;
            }
        }
        client.end_wait();
        let mut call = give_back.prepare_invoke();
        call.key(KEY).key(CHANNEL).arg(&owner);
        must_have_held(call.invoke(&mut connection)?);
    }
}

fn with_back_off(client: &mut Client) -> RedisResult<()> {
    let mut connection = client.connect()?;
    let give_back = Script::new(GIVE_BACK);
    loop {
        let owner = client.begin_wait();
        let mut pause = BACK_OFF_LEAST;
        let mut set = Cmd::new();
        set.arg("SET")
            .arg(KEY)
            .arg(&owner)
            .arg("NX")
            .arg("PX")
            .arg(LEASE_MS);
        while set.query::<Option<String>>(&mut connection)?.is_none() {
            std::thread::sleep(pause);
            pause = BACK_OFF_MOST.min(pause * 2);
        }
        client.end_wait();
        let mut call = give_back.prepare_invoke();
        must_have_held(call.key(KEY).arg(&owner).invoke(&mut connection)?);
    }
}

/// A lock that was lost in between would make the numbers worthless.
fn must_have_held(released: u64) {
    assert_eq!(released, 1, "the lock was somebody else's");
}
