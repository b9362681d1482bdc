//! How often the servers gave different tokens, so that the largest had to be written back
//! before a majority held the same one. Seen from the outside: each server shows what it
//! is asked (MONITOR).

use crate::nodes::Nodes;
use crate::ways::{Crowd, Keys, Stage, Way};
use serde::Serialize;
use stand::Failure;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

/// Of so many locks, how many took which way.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Agreement {
    /// How many servers.
    pub nodes: usize,
    /// How many clients.
    pub clients: usize,
    /// Locks that were had.
    pub locks: usize,
    /// All servers had given the same token: one round trip.
    pub at_once: usize,
    /// A majority had, others had not: one round trip, unless they answered first.
    pub by_a_majority: usize,
    /// None had: surely two round trips.
    pub written_back: usize,
}

/// By owner, on how many servers its token was raised.
type Raised = HashMap<String, usize>;

/// Watches clients with locks of their own.
pub fn watch(
    nodes: &Nodes,
    stage: &Stage,
    (count, clients): (usize, usize),
    (window, ttl): (Duration, Duration),
) -> Result<Agreement, Failure> {
    let crowd = Crowd {
        ports: nodes.ports(count),
        clients,
        keys: Keys::Own,
        prefix: format!("agree:{count}:{clients}"),
        window,
        ttl,
    };
    let mut monitors = Vec::new();
    for &port in &crowd.ports {
        monitors.push(Monitor::of(port)?);
    }
    stage.watch(Way::Ours, &crowd, &mut || Ok(()))?;
    let mut raised = Raised::new();
    for monitor in monitors {
        for (owner, times) in monitor.end()? {
            *raised.entry(owner).or_default() += times;
        }
    }
    let minority = count - (count / 2 + 1);
    let how_many = |is_it: &dyn Fn(usize) -> bool| raised.values().filter(|&&it| is_it(it)).count();
    Ok(Agreement {
        nodes: count,
        clients,
        locks: raised.len(),
        at_once: how_many(&|it| it == 0),
        by_a_majority: how_many(&|it| it > 0 && it <= minority),
        written_back: how_many(&|it| it > minority),
    })
}

/// A connection on which a server shows what it is asked.
struct Monitor {
    stream: TcpStream,
    reader: JoinHandle<Raised>,
}

impl Monitor {
    fn of(port: u16) -> Result<Self, Failure> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.write_all(b"MONITOR\r\n")?;
        let mut lines = BufReader::new(stream.try_clone()?);
        let mut ok = String::new();
        lines.read_line(&mut ok)?;
        let reader = std::thread::spawn(move || {
            let mut raised = Raised::new();
            for line in lines.lines().map_while(Result::ok) {
                note(&line, &mut raised);
            }
            raised
        });
        Ok(Self { stream, reader })
    }

    /// What it saw. Each owner counts once on it, however often it was raised there.
    fn end(self) -> Result<Raised, Failure> {
        self.stream.shutdown(Shutdown::Both)?;
        let raised = self.reader.join();
        raised.map_err(|_| "who read the monitor panicked".into())
    }
}

/// `1700000000.000000 [0 127.0.0.1:5000] "LOCK.EXTEND" "key" "owner" ...`
fn note(line: &str, raised: &mut Raised) {
    let mut words = line.split('"').skip(1).step_by(2);
    let (command, _key, owner) = (words.next(), words.next(), words.next());
    match (command, owner) {
        (Some("LOCK.ACQUIRE"), Some(owner)) => {
            raised.entry(owner.to_owned()).or_insert(0);
        }
        (Some("LOCK.EXTEND"), Some(owner)) => {
            raised.insert(owner.to_owned(), 1);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_counts_once_for_a_server_on_which_it_was_raised() {
        let mut raised = Raised::new();
        for line in [
            "OK",
            r#"1.5 [0 127.0.0.1:5000] "LOCK.ACQUIRE" "seat" "alice" "30000""#,
            r#"1.6 [0 127.0.0.1:5000] "LOCK.EXTEND" "seat" "alice" "30000" "RAISE" "7""#,
            r#"1.7 [0 127.0.0.1:5000] "LOCK.EXTEND" "seat" "alice" "30000" "RAISE" "9""#,
            r#"1.8 [0 127.0.0.1:5000] "LOCK.ACQUIRE" "seat" "bob" "30000""#,
            r#"1.9 [0 127.0.0.1:5000] "LOCK.RELEASE" "seat" "bob""#,
        ] {
            note(line, &mut raised);
        }
        assert_eq!(raised.len(), 2);
        assert_eq!((raised["alice"], raised["bob"]), (1, 0));
    }
}
