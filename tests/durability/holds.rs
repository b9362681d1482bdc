//! Holds as a client remembers them, and tokens as the clock gives them.

use super::support::{eventually, Client};
use redis::Value;

/// How far ahead of the last token a ceiling is written.
pub const RESERVE: i64 = 1 << 18;

/// The largest token there is.
pub const TOKEN_MOST: i64 = (1 << 53) - 1;

/// The start of 2024 in seconds of Unix time, from which tokens count.
const START_OF_2024_S: i64 = 1_704_067_200;

/// The milliseconds since 2024 on the clock of the server.
fn wall_ms(client: &mut Client) -> i64 {
    let Value::Array(parts) = client.say("TIME") else {
        panic!("TIME is an array");
    };
    let part =
        |index: usize| -> i64 { redis::from_redis_value_ref(&parts[index]).expect("a number") };
    (part(0) - START_OF_2024_S) * 1_000 + part(1) / 1_000
}

/// The first token of a term that opens now.
pub fn token_by_clock(client: &mut Client) -> i64 {
    wall_ms(client) << 12
}

/// Raises the token of a hold to what a term would give in 50 minutes, so that
/// the clock is no help for a while.
pub fn raise_far(client: &mut Client, key: &str, owner: &str) -> i64 {
    let far = (wall_ms(client) + 50 * 60 * 1_000) << 12;
    let raised = client.number(&format!("LOCK.EXTEND {key} {owner} 60000 RAISE {far}"));
    assert_eq!(raised, far);
    far
}

/// A hold as its owner remembers it.
#[derive(Clone, Debug)]
pub struct Hold {
    pub db: u32,
    pub key: &'static str,
    pub owner: &'static str,
    pub token: i64,
}

impl Hold {
    /// Asks for the lock, which must be free.
    pub fn take(client: &mut Client, db: u32, key: &'static str, owner: &'static str) -> Self {
        client.say(&format!("SELECT {db}"));
        let token = client.acquired(key, owner, 60_000);
        client.say("SELECT 0");
        Self {
            db,
            key,
            owner,
            token,
        }
    }

    /// Fails unless the owner holds the lock, with the token it had.
    pub fn assert_live(&self, client: &mut Client) {
        client.say(&format!("SELECT {}", self.db));
        assert_eq!(client.fence(self.key), Some(self.token), "{self:?}");
        assert!(client.is_live(self.key, self.token), "{self:?}");
        let line = format!("LOCK.EXTEND {} {} 60000", self.key, self.owner);
        assert_eq!(client.number(&line), 1, "{self:?}");
        client.say("SELECT 0");
    }

    /// Fails if the token is live or the owner still holds the lock. Where else
    /// the hold might have gone is to be asked with another `key` and `db`.
    pub fn assert_over(&self, client: &mut Client) {
        client.say(&format!("SELECT {}", self.db));
        assert!(!client.is_live(self.key, self.token), "{self:?}");
        let line = format!("LOCK.EXTEND {} {} 1000", self.key, self.owner);
        assert_eq!(client.number(&line), 0, "{self:?}");
        assert_eq!(client.release(self.key, self.owner), 0, "{self:?}");
        client.say("SELECT 0");
    }
}

/// The server's own sum over all keys, holders and tokens.
pub fn digest(client: &mut Client) -> String {
    client.text("DEBUG DIGEST")
}

/// Waits until no key is left in the database.
pub fn empties(client: &mut Client, db: u32) {
    client.say(&format!("SELECT {db}"));
    eventually("the database is empty", || {
        (client.number("DBSIZE") == 0).then_some(())
    });
    client.say("SELECT 0");
}
