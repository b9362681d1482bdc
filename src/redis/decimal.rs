//! Numbers as the words of a command.
//!
//! The server can be given numbers as numbers, but then makes a string object of
//! each and, for its log, another one: words that are text already cost it half.

use std::ffi::c_char;

/// Digits of the largest number.
const DIGITS_MOST: usize = 20;

/// A number in decimal digits.
pub(super) struct Decimal {
    digits: [u8; DIGITS_MOST],
    from: usize,
}

impl Decimal {
    /// The digits of `number`.
    pub(super) fn new(mut number: u64) -> Self {
        let mut digits = [0; DIGITS_MOST];
        for (from, digit) in digits.iter_mut().enumerate().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return Self { digits, from };
            }
        }
        unreachable!("no number has more digits")
    }

    /// Where they begin.
    pub(super) fn as_ptr(&self) -> *const c_char {
        self.digits[self.from..].as_ptr().cast::<c_char>()
    }

    /// How many they are.
    pub(super) fn len(&self) -> usize {
        DIGITS_MOST - self.from
    }
}

#[cfg(test)]
mod tests {
    use super::Decimal;

    #[test]
    fn digits_are_those_that_everybody_writes() {
        let tens = (0..20).map(|power| 10_u64.pow(power));
        let numbers = tens.flat_map(|ten| [ten - 1, ten, ten + 1]);
        for number in numbers.chain([u64::MAX]) {
            let decimal = Decimal::new(number);
            assert_eq!(
                &decimal.digits[decimal.from..],
                number.to_string().as_bytes()
            );
            assert_eq!(decimal.len(), number.to_string().len());
        }
    }
}
