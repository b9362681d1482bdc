//! What is refused, with which line, and that a refused call changes nothing.
//!
//! A call is written as its words with `|` between them, so that a word may be
//! empty or hold a space.

use crate::refusals::Refusals;

const SYNTAX: &str = "-ERR syntax error";
const INTEGER: &str = "-ERR value is not an integer or out of range";
const TTL: &str = "-ERR ttl-ms must be from 1 to 86400000";
const TOKEN: &str = "-ERR token must be from 1 to 9007199254740991";
const OWNER: &str = "-ERR owner must be from 1 to 512 bytes";
const WRONGTYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

fn assert_all_refused(rows: &[(&str, &str)]) {
    let mut refusals = Refusals::new();
    for (call, error) in rows {
        refusals.assert_refused(call, error);
    }
    refusals.server.assert_healthy();
}

#[test]
fn too_few_words_get_redis_own_error() {
    let arity = |name: &str| format!("-ERR wrong number of arguments for '{name}' command");
    let mut refusals = Refusals::new();
    for (call, name) in [
        ("LOCK.ACQUIRE", "lock.acquire"),
        ("LOCK.ACQUIRE|held", "lock.acquire"),
        ("LOCK.ACQUIRE|held|me", "lock.acquire"),
        ("LOCK.RELEASE", "lock.release"),
        ("LOCK.RELEASE|held", "lock.release"),
        ("LOCK.EXTEND", "lock.extend"),
        ("LOCK.EXTEND|held", "lock.extend"),
        ("LOCK.EXTEND|held|me", "lock.extend"),
        ("LOCK.FENCE", "lock.fence"),
    ] {
        refusals.assert_refused(call, &arity(name));
    }
}

#[test]
fn words_that_are_no_option_here_are_syntax_errors() {
    assert_all_refused(&[
        ("LOCK.ACQUIRE|held|me|1000|", SYNTAX),
        ("LOCK.ACQUIRE|free|me|1000|NX", SYNTAX),
        ("LOCK.ACQUIRE|free|me|1000|TOKEN|5", SYNTAX),
        ("LOCK.ACQUIRE|free|me|1000|RAISE|5", SYNTAX),
        ("LOCK.RELEASE|held|me|FORCE", SYNTAX),
        ("LOCK.RELEASE|held|me|", SYNTAX),
        ("LOCK.RELEASE|held|me|RAISE|5", SYNTAX),
        ("LOCK.RELEASE|held|me|1000", SYNTAX),
        ("LOCK.EXTEND|held|me|1000|", SYNTAX),
        ("LOCK.EXTEND|held|me|1000|TOKENS|5", SYNTAX),
        ("LOCK.EXTEND|held|me|1000|TOKE|5", SYNTAX),
        ("LOCK.EXTEND|held|me|1000|5", SYNTAX),
        ("LOCK.FENCE|held|5|5", SYNTAX),
        ("LOCK.FENCE|held|5|", SYNTAX),
    ]);
}

#[test]
fn shared_and_limit_go_together_with_nothing_else_of_their_kind() {
    assert_all_refused(&[
        ("LOCK.ACQUIRE|free|me|1000|SHARED|SHARED", SYNTAX),
        ("LOCK.ACQUIRE|free|me|1000|SHARED|LIMIT|3", SYNTAX),
        ("LOCK.ACQUIRE|free|me|1000|LIMIT|3|SHARED", SYNTAX),
        ("LOCK.ACQUIRE|free|me|1000|LIMIT|3|LIMIT|3", SYNTAX),
        ("LOCK.ACQUIRE|free|me|1000|LIMIT", SYNTAX),
        ("LOCK.ACQUIRE|free|me|1000|SHARED|3", SYNTAX),
        ("LOCK.ACQUIRE|free|me|1000|DELAY", SYNTAX),
        ("LOCK.ACQUIRE|free|me|1000|DELAY|5|DELAY|5", SYNTAX),
        ("LOCK.ACQUIRE|free|me|1000|BLOCK|5|SHARED|BLOCK|5", SYNTAX),
        ("LOCK.EXTEND|held|me|1000|SHARED", SYNTAX),
        ("LOCK.EXTEND|held|me|1000|DELAY|5", SYNTAX),
    ]);
}

#[test]
fn limits_are_from_1_to_1024_and_delays_to_ten_years() {
    let mut refusals = Refusals::new();
    for number in ["0", "-1", "1025", "4294967295", "4294967297"] {
        let call = format!("LOCK.ACQUIRE|free|me|1000|LIMIT|{number}");
        refusals.assert_refused(&call, "-ERR LIMIT must be from 1 to 1024");
    }
    for number in ["-1", "315360000001", "9223372036854775807"] {
        let call = format!("LOCK.ACQUIRE|free|me|1000|DELAY|{number}");
        let error = "-ERR DELAY must be from 0 to 315360000000 milliseconds";
        refusals.assert_refused(&call, error);
    }
    for number in NOT_INTEGERS {
        for option in ["LIMIT", "DELAY"] {
            let call = format!("LOCK.ACQUIRE|free|me|1000|{option}|{number}");
            refusals.assert_refused(&call, INTEGER);
        }
    }
}

#[test]
fn an_option_twice_without_its_value_or_beside_another_is_a_syntax_error() {
    assert_all_refused(&[
        ("LOCK.RELEASE|held|me|TOKEN", SYNTAX),
        ("LOCK.RELEASE|held|me|TOKEN|5|TOKEN|5", SYNTAX),
        ("LOCK.RELEASE|held|me|TOKEN|5|6", SYNTAX),
        ("LOCK.EXTEND|held|me|1000|TOKEN", SYNTAX),
        ("LOCK.EXTEND|held|me|1000|RAISE", SYNTAX),
        ("LOCK.EXTEND|held|me|1000|TOKEN|5|TOKEN|5", SYNTAX),
        ("LOCK.EXTEND|held|me|1000|RAISE|5|RAISE|5", SYNTAX),
        ("LOCK.EXTEND|held|me|1000|TOKEN|5|RAISE|5", SYNTAX),
        ("LOCK.EXTEND|held|me|1000|RAISE|5|TOKEN|5", SYNTAX),
        ("LOCK.EXTEND|held|me|1000|TOKEN|5|RAISE", SYNTAX),
    ]);
}

#[test]
fn calls_longer_than_any_syntax_are_syntax_errors() {
    let mut refusals = Refusals::new();
    for words in [5, 12, 13, 14, 20, 1_000] {
        let tail = "|5".repeat(words);
        for start in [
            "LOCK.ACQUIRE|held|me|1000",
            "LOCK.RELEASE|held|me",
            "LOCK.EXTEND|held|me|1000",
            "LOCK.FENCE|held|5",
        ] {
            refusals.assert_refused(&format!("{start}{tail}"), SYNTAX);
        }
    }
}

/// Not an integer as Redis writes them, or one that does not fit into 64 bits.
const NOT_INTEGERS: [&str; 22] = [
    "",
    " ",
    "-",
    "+1000",
    " 1000",
    "1000 ",
    "01000",
    "-0",
    "00",
    "--1",
    "1e3",
    "1E3",
    "1000.0",
    "1,000",
    "1_000",
    "0x3e8",
    "ten",
    "inf",
    "nan",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551617",
];

#[test]
fn what_redis_does_not_read_as_an_integer_is_none() {
    let mut refusals = Refusals::new();
    for number in NOT_INTEGERS {
        for call in [
            format!("LOCK.ACQUIRE|free|me|{number}"),
            format!("LOCK.ACQUIRE|held|me|{number}"),
            format!("LOCK.EXTEND|held|me|{number}"),
            format!("LOCK.EXTEND|held|me|1000|TOKEN|{number}"),
            format!("LOCK.EXTEND|held|me|1000|RAISE|{number}"),
            format!("LOCK.RELEASE|held|me|TOKEN|{number}"),
            format!("LOCK.FENCE|held|{number}"),
        ] {
            refusals.assert_refused(&call, INTEGER);
        }
    }
}

#[test]
fn an_integer_ends_with_its_last_byte() {
    let mut refusals = Refusals::new();
    for number in ["1000\0", "1000\n", "1000\r\n", "1000\t", "\u{661}\u{660}"] {
        refusals.assert_refused(&format!("LOCK.ACQUIRE|free|me|{number}"), INTEGER);
        refusals.assert_refused(&format!("LOCK.FENCE|held|{number}"), INTEGER);
    }
}

#[test]
fn leases_are_from_1_ms_to_the_longest_allowed() {
    let mut refusals = Refusals::new();
    for ttl in [
        "0",
        "-1",
        "86400001",
        "315360000000",
        "315360000001",
        "9007199254740992",
        "9223372036854775807",
        "-9223372036854775808",
    ] {
        refusals.assert_refused(&format!("LOCK.ACQUIRE|free|me|{ttl}"), TTL);
        refusals.assert_refused(&format!("LOCK.ACQUIRE|held|me|{ttl}"), TTL);
        refusals.assert_refused(&format!("LOCK.EXTEND|held|me|{ttl}"), TTL);
        refusals.assert_refused(&format!("LOCK.EXTEND|held|me|{ttl}|TOKEN|5"), TTL);
    }
}

#[test]
fn tokens_are_from_1_to_the_largest_that_a_double_holds() {
    let mut refusals = Refusals::new();
    for token in ["0", "-1", "9007199254740992", "9223372036854775807"] {
        for call in [
            "LOCK.EXTEND|held|me|1000|TOKEN",
            "LOCK.RELEASE|held|me|TOKEN",
        ] {
            refusals.assert_refused(&format!("{call}|{token}"), TOKEN);
        }
        refusals.assert_refused(&format!("LOCK.EXTEND|held|me|1000|RAISE|{token}"), TOKEN);
        refusals.assert_refused(&format!("LOCK.FENCE|held|{token}"), TOKEN);
    }
}

#[test]
fn owners_are_from_1_to_512_bytes() {
    let mut refusals = Refusals::new();
    for owner in [String::new(), "o".repeat(513), "o".repeat(100_000)] {
        refusals.assert_refused(&format!("LOCK.ACQUIRE|free|{owner}|1000"), OWNER);
        refusals.assert_refused(&format!("LOCK.ACQUIRE|held|{owner}|1000"), OWNER);
        refusals.assert_refused(&format!("LOCK.RELEASE|held|{owner}"), OWNER);
        refusals.assert_refused(&format!("LOCK.EXTEND|held|{owner}|1000"), OWNER);
    }
}

#[test]
fn a_key_of_another_kind_is_no_lock_and_stays_what_it_is() {
    let mut refusals = Refusals::new();
    for key in ["string", "list", "hash", "set", "sorted", "stream"] {
        for call in [
            format!("LOCK.ACQUIRE|{key}|me|1000"),
            format!("LOCK.RELEASE|{key}|me"),
            format!("LOCK.RELEASE|{key}|me|TOKEN|5"),
            format!("LOCK.EXTEND|{key}|me|1000"),
            format!("LOCK.EXTEND|{key}|me|1000|TOKEN|5"),
            format!("LOCK.EXTEND|{key}|me|1000|RAISE|5"),
            format!("LOCK.FENCE|{key}"),
            format!("LOCK.FENCE|{key}|5"),
        ] {
            refusals.assert_refused(&call, WRONGTYPE);
        }
    }
}

#[test]
fn what_changes_nothing_is_told_to_nobody() {
    let mut refusals = Refusals::new();
    for (call, answer) in [
        ("LOCK.ACQUIRE|held|you|1000", "$-1"),
        ("LOCK.ACQUIRE|held|you|86400000", "$-1"),
        ("LOCK.RELEASE|held|you", ":0"),
        ("LOCK.RELEASE|held|me|TOKEN|5", ":0"),
        ("LOCK.RELEASE|free|me", ":0"),
        ("LOCK.EXTEND|held|you|86400000", ":0"),
        ("LOCK.EXTEND|held|me|86400000|TOKEN|5", ":0"),
        ("LOCK.EXTEND|free|me|1000", ":0"),
        ("LOCK.EXTEND|held|me|1", ":1"),
        ("LOCK.FENCE|free", "$-1"),
        ("LOCK.FENCE|held|5", ":0"),
    ] {
        refusals.assert_only_answers(call, answer);
    }
}
