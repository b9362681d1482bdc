//! What stands between a client and its server, and fails when it is told to.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// A way to a server.
pub struct Proxy {
    port: u16,
    faults: Arc<Faults>,
}

#[derive(Default)]
struct Faults {
    /// Nothing goes through, in either direction; connections stay open.
    is_silent: AtomicBool,
    /// So many answers to requests with this word are lost, and their connections cut.
    unlucky: Mutex<(String, usize)>,
    lost: AtomicUsize,
}

impl Faults {
    fn is_unlucky(&self, request: &[u8]) -> bool {
        let mut unlucky = self.unlucky.lock().expect("no panic");
        let request = String::from_utf8_lossy(request);
        let is_it = unlucky.1 > 0 && request.contains(&unlucky.0);
        unlucky.1 -= usize::from(is_it);
        is_it
    }
}

impl Proxy {
    /// To the server at this port.
    pub async fn to(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let faults = Arc::<Faults>::default();
        let shared = Arc::clone(&faults);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let faults = Arc::clone(&shared);
                tokio::spawn(pass(client, server, faults));
            }
        });
        Self { port, faults }
    }

    /// Where clients connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on nothing goes through.
    pub fn falls_silent(&self) {
        self.faults.is_silent.store(true, Ordering::SeqCst);
    }

    /// From now on everything goes through again.
    pub fn speaks_again(&self) {
        self.faults.is_silent.store(false, Ordering::SeqCst);
    }

    /// The answer to the next request with this word is lost.
    pub fn loses_answer_to(&self, word: &str) {
        self.loses_answers_to(word, 1);
    }

    /// The answers to so many requests with this word are lost.
    pub fn loses_answers_to(&self, word: &str, many: usize) {
        *self.faults.unlucky.lock().expect("no panic") = (word.to_owned(), many);
    }

    /// How many answers were lost.
    pub fn lost(&self) -> usize {
        self.faults.lost.load(Ordering::SeqCst)
    }
}

async fn pass(client: TcpStream, server: u16, faults: Arc<Faults>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else {
        return;
    };
    let is_cut = Arc::<AtomicBool>::default();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // Whichever ends first ends the other.
    tokio::select! {
        () = requests(from_client, to_server, &faults, &is_cut) => {}
        () = answers(from_server, to_client, &faults, &is_cut) => {}
    }
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    faults: &Faults,
    is_cut: &AtomicBool,
) {
    let mut bytes = [0; 4_096];
    while let Ok(many @ 1..) = from.read(&mut bytes).await {
        if faults.is_silent.load(Ordering::SeqCst) {
            continue;
        }
        if faults.is_unlucky(&bytes[..many]) {
            is_cut.store(true, Ordering::SeqCst);
        }
        if to.write_all(&bytes[..many]).await.is_err() {
            return;
        }
    }
}

async fn answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    faults: &Faults,
    is_cut: &AtomicBool,
) {
    let mut bytes = [0; 4_096];
    while let Ok(many @ 1..) = from.read(&mut bytes).await {
        if faults.is_silent.load(Ordering::SeqCst) {
            continue;
        }
        if is_cut.load(Ordering::SeqCst) {
            faults.lost.fetch_add(1, Ordering::SeqCst);
            return;
        }
        if to.write_all(&bytes[..many]).await.is_err() {
            return;
        }
    }
}
