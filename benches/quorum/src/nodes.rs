//! The servers, and what happens to the first of them.

use crate::proxy::{Proxy, Road};
use crate::seen::Seen;
use crate::ways::{Crowd, Keys, Stage, Way};
use clap::ValueEnum;
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use serde::Serialize;
use stand::server::{Server, Start};
use stand::Failure;
use std::time::Duration;

/// How much later a slow server hears what it is asked.
const SLOW: Duration = Duration::from_millis(50);
/// How much later one that is late hears it, at most.
const LATE: Duration = Duration::from_secs(2);
/// By then everything that was on its way has arrived, and was answered.
const SETTLED: Duration = Duration::from_millis(700);

/// What is wrong with one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Nothing.
    None,
    /// It hears everything 50 ms later.
    Slow,
    /// It refuses connections.
    Dead,
    /// It is stopped, and says nothing.
    Silent,
    /// It hears each request up to 2 s later: most often later than anybody waits.
    Late,
}

/// In their order in the table.
pub const FAULTS: [Fault; 5] = [
    Fault::None,
    Fault::Slow,
    Fault::Dead,
    Fault::Silent,
    Fault::Late,
];

impl Fault {
    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "well",
            Self::Slow => "slow, 50 ms",
            Self::Dead => "dead, refuses",
            Self::Silent => "silent, stopped",
            Self::Late => "late, 0 to 2 s",
        }
    }
}

/// Independent servers with the module.
pub struct Nodes(Vec<Server>);

impl Nodes {
    /// Starts so many.
    pub fn start(how: &Start, count: usize) -> Result<Self, Failure> {
        let servers = (0..count).map(|_| Server::start(how));
        Ok(Self(servers.collect::<Result<_, _>>()?))
    }

    /// What they call themselves.
    pub fn version(&self) -> Result<String, Failure> {
        self.0[0].version()
    }

    /// Where the first so many of them listen.
    pub fn ports(&self, count: usize) -> Vec<u16> {
        self.0.iter().take(count).map(|it| it.port).collect()
    }

    /// Nothing is locked from here on.
    pub fn clear(&self) -> Result<(), Failure> {
        for server in &self.0 {
            server.client()?.ask(&["FLUSHALL"])?;
        }
        Ok(())
    }

    /// One client with locks of its own on `count` servers, the first of which has the
    /// fault once the client is connected; and how many keys are left on that one when
    /// the client is done and the server is well again.
    pub fn suffer(
        &self,
        fault: Fault,
        (stage, way): (&Stage, Way),
        (count, window, ttl): (usize, Duration, Duration),
    ) -> Result<(Seen, u64), Failure> {
        self.clear()?;
        let first = &self.0[0];
        let proxy = Proxy::to(first.port)?;
        let mut ports = self.ports(count);
        ports[0] = proxy.port();
        let crowd = Crowd {
            ports,
            clients: 1,
            keys: Keys::Own,
            prefix: format!("{fault:?}:{way:?}"),
            window,
            ttl,
        };
        let id = Pid::from_raw(i32::try_from(first.id())?);
        let seen = stage.watch(way, &crowd, &mut || {
            match fault {
                Fault::None => {}
                Fault::Slow => proxy.set(Road::Slow(SLOW)),
                Fault::Dead => proxy.set(Road::Closed),
                Fault::Silent => kill(id, Signal::SIGSTOP)?,
                Fault::Late => proxy.set(Road::Uneven(LATE)),
            }
            Ok(())
        });
        if fault == Fault::Silent {
            kill(id, Signal::SIGCONT)?;
        }
        let seen = seen?;
        std::thread::sleep(match fault {
            Fault::Silent | Fault::Late => SETTLED + LATE,
            _ => SETTLED,
        });
        let left = first.client()?.ask(&["DBSIZE"])?.parse()?;
        Ok((seen, left))
    }
}
