//! The two ways side by side: the module's locks, and strings with a TTL.

use crate::stream::{Reply, Requests, Stream};
use crate::Failure;

/// The way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// LOCK.ACQUIRE, LOCK.RELEASE, LOCK.EXTEND, LOCK.FENCE.
    Lock,
    /// SET NX PX, and what people write around it.
    Set,
}

/// What is done to a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// LOCK.ACQUIRE, SET NX PX.
    Take,
    /// LOCK.FENCE, GET.
    Look,
    /// LOCK.EXTEND, a script that compares and sets the TTL.
    Extend,
    /// LOCK.RELEASE, a script that compares and deletes.
    GiveBack,
}

/// In the order in which they are measured.
pub const VERBS: [Verb; 4] = [Verb::Take, Verb::Look, Verb::Extend, Verb::GiveBack];

impl Verb {
    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Take => "ACQUIRE, beside SET NX PX",
            Self::Look => "FENCE, beside GET",
            Self::Extend => "EXTEND, beside a script",
            Self::GiveBack => "RELEASE, beside a script",
        }
    }
}

const GIVE_BACK: &[u8] = b"if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])";
const EXTEND: &[u8] = b"if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])";

/// Leases that outlive the benchmark: from one hour on, all different.
pub const LEASE_MS: u64 = 3_600_000;
const LEASES_MS: u64 = 70_000_000;

/// Requests loaded at once.
const LOAD: u64 = 1_000;

/// The name of a lock.
pub fn key(number: u64) -> String {
    format!("lock:{number:08}")
}

/// The name of its owner: 16 bytes.
pub fn owner(number: u64) -> String {
    format!("owner-{number:010}")
}

/// A lease in no order.
fn lease(number: u64) -> u64 {
    LEASE_MS + number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % LEASES_MS
}

/// A server, with what must be known to send it requests.
pub struct Side {
    way: Way,
    stream: Stream,
    give_back: String,
    extend: String,
}

impl Side {
    /// Connects.
    pub fn open(way: Way, port: u16) -> Result<Self, Failure> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{port}/"))?;
        let mut connection = client.get_connection()?;
        let mut load = |script: &[u8]| -> Result<String, Failure> {
            let mut load = redis::Cmd::new();
            load.arg("SCRIPT").arg("LOAD").arg(script);
            Ok(load.query(&mut connection)?)
        };
        Ok(Self {
            way,
            give_back: load(GIVE_BACK)?,
            extend: load(EXTEND)?,
            stream: Stream::open(port)?,
        })
    }

    /// Adds one request about the lock of this number.
    pub fn add(&self, verb: Verb, number: u64, to: &mut Requests) {
        self.add_with(verb, number, lease(number), to);
    }

    fn add_with(&self, verb: Verb, number: u64, lease_ms: u64, to: &mut Requests) {
        let (key, owner, lease) = (key(number), owner(number), lease_ms.to_string());
        let (key, owner, lease) = (key.as_bytes(), owner.as_bytes(), lease.as_bytes());
        match (self.way, verb) {
            (Way::Lock, Verb::Take) => to.add(&[b"LOCK.ACQUIRE", key, owner, lease]),
            (Way::Lock, Verb::Look) => to.add(&[b"LOCK.FENCE", key]),
            (Way::Lock, Verb::Extend) => to.add(&[b"LOCK.EXTEND", key, owner, lease]),
            (Way::Lock, Verb::GiveBack) => to.add(&[b"LOCK.RELEASE", key, owner]),
            (Way::Set, Verb::Take) => to.add(&[b"SET", key, owner, b"NX", b"PX", lease]),
            (Way::Set, Verb::Look) => to.add(&[b"GET", key]),
            (Way::Set, Verb::Extend) => {
                let script = self.extend.as_bytes();
                to.add(&[b"EVALSHA", script, b"1", key, owner, lease]);
            }
            (Way::Set, Verb::GiveBack) => {
                let script = self.give_back.as_bytes();
                to.add(&[b"EVALSHA", script, b"1", key, owner]);
            }
        }
    }

    /// Sends them; every one must have done what it says.
    pub fn send(&mut self, requests: &Requests) -> Result<(), Failure> {
        let mut refused = 0;
        self.stream.exchange(requests, |reply| {
            let is_refused = matches!(reply, Reply::Nil | Reply::Number(0));
            refused += usize::from(is_refused);
        })?;
        match refused {
            0 => Ok(()),
            _ => Err(format!("{:?}: {refused} requests were refused", self.way).into()),
        }
    }

    /// The same for all these numbers, in portions.
    pub fn all(&mut self, verb: Verb, numbers: std::ops::Range<u64>) -> Result<(), Failure> {
        let mut requests = Requests::default();
        let mut next = numbers.start;
        while next < numbers.end {
            requests.clear();
            let end = numbers.end.min(next + LOAD);
            (next..end).for_each(|number| self.add(verb, number, &mut requests));
            self.send(&requests)?;
            next = end;
        }
        Ok(())
    }

    /// Takes these, each for so long.
    pub fn take_for(
        &mut self,
        numbers: std::ops::Range<u64>,
        lease_ms: u64,
    ) -> Result<(), Failure> {
        let mut requests = Requests::default();
        for number in numbers {
            self.add_with(Verb::Take, number, lease_ms, &mut requests);
        }
        self.send(&requests)
    }

    /// Joins these owners to one lock, each for so long.
    pub fn share_for(
        &mut self,
        key: &str,
        numbers: std::ops::Range<u64>,
        lease_ms: u64,
    ) -> Result<(), Failure> {
        let mut requests = Requests::default();
        let lease = lease_ms.to_string();
        for number in numbers {
            let (key, lease) = (key.as_bytes(), lease.as_bytes());
            let owner = owner(number);
            requests.add(&[b"LOCK.ACQUIRE", key, owner.as_bytes(), lease, b"SHARED"]);
        }
        self.send(&requests)
    }
}
