//! A proxy between a client and a server, or a replica and its master, which does
//! to what passes what networks do: it lets it wait, holds it back, breaks the
//! connection for both sides or for one.
//!
//! Nothing that was accepted is dropped from the middle of a connection, as TCP
//! does not: what is held back arrives later, or the connection ends before.

use socket2::SockRef;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

/// Connections at a time, at most; each has two threads. More are turned away.
const CONNECTIONS_MOST: usize = 200;
/// How long the server, or a reader that does not read, may keep a thread.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Towards {
    /// To the side that was connected to.
    Server,
    /// To the side that connected.
    Client,
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It passes.
    Open,
    /// It passes so much later.
    Slow(Duration),
    /// It waits until the way is another one.
    Frozen,
}

/// Who comes new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Callers {
    Welcome,
    TurnedAway,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Both,
    /// The server's is gone; the client has not heard of it.
    ClientOnly,
}

struct Pair {
    client: Arc<End>,
    server: Arc<End>,
    ends: Ends,
}

/// One end of a connection, to write to. Whoever reads from it has a handle of its
/// own.
struct End(Mutex<Option<TcpStream>>);

struct Rules {
    target: u16,
    to_server: Way,
    to_client: Way,
    callers: Callers,
    is_over: bool,
    pairs: HashMap<u64, Pair>,
}

struct Shared {
    rules: Mutex<Rules>,
    changed: Condvar,
}

/// A port that leads to another one.
pub struct Proxy {
    shared: Arc<Shared>,
    port: u16,
    listener: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Leads to the server at this port; everything passes.
    pub fn to(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("a port").port();
        let rules = Rules {
            target,
            to_server: Way::Open,
            to_client: Way::Open,
            callers: Callers::Welcome,
            is_over: false,
            pairs: HashMap::new(),
        };
        let shared = Arc::new(Shared {
            rules: Mutex::new(rules),
            changed: Condvar::new(),
        });
        let of_thread = Arc::clone(&shared);
        let listener = std::thread::spawn(move || of_thread.listen(&listener));
        Self {
            shared,
            port,
            listener: Some(listener),
        }
    }

    /// Where to connect.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// New connections lead to another server.
    pub fn leads_to(&self, target: u16) {
        self.shared.rules().target = target;
    }

    /// What happens from now on to all that goes there.
    pub fn set(&self, towards: Towards, way: Way) {
        let mut rules = self.shared.rules();
        match towards {
            Towards::Server => rules.to_server = way,
            Towards::Client => rules.to_client = way,
        }
        self.shared.changed.notify_all();
    }

    /// What happens from now on, both ways.
    pub fn set_both(&self, way: Way) {
        self.set(Towards::Server, way);
        self.set(Towards::Client, way);
    }

    /// Everything passes and everybody may come.
    pub fn heal(&self) {
        self.shared.rules().callers = Callers::Welcome;
        self.set_both(Way::Open);
    }

    /// Both sides of all connections get a reset; what was on its way is lost.
    pub fn reset(&self) {
        let mut rules = self.shared.rules();
        for (_, pair) in rules.pairs.drain() {
            pair.client.break_off();
            pair.server.break_off();
        }
        self.shared.changed.notify_all();
    }

    /// As [`Proxy::reset`]; and nobody gets through until it heals.
    pub fn cut(&self) {
        self.shared.rules().callers = Callers::TurnedAway;
        self.reset();
    }

    /// The server's side of all connections gets a reset; the client's stays, and
    /// nothing comes of what it sends.
    pub fn leave_half_open(&self) {
        let mut rules = self.shared.rules();
        for pair in rules.pairs.values_mut() {
            pair.ends = Ends::ClientOnly;
            pair.server.break_off();
        }
        self.shared.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.rules().is_over = true;
        self.reset();
        // It looks up when somebody comes.
        let came = TcpStream::connect(("127.0.0.1", self.port));
        if let (Ok(_), Some(listener)) = (came, self.listener.take()) {
            listener.join().expect("a listener does not panic");
        }
    }
}

impl End {
    fn write(&self, bytes: &[u8]) -> bool {
        let mut stream = self.0.lock().expect("no panic");
        stream
            .as_mut()
            .is_some_and(|it| it.write_all(bytes).is_ok())
    }

    /// Nothing more is written; the other side is told when it has read the rest.
    fn finish(&self) {
        if let Some(stream) = &*self.0.lock().expect("no panic") {
            // Fails only if the connection is gone already.
            stream.shutdown(Shutdown::Write).ok();
        }
    }

    /// The thread that reads from it finds its end, and when that has let go of it,
    /// too, the other side gets a reset. (To shut down both directions would tell it
    /// of a proper end.)
    fn break_off(&self) {
        if let Some(stream) = self.0.lock().expect("no panic").take() {
            // Both fail only if the connection is gone already.
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).ok();
            stream.shutdown(Shutdown::Read).ok();
        }
    }
}

impl Shared {
    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().expect("no panic")
    }

    fn listen(self: &Arc<Self>, listener: &TcpListener) {
        for number in 0_u64.. {
            let Ok((client, _)) = listener.accept() else {
                continue;
            };
            let rules = self.rules();
            let (target, is_over) = (rules.target, rules.is_over);
            let is_full = rules.pairs.len() >= CONNECTIONS_MOST;
            let is_welcome = rules.callers == Callers::Welcome && !is_full;
            drop(rules);
            if is_over {
                return;
            }
            if is_welcome {
                // A server that is not there: the client is told by the end.
                self.connect(number, client, target).ok();
            }
        }
    }

    fn connect(
        self: &Arc<Self>,
        number: u64,
        client: TcpStream,
        target: u16,
    ) -> std::io::Result<()> {
        let at = SocketAddr::from(([127, 0, 0, 1], target));
        let server = TcpStream::connect_timeout(&at, PATIENCE)?;
        for end in [&client, &server] {
            end.set_nodelay(true)?;
            end.set_write_timeout(Some(PATIENCE))?;
        }
        let (from_client, from_server) = (client.try_clone()?, server.try_clone()?);
        let client = Arc::new(End(Mutex::new(Some(client))));
        let server = Arc::new(End(Mutex::new(Some(server))));
        let pair = Pair {
            client: Arc::clone(&client),
            server: Arc::clone(&server),
            ends: Ends::Both,
        };
        self.rules().pairs.insert(number, pair);
        let pumps = [
            (Towards::Server, from_client, server),
            (Towards::Client, from_server, client),
        ];
        for (towards, from, to) in pumps {
            let shared = Arc::clone(self);
            std::thread::spawn(move || shared.pump(number, towards, from, &to));
        }
        Ok(())
    }

    /// Carries bytes one way until they end.
    fn pump(&self, number: u64, towards: Towards, mut from: TcpStream, to: &End) {
        let mut buffer = [0; 1 << 14];
        loop {
            let count = from.read(&mut buffer).unwrap_or(0);
            match (self.passes(number, towards), towards) {
                // A reset overtakes what was sent.
                (None, _) | (Some(Ends::ClientOnly), Towards::Client) => return,
                // An end does not.
                _ if count == 0 => break,
                (Some(Ends::Both), _) => {
                    let is_sent = to.write(&buffer[..count]);
                    if !is_sent && self.is_whole(number) {
                        break;
                    }
                }
                // Sent to nobody.
                (Some(Ends::ClientOnly), Towards::Server) => {}
            }
        }
        to.finish();
        let is_done = towards == Towards::Client || !self.is_whole(number);
        if is_done {
            self.rules().pairs.remove(&number);
            self.changed.notify_all();
        }
    }

    fn is_whole(&self, number: u64) -> bool {
        let rules = self.rules();
        let pair = rules.pairs.get(&number);
        pair.is_some_and(|pair| pair.ends == Ends::Both)
    }

    /// Waits for as long as the way demands. `None`: the connection was broken off.
    fn passes(&self, number: u64, towards: Towards) -> Option<Ends> {
        let mut rules = self.rules();
        let mut waited = false;
        loop {
            let ends = rules.pairs.get(&number)?.ends;
            if ends == Ends::ClientOnly {
                return Some(ends);
            }
            let way = match towards {
                Towards::Server => rules.to_server,
                Towards::Client => rules.to_client,
            };
            rules = match way {
                Way::Open => return Some(ends),
                Way::Slow(_) if waited => return Some(ends),
                Way::Slow(time) => {
                    waited = true;
                    let waited = self.changed.wait_timeout(rules, time);
                    waited.expect("no panic").0
                }
                Way::Frozen => self.changed.wait(rules).expect("no panic"),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::now;
    use std::io::ErrorKind;

    /// A server that sends back what it gets, for one connection, and a client of
    /// it through a proxy.
    fn echo() -> (Proxy, TcpStream, JoinHandle<ErrorKind>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let proxy = Proxy::to(listener.local_addr().expect("a port").port());
        let client = TcpStream::connect(("127.0.0.1", proxy.port())).expect("it listens");
        client.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut byte = [0];
            loop {
                match stream.read(&mut byte) {
                    Ok(0) => return ErrorKind::UnexpectedEof,
                    Ok(_) => stream.write_all(&byte).expect("it reads"),
                    Err(error) => return error.kind(),
                }
            }
        });
        (proxy, client, server)
    }

    fn comes_back(client: &mut TcpStream, byte: u8) -> bool {
        client.write_all(&[byte]).expect("a socket");
        let mut read = [0];
        client.read_exact(&mut read).is_ok() && read == [byte]
    }

    #[test]
    fn what_is_held_back_arrives_later_and_in_order() {
        let (proxy, mut client, server) = echo();
        assert!(comes_back(&mut client, b'a'));
        proxy.set(Towards::Client, Way::Frozen);
        client.write_all(b"bc").expect("a socket");
        let short = Some(Duration::from_millis(50));
        client.set_read_timeout(short).expect("a socket");
        assert!(client.read(&mut [0]).is_err(), "nothing comes");
        client.set_read_timeout(Some(PATIENCE)).expect("a socket");
        proxy.heal();
        let mut read = [0; 2];
        client.read_exact(&mut read).expect("it comes");
        assert_eq!(&read, b"bc");
        drop(client);
        let ended = server.join().expect("no panic");
        assert_eq!(ended, ErrorKind::UnexpectedEof, "an end is an end");
    }

    #[test]
    fn a_slow_way_takes_its_time() {
        let (proxy, mut client, _server) = echo();
        proxy.set(Towards::Server, Way::Slow(Duration::from_millis(30)));
        let began = now();
        assert!(comes_back(&mut client, b'a'));
        assert!(began.elapsed() >= Duration::from_millis(30));
    }

    #[test]
    fn a_reset_is_a_reset_on_both_sides() {
        let (proxy, mut client, server) = echo();
        assert!(comes_back(&mut client, b'a'));
        proxy.reset();
        let ended = client.read(&mut [0]).expect_err("no end");
        assert_eq!(ended.kind(), ErrorKind::ConnectionReset);
        assert_eq!(server.join().expect("no panic"), ErrorKind::ConnectionReset);
    }

    #[test]
    fn a_half_open_connection_ends_on_one_side_only() {
        let (proxy, mut client, server) = echo();
        assert!(comes_back(&mut client, b'a'));
        proxy.leave_half_open();
        assert_eq!(server.join().expect("no panic"), ErrorKind::ConnectionReset);
        let short = Some(Duration::from_millis(50));
        client.set_read_timeout(short).expect("a socket");
        for _ in 0..3 {
            client.write_all(b"b").expect("nobody has told it");
            let silence = client.read(&mut [0]).expect_err("no end");
            assert_eq!(silence.kind(), ErrorKind::WouldBlock);
        }
    }
}
