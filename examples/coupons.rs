//! The classic race: a pile of coupons, and many clients that each look whether
//! there is one left and then take it.
//!
//! ```text
//! coupons PORT [COUPONS [CLIENTS]]
//! ```
//!
//! Run twice against the server on PORT: with `LOCK.ACQUIRE` around the two
//! steps, then without. With the lock every coupon is handed out exactly once;
//! without it clients hand out what another has taken, which is the control: it
//! shows that the race is there. Ends with 0 if both is so.

use redis::{Commands, Connection, RedisResult};
use std::error::Error;
use std::process::ExitCode;
use std::sync::Barrier;
use std::time::{Duration, Instant};

const PILE: &str = "demo:coupons";
const LOCK: &str = "demo:coupons:lock";
/// Far longer than a turn takes; if a client dies, the others go on after this.
const LEASE_MS: u32 = 10_000;

/// Whether the clients take turns.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Each looks and takes while it holds the lock.
    WithLock,
    /// Each looks and takes as it pleases.
    WithoutLock,
}

/// What is to be handed out, by whom, on which server.
#[derive(Clone, Copy)]
pub struct Demo {
    /// The server listens here, on this machine.
    pub port: u16,
    /// How many there are.
    pub coupons: u64,
    /// How many connections want them.
    pub clients: u64,
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("coupons: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let mut number = |otherwise: Option<u64>| match words.next() {
        Some(word) => Ok(word.parse::<u64>()?),
        None => otherwise.ok_or_else(|| "usage: coupons PORT [COUPONS [CLIENTS]]".into()),
    };
    let demo = Demo {
        port: number(None)
            .and_then(|port: u64| -> Result<u16, Box<dyn Error>> { Ok(u16::try_from(port)?) })?,
        coupons: number(Some(10_000))?,
        clients: number(Some(64))?,
    };
    println!(
        "{} coupons, {} clients, each on a connection of its own",
        demo.coupons, demo.clients
    );
    let with = demo.hand_out(Mode::WithLock)?;
    let without = demo.hand_out(Mode::WithoutLock)?;
    if with == demo.coupons && without > demo.coupons {
        println!("With the lock it is exact; without it, it is not.");
        Ok(ExitCode::SUCCESS)
    } else {
        println!("This is not what should have happened.");
        Ok(ExitCode::FAILURE)
    }
}

impl Demo {
    /// Lets all clients take coupons until there are none; how many they took.
    pub fn hand_out(self, mode: Mode) -> Result<u64, Box<dyn Error>> {
        let mut connection = self.connect()?;
        let _: () = connection.set(PILE, self.coupons)?;
        let start = Barrier::new(usize::try_from(self.clients)?);
        #[allow(clippy::disallowed_methods, reason = "a client's own clock")]
        let begun = Instant::now();
        let taken: RedisResult<u64> = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..self.clients)
                .map(|number| {
                    let start = &start;
                    scope.spawn(move || self.client(mode, number, start))
                })
                .collect();
            let taken = clients.into_iter().map(|client| match client.join() {
                Ok(taken) => taken,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            taken.sum()
        });
        let taken = taken?;
        let _: () = connection.del(PILE)?;
        let name = match mode {
            Mode::WithLock => "with the lock:   ",
            Mode::WithoutLock => "without the lock:",
        };
        let oversold = i128::from(taken) - i128::from(self.coupons);
        let seconds = begun.elapsed().as_secs_f64();
        println!("{name} {taken} handed out, {oversold} too many, in {seconds:.1} s");
        Ok(taken)
    }

    fn connect(self) -> RedisResult<Connection> {
        redis::Client::open(format!("redis://127.0.0.1:{}/", self.port))?.get_connection()
    }

    /// One client: takes coupons one by one.
    fn client(self, mode: Mode, number: u64, start: &Barrier) -> RedisResult<u64> {
        let connected = self.connect();
        start.wait();
        let mut connection = connected?;
        let mut taken = 0;
        loop {
            // A name for this one turn: an owner names a unit of work.
            let owner = format!("client-{number}-turn-{taken}");
            if mode == Mode::WithLock {
                acquire(&mut connection, &owner)?;
            }
            let left: u64 = connection.get(PILE)?;
            if left > 0 {
                let _: () = connection.set(PILE, left - 1)?;
            }
            if mode == Mode::WithLock {
                release(&mut connection, &owner)?;
            }
            if left == 0 {
                return Ok(taken);
            }
            taken += 1;
        }
    }
}

/// Tries until the lock is ours.
fn acquire(connection: &mut Connection, owner: &str) -> RedisResult<u64> {
    let mut tries = 0;
    loop {
        let token: Option<u64> = redis::cmd("LOCK.ACQUIRE")
            .arg(LOCK)
            .arg(owner)
            .arg(LEASE_MS)
            .query(connection)?;
        if let Some(token) = token {
            return Ok(token);
        }
        tries += 1;
        std::thread::sleep(Duration::from_micros(200 * u64::from(tries.min(10_u32))));
    }
}

fn release(connection: &mut Connection, owner: &str) -> RedisResult<()> {
    let released: i64 = redis::cmd("LOCK.RELEASE")
        .arg(LOCK)
        .arg(owner)
        .query(connection)?;
    if released == 1 {
        return Ok(());
    }
    let text = "the lease ran out in the middle of a turn";
    Err((redis::ErrorKind::Client, text).into())
}
