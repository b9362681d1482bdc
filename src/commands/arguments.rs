//! The one reader of arguments: bytes in, checked values out.
//!
//! All arguments are bytes and never assumed to be text. Integers follow
//! Redis's own rules.

use crate::error::{Error, Number};
use crate::lock::{Delay, Token, Tolerance, Ttl, WallTime, OWNER_BYTES_MOST};

/// The words of a call, read from the front.
#[derive(Debug)]
pub struct Arguments<'list, 'a> {
    words: &'list [&'a [u8]],
    /// How many of the call's words have been read, without its name.
    read: usize,
    ttl_most: Ttl,
}

impl<'list, 'a> Arguments<'list, 'a> {
    /// The words behind the command's name and key. `ttl_most` is the longest
    /// lease that a client may ask for.
    pub fn new(words: &'list [&'a [u8]], ttl_most: Ttl) -> Self {
        Self {
            words,
            read: 1,
            ttl_most,
        }
    }

    /// The next word, if there is one: the name of an option.
    pub fn option(&mut self) -> Option<&'a [u8]> {
        let (&first, rest) = self.words.split_first()?;
        self.words = rest;
        self.read += 1;
        Some(first)
    }

    fn word(&mut self) -> Result<&'a [u8], Error> {
        self.option().ok_or(Error::Syntax)
    }

    /// An owner: 1 to 512 bytes.
    pub fn owner(&mut self) -> Result<&'a [u8], Error> {
        let owner = self.word()?;
        if (1..=OWNER_BYTES_MOST).contains(&owner.len()) {
            Ok(owner)
        } else {
            Err(Error::OwnerLength)
        }
    }

    /// The length of a lease that a client asks for.
    pub fn ttl(&mut self) -> Result<Ttl, Error> {
        let out_of_range = Error::TtlOutOfRange(self.ttl_most);
        let ttl = self.ttl_of_effect()?.ok_or(out_of_range)?;
        if ttl <= self.ttl_most {
            Ok(ttl)
        } else {
            Err(out_of_range)
        }
    }

    /// The length of a lease, whatever this server allows its own clients.
    pub fn ttl_of_effect(&mut self) -> Result<Option<Ttl>, Error> {
        let ms = self.number(Number::Ttl)?;
        Ok(u64::try_from(ms).ok().and_then(Ttl::from_ms))
    }

    /// How long to wait, in milliseconds.
    pub fn timeout_ms(&mut self) -> Result<u64, Error> {
        u64::try_from(self.number(Number::Timeout)?).map_err(|_| Error::TimeoutOutOfRange)
    }

    /// How many may hold a lock together.
    pub fn limit(&mut self) -> Result<Tolerance, Error> {
        let count = u64::try_from(self.number(Number::Limit)?).ok();
        count
            .and_then(Tolerance::limit)
            .ok_or(Error::LimitOutOfRange)
    }

    /// How long a hold cools, in milliseconds.
    pub fn delay(&mut self) -> Result<Delay, Error> {
        let ms = u64::try_from(self.number(Number::Delay)?).ok();
        ms.and_then(Delay::from_ms).ok_or(Error::DelayOutOfRange)
    }

    /// A fencing token in a place of its own.
    pub fn token(&mut self) -> Result<Token, Error> {
        self.token_as(Number::Token)
    }

    /// A fencing token, of which the errors speak as this.
    pub fn token_as(&mut self, number: Number) -> Result<Token, Error> {
        let number = self.number(number)?;
        u64::try_from(number)
            .ok()
            .and_then(Token::new)
            .ok_or(Error::TokenOutOfRange)
    }

    /// A time of day, in milliseconds since the start of 2024.
    pub fn wall_time(&mut self) -> Result<WallTime, Error> {
        let ms = u64::try_from(self.integer()?).ok();
        ms.and_then(WallTime::from_ms_since_2024)
            .ok_or(Error::NotAnInteger(Number::OfEffect))
    }

    /// An integer of an effect.
    pub fn integer(&mut self) -> Result<i64, Error> {
        self.number(Number::OfEffect)
    }

    fn number(&mut self, number: Number) -> Result<i64, Error> {
        let word = self.option().ok_or(Error::NumberMissing(number))?;
        integer(word).ok_or(Error::NotAnInteger(number))
    }

    /// That the word that was read last is not part of the command.
    #[cold]
    pub fn not_an_option(&self, usage: &'static str) -> Error {
        let argument = self.read;
        Error::NotAnOption { argument, usage }
    }

    /// That there are no more words in a command that is called like this.
    pub fn end_of(&mut self, usage: &'static str) -> Result<(), Error> {
        match self.option() {
            None => Ok(()),
            Some(_) => Err(self.not_an_option(usage)),
        }
    }

    /// That there are no more words.
    pub fn end(&self) -> Result<(), Error> {
        if self.words.is_empty() {
            Ok(())
        } else {
            Err(Error::Syntax)
        }
    }
}

/// So many digits are never more than 64 bits hold.
const DIGITS_SAFE: usize = 18;

/// An integer as Redis reads them: decimal digits, with one `-` in front of a
/// number below zero; no spaces, no `+`, no leading zeros, no exponent; at most
/// 64 bits.
pub fn integer(word: &[u8]) -> Option<i64> {
    let (digits, is_negative) = match word.split_first()? {
        (b'-', rest) => (rest, true),
        _ => (word, false),
    };
    match digits {
        [b'0'] if !is_negative => return Some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    if digits.len() <= DIGITS_SAFE {
        let mut number = 0_i64;
        for digit in digits {
            let digit = digit.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            number = number.wrapping_mul(10).wrapping_add(i64::from(digit));
        }
        return Some(if is_negative { -number } else { number });
    }
    // Counted below zero, where i64 has one number more.
    let negated = digits.iter().try_fold(0_i64, |number, &digit| {
        if !digit.is_ascii_digit() {
            return None;
        }
        number.checked_mul(10)?.checked_sub(i64::from(digit - b'0'))
    })?;
    if is_negative {
        Some(negated)
    } else {
        negated.checked_neg()
    }
}

#[cfg(test)]
mod tests {
    use super::integer;

    #[test]
    fn integers_read_as_redis_reads_them() {
        let good: [(&[u8], i64); 8] = [
            (b"0", 0),
            (b"1", 1),
            (b"-1", -1),
            (b"30000", 30_000),
            (b"9007199254740991", (1 << 53) - 1),
            (b"9223372036854775807", i64::MAX),
            (b"-9223372036854775808", i64::MIN),
            (b"-10", -10),
        ];
        for (word, number) in good {
            assert_eq!(integer(word), Some(number), "{}", word.escape_ascii());
        }
        let bad: [&[u8]; 18] = [
            b"",
            b"-",
            b"+1",
            b" 1",
            b"1 ",
            b"01",
            b"-0",
            b"-01",
            b"00",
            b"1e3",
            b"0x10",
            b"1.0",
            b"1\0",
            b"\xff",
            b"9223372036854775808",
            b"-9223372036854775809",
            b"99999999999999999999999999",
            b"--1",
        ];
        for word in bad {
            assert_eq!(integer(word), None, "{}", word.escape_ascii());
        }
    }

    #[test]
    fn numbers_of_every_length_read_as_they_are_written() {
        for length in 1..=18 {
            for digit in b'1'..=b'9' {
                let word = vec![digit; length];
                let text = String::from_utf8_lossy(&word);
                assert_eq!(integer(&word), text.parse().ok(), "{text}");
            }
        }
    }

    #[test]
    fn one_byte_that_is_no_digit_is_found_wherever_it_stands() {
        for length in 1..=20 {
            for place in 0..length {
                for byte in (0..=u8::MAX).filter(|byte| !byte.is_ascii_digit()) {
                    let mut word = vec![b'1'; length];
                    word[place] = byte;
                    // Only a sign in front may stand there.
                    let is_number = byte == b'-' && place == 0 && length > 1;
                    assert_eq!(
                        integer(&word).is_some(),
                        is_number,
                        "{}",
                        word.escape_ascii()
                    );
                }
            }
        }
    }
}
