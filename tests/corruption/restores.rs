//! The campaign: a payload, RESTORE, commands on what loaded, DEL; and again.

use crate::dice::Dice;
use crate::mutation::{change, mutated};
use crate::shown::{shown, Hold};
use crate::sources::Sources;
use crate::support::payload::sealed;
use crate::support::{cluster, eventually, Client, Server};
use redis::Value;

const KEY: &str = "forged";
/// A lock that is held from the beginning to the end.
const WITNESS: &str = "witness";
const TOKEN_MOST: i64 = (1 << 53) - 1;
/// As many as take some ten to twenty seconds.
const PAYLOADS: u64 = 50_000;
/// What shows a hold that is not over before the next command is sent.
const SAFE_MS: i64 = 2_000;

/// A number that `make test-corruption` was told.
fn told(name: &str, unless: u64) -> u64 {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty());
    text.map_or(unless, |text| text.parse().expect("a number"))
}

/// How locks get to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deployment {
    /// RESTORE brings back no hold.
    Alone,
    /// RESTORE is how holds move.
    Cluster,
}

/// Whether the server looks at checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Checksums {
    Checked,
    Skipped,
}

#[derive(Debug, Default)]
struct Tally {
    loaded: u64,
    holding: u64,
    refused: u64,
    onto_live: u64,
}

struct Campaign {
    deployment: Deployment,
    checksums: Checksums,
    server: Server,
    client: Client,
    dice: Dice,
    sources: Sources,
    tally: Tally,
    /// The largest token that anybody was ever seen with.
    token_most: i64,
    witness: i64,
    /// The payload at hand, for whom it may concern.
    payload: Vec<u8>,
}

impl Drop for Campaign {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (deployment, checksums) = (self.deployment, self.checksums);
            eprintln!(
                "{deployment:?}, {checksums:?}: {}",
                self.payload.escape_ascii()
            );
            eprintln!("{:?}", self.tally);
        }
    }
}

impl Campaign {
    fn begun(deployment: Deployment, seed: u64) -> Self {
        let (server, mut client) = match deployment {
            Deployment::Alone => {
                let server = Server::start();
                let client = server.client();
                (server, client)
            }
            Deployment::Cluster => cluster::alone(),
        };
        client.say("CONFIG SET loglevel warning");
        // As it is unless said; Valkey 9.1 checks always and knows no such setting.
        let lenient = ["CONFIG", "SET", "sanitize-dump-payload", "no"];
        client.try_call(&lenient).ok();
        let witness = client.acquired(WITNESS, "witness", 3_600_000);
        Self {
            deployment,
            checksums: Checksums::Checked,
            server,
            client,
            dice: Dice::from_seed(seed),
            sources: Sources::made(),
            tally: Tally::default(),
            token_most: witness,
            witness,
            payload: Vec::new(),
        }
    }

    /// A value whose first byte says that a module wrote it: what the server makes of
    /// other types is its own affair.
    fn forge(&mut self) {
        let (values, dice) = (&self.sources.values, &mut self.dice);
        let mut value = match dice.roll(2) {
            0 => mutated(values, dice),
            _ => {
                let record = mutated(&self.sources.records, dice);
                self.sources.wrapped(&record)
            }
        };
        match value.first_mut() {
            Some(first) => *first = values[0][0],
            None => value.push(values[0][0]),
        }
        self.payload = sealed(&value, &self.sources.version);
        if self.checksums == Checksums::Skipped && dice.roll(4) == 0 {
            let own = [self.payload.clone()];
            change(&mut self.payload, &own, dice);
            match self.payload.first_mut() {
                Some(first) => *first = values[0][0],
                None => self.payload.push(values[0][0]),
            }
        }
    }

    fn go(&mut self, payloads: u64) {
        let skips = match self.checksums {
            Checksums::Checked => 0,
            Checksums::Skipped => 1,
        };
        self.client
            .say(&format!("DEBUG SET-SKIP-CHECKSUM-VALIDATION {skips}"));
        for number in 0..payloads {
            self.forge();
            self.round();
            if number % 100 == 0 {
                assert_eq!(self.client.text("PING"), "PONG");
                assert!(self.client.is_live(WITNESS, self.witness));
            }
        }
    }

    /// Whether a hold is in the way, which RESTORE may replace or not.
    fn round(&mut self) {
        let in_the_way = (self.dice.roll(4) == 0).then(|| self.acquired("keeper"));
        let replaces = self.dice.roll(2) == 0;
        self.tally.onto_live += u64::from(in_the_way.is_some());
        let mut words = vec![&b"RESTORE"[..], KEY.as_bytes(), b"0", &self.payload];
        if self.dice.roll(16) == 0 {
            words[2] = b"600000";
        }
        if replaces {
            words.push(b"REPLACE");
        }
        let is_taken = match self.client.try_call(&words) {
            Ok(Value::Okay) => true,
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                let code = error.code().unwrap_or("ERR").to_owned();
                assert!(["ERR", "BUSYKEY"].contains(&code.as_str()), "{error}");
                assert_eq!(code == "BUSYKEY", in_the_way.is_some() && !replaces);
                false
            }
        };
        if let Some(token) = in_the_way {
            let is_live = self.client.is_live(KEY, token);
            assert_eq!(is_live, !is_taken, "the hold that was in the way");
        }
        if is_taken {
            self.tally.loaded += 1;
            self.is_sound();
        } else {
            self.tally.refused += 1;
        }
        self.client.say("DEL forged");
        // What was granted next is above all that there ever was.
        self.acquired("next");
        assert_eq!(self.client.release(KEY, "next"), 1);
    }

    /// A grant that must succeed, with a token that rises.
    fn acquired(&mut self, owner: &str) -> i64 {
        let token = self.client.acquired(KEY, owner, 600_000);
        self.rises(token);
        token
    }

    fn rises(&mut self, token: i64) {
        assert!(token > self.token_most, "{token}, {}", self.token_most);
        if self.deployment == Deployment::Alone {
            assert_eq!(token, self.token_most + 1, "a payload moved the counter");
        }
        assert!(token <= TOKEN_MOST);
        self.token_most = token;
    }

    fn is_sound(&mut self) {
        let seen = shown(&mut self.client, KEY);
        assert!(seen.held_by.len() as i64 <= seen.holders);
        if self.deployment == Deployment::Alone {
            assert_eq!((seen.holders, seen.lowest_token), (0, None), "{seen:?}");
        }
        for hold in &seen.held_by {
            assert!((1..=TOKEN_MOST).contains(&hold.token), "{hold:?}");
            assert!((1..=512).contains(&hold.owner.len()), "{hold:?}");
            assert!((hold.ttl_ms == 0) != (hold.cooling_ms == 0), "{hold:?}");
            let most = match hold.tolerates {
                0 => i64::MAX,
                most => most,
            };
            assert!(seen.holders <= most, "{seen:?}");
            self.token_most = self.token_most.max(hold.token);
        }
        let stays = |hold: &&Hold| hold.ttl_ms > SAFE_MS;
        let live: Vec<Hold> = seen.held_by.iter().filter(stays).cloned().collect();
        self.tally.holding += u64::from(!live.is_empty());
        for hold in live.iter().take(3) {
            assert!(self.client.is_live(KEY, hold.token), "{hold:?}");
        }
        let is_exclusive = live.iter().any(|hold| hold.tolerates == 1);
        match self.client.acquire(KEY, "newcomer", 600_000) {
            Some(token) => {
                assert!(live.is_empty(), "{live:?} and a newcomer");
                self.rises(token);
            }
            None => assert!(seen.holders > 0 && self.deployment == Deployment::Cluster),
        }
        for hold in live.iter().take(2) {
            let words = [&b"LOCK.EXTEND"[..], KEY.as_bytes(), &hold.owner, b"60000"];
            assert_eq!(self.client.call(&words), Value::Int(1), "{hold:?}");
            let words = [&b"LOCK.RELEASE"[..], KEY.as_bytes(), &hold.owner];
            assert_eq!(self.client.call(&words), Value::Int(1), "{hold:?}");
            assert!(!self.client.is_live(KEY, hold.token), "{hold:?}");
        }
        if is_exclusive {
            assert_eq!(self.client.fence(KEY), None);
        }
    }

    /// After all of it the witness is held, nothing else is there, and the log says
    /// nothing of a bug.
    fn ended(mut self) -> Tally {
        assert!(self.client.is_live(WITNESS, self.witness));
        eventually("no dead key is left", || {
            (self.client.say("DBSIZE") == Value::Int(1)).then_some(())
        });
        self.server.assert_healthy();
        let log = self.server.log();
        for sign in ["ASSERTION", "crashed", "Out Of Memory", "internal error"] {
            assert!(!log.contains(sign), "{sign} in the log");
        }
        std::mem::take(&mut self.tally)
    }
}

fn campaign(deployment: Deployment) {
    let seed = told("SEED", 20_240_101);
    let payloads = told("PAYLOADS", PAYLOADS);
    println!("REPLAY WITH: make test-corruption SEED={seed} PAYLOADS={payloads}");
    let mut campaign = Campaign::begun(deployment, seed);
    let of_each = payloads / 4;
    campaign.go(of_each);
    campaign.checksums = Checksums::Skipped;
    campaign.go(of_each);
    let tally = campaign.ended();
    println!(
        "{deployment:?}, SEED={seed}, {} payloads: {tally:?}",
        of_each * 2
    );
    assert!(tally.loaded > 0 && tally.refused > 0 && tally.onto_live > 0);
    assert_eq!(tally.holding > 0, deployment == Deployment::Cluster);
}

#[test]
fn no_corrupt_payload_harms_a_server_of_its_own() {
    campaign(Deployment::Alone);
}

#[test]
fn no_corrupt_payload_harms_a_server_of_a_cluster() {
    campaign(Deployment::Cluster);
}
