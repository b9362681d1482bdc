//! The fencing token: a number that only rises from one holder of a lock to the next.

use redis::{FromRedisValue, ParsingError, RedisWrite, ToRedisArgs, ToSingleRedisArg, Value};
use std::fmt;

/// What a holder shows to the resource that the lock protects. The resource keeps the
/// largest one it has seen and refuses smaller ones; or the server checks it, with
/// `LOCK.GUARD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(u64);

impl Token {
    /// The largest: 2^53 - 1, which JavaScript and Lua still count exactly.
    pub const LARGEST: Self = Self((1 << 53) - 1);

    /// A token that came from elsewhere, if it is one.
    pub const fn new(number: u64) -> Option<Self> {
        match number {
            0 => None,
            _ if number > Self::LARGEST.0 => None,
            _ => Some(Self(number)),
        }
    }

    /// As a number, for a resource of another kind.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// As a number with a sign, which is what most databases have. It always fits.
    pub const fn get_signed(self) -> i64 {
        self.0 as i64
    }
}

impl fmt::Display for Token {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(to)
    }
}

impl From<Token> for u64 {
    fn from(token: Token) -> Self {
        token.0
    }
}

impl From<Token> for i64 {
    fn from(token: Token) -> Self {
        token.get_signed()
    }
}

impl ToRedisArgs for Token {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        self.0.write_redis_args(out);
    }
}

impl ToSingleRedisArg for Token {}

impl FromRedisValue for Token {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let number = u64::from_redis_value(value)?;
        Self::new(number).ok_or_else(|| format!("{number} is no token").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_number_from_one_to_two_to_the_53() {
        assert_eq!(Token::new(0), None);
        assert_eq!(Token::new(1).map(Token::get), Some(1));
        assert_eq!(Token::new((1 << 53) - 1), Some(Token::LARGEST));
        assert_eq!(Token::new(1 << 53), None);
        assert_eq!(Token::LARGEST.get_signed(), 9_007_199_254_740_991);
    }

    #[test]
    fn a_reply_that_is_no_token_is_not_taken_for_one() {
        for number in [-1, 0, 1 << 53] {
            assert!(Token::from_redis_value(Value::Int(number)).is_err());
        }
        let token = Token::from_redis_value(Value::Int(7)).expect("a token");
        assert_eq!(token.to_redis_args(), [b"7".to_vec()]);
        assert_eq!(token.to_string(), "7");
    }
}
