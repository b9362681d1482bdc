//! The name under which one unit of work holds a lock.

use redis::{RedisWrite, ToRedisArgs, ToSingleRedisArg};
use std::fmt;

/// 128 random bits, in hexadecimal. An owner is used for one unit of work and never again:
/// to the server the same owner is the same holder.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner(String);

impl Owner {
    /// A fresh one, from the random numbers of the operating system.
    ///
    /// # Panics
    ///
    /// If the operating system has none to give.
    pub fn fresh() -> Self {
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).expect("the operating system gives random numbers");
        Self(format!("{:032x}", u128::from_be_bytes(bits)))
    }

    /// As the server shows it in LOCK.INFO.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(to)
    }
}

impl ToRedisArgs for Owner {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        self.0.write_redis_args(out);
    }
}

impl ToSingleRedisArg for Owner {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_owner_comes_twice() {
        let owners: HashSet<Owner> = (0..1_000).map(|_| Owner::fresh()).collect();
        assert_eq!(owners.len(), 1_000);
        assert!(owners.iter().all(|owner| owner.as_str().len() == 32));
    }
}
