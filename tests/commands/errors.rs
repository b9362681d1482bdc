//! What is refused, with which line, and that a refused call changes nothing.
//!
//! A call is written as its words with `|` between them, so that a word may be
//! empty or hold a space.

use crate::refusals::Refusals;

const TTL: &str = "-ERR ttl-ms must be from 1 to 86400000 (redislock.max-ttl-ms)";
const TOKEN: &str = "-ERR token must be from 1 to 9007199254740991";
const OWNER: &str = "-ERR owner must be from 1 to 512 bytes";
const WRONGTYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

const ACQUIRE: &str = "LOCK.ACQUIRE key owner ttl-ms [BLOCK timeout-ms] [SESSION] \
                       [SHARED | LIMIT n] [DELAY ms]";
const RELEASE: &str = "LOCK.RELEASE key owner [TOKEN token]";
const EXTEND: &str = "LOCK.EXTEND key owner ttl-ms [TOKEN token | RAISE token]";
const FENCE: &str = "LOCK.FENCE key [token]";

/// What is a number where a client said something else.
const TTL_MS: &str =
    "ttl-ms, the argument behind the owner, is a number of milliseconds, such as 30000";
const BLOCK: &str = "BLOCK needs a number of milliseconds behind it, 0 to wait without limit";
const LIMIT: &str = "LIMIT needs a number of holders behind it";
const DELAY: &str = "DELAY needs a number of milliseconds behind it";
const A_TOKEN: &str =
    "token, the argument behind the key, is the number that LOCK.ACQUIRE returned";
const TOKEN_OPTION: &str = "TOKEN needs the number behind it that LOCK.ACQUIRE returned";
const RAISE: &str = "RAISE needs a token behind it";

/// Redis's own words, and what they do not say.
fn syntax(what: &str) -> String {
    format!("-ERR syntax error: {what}")
}

fn integer(what: &str) -> String {
    format!("-ERR value is not an integer or out of range: {what}")
}

/// Calls with an argument that is not part of the command: the key is the first.
fn assert_not_part(usage: &str, rows: &[(&str, usize)]) {
    let mut refusals = Refusals::new();
    for (call, argument) in rows {
        let error = syntax(&format!("argument {argument} is not part of {usage}"));
        refusals.assert_refused(call, &error);
    }
    refusals.server.assert_healthy();
}

fn assert_syntax(rows: &[(&str, &str)]) {
    let mut refusals = Refusals::new();
    for (call, what) in rows {
        refusals.assert_refused(call, &syntax(what));
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
fn words_that_are_no_option_here_are_syntax_errors_that_say_which_and_what_is_right() {
    assert_not_part(
        ACQUIRE,
        &[
            ("LOCK.ACQUIRE|held|me|1000|", 4),
            ("LOCK.ACQUIRE|free|me|1000|NX", 4),
            ("LOCK.ACQUIRE|free|me|1000|TOKEN|5", 4),
            ("LOCK.ACQUIRE|free|me|1000|RAISE|5", 4),
            ("LOCK.ACQUIRE|free|me|1000|BLOCK|5|NX", 6),
            ("LOCK.ACQUIRE|free|me|1000|SHARED|3", 5),
            ("LOCK.ACQUIRE|free|me|1000|a\r\n-b", 4),
        ],
    );
    assert_not_part(
        RELEASE,
        &[
            ("LOCK.RELEASE|held|me|FORCE", 3),
            ("LOCK.RELEASE|held|me|", 3),
            ("LOCK.RELEASE|held|me|RAISE|5", 3),
            ("LOCK.RELEASE|held|me|1000", 3),
            ("LOCK.RELEASE|held|me|TOKEN|5|TOKEN|5", 5),
            ("LOCK.RELEASE|held|me|TOKEN|5|6", 5),
        ],
    );
    assert_not_part(
        EXTEND,
        &[
            ("LOCK.EXTEND|held|me|1000|", 4),
            ("LOCK.EXTEND|held|me|1000|TOKENS|5", 4),
            ("LOCK.EXTEND|held|me|1000|TOKE|5", 4),
            ("LOCK.EXTEND|held|me|1000|5", 4),
            ("LOCK.EXTEND|held|me|1000|SHARED", 4),
            ("LOCK.EXTEND|held|me|1000|DELAY|5", 4),
            ("LOCK.EXTEND|held|me|1000|TOKEN|5|TOKEN|5", 6),
            ("LOCK.EXTEND|held|me|1000|RAISE|5|RAISE|5", 6),
        ],
    );
    assert_not_part(
        FENCE,
        &[("LOCK.FENCE|held|5|5", 3), ("LOCK.FENCE|held|5|", 3)],
    );
}

#[test]
fn an_option_twice_or_beside_one_that_excludes_it_is_a_syntax_error() {
    let together = "do not go together";
    assert_syntax(&[
        ("LOCK.ACQUIRE|free|me|1000|SHARED|SHARED", "SHARED twice"),
        ("LOCK.ACQUIRE|free|me|1000|shared|SHARED", "SHARED twice"),
        ("LOCK.ACQUIRE|free|me|1000|SESSION|SESSION", "SESSION twice"),
        ("LOCK.ACQUIRE|free|me|1000|LIMIT|3|LIMIT|3", "LIMIT twice"),
        ("LOCK.ACQUIRE|free|me|1000|DELAY|5|DELAY|5", "DELAY twice"),
        (
            "LOCK.ACQUIRE|free|me|1000|BLOCK|5|SHARED|BLOCK|5",
            "BLOCK twice",
        ),
        (
            "LOCK.ACQUIRE|free|me|1000|SHARED|LIMIT|3",
            &format!("SHARED and LIMIT {together}"),
        ),
        (
            "LOCK.ACQUIRE|free|me|1000|LIMIT|3|SHARED",
            &format!("LIMIT and SHARED {together}"),
        ),
        (
            "LOCK.EXTEND|held|me|1000|TOKEN|5|RAISE|5",
            &format!("TOKEN and RAISE {together}"),
        ),
        (
            "LOCK.EXTEND|held|me|1000|TOKEN|5|RAISE",
            &format!("TOKEN and RAISE {together}"),
        ),
        (
            "LOCK.EXTEND|held|me|1000|RAISE|5|TOKEN|5",
            &format!("RAISE and TOKEN {together}"),
        ),
    ]);
}

#[test]
fn an_option_without_its_value_is_a_syntax_error_that_says_what_value() {
    assert_syntax(&[
        ("LOCK.ACQUIRE|free|me|1000|BLOCK", BLOCK),
        ("LOCK.ACQUIRE|free|me|1000|LIMIT", LIMIT),
        ("LOCK.ACQUIRE|free|me|1000|SHARED|DELAY", DELAY),
        ("LOCK.RELEASE|held|me|TOKEN", TOKEN_OPTION),
        ("LOCK.EXTEND|held|me|1000|TOKEN", TOKEN_OPTION),
        ("LOCK.EXTEND|held|me|1000|RAISE", RAISE),
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
        for (option, what) in [("LIMIT", LIMIT), ("DELAY", DELAY), ("BLOCK", BLOCK)] {
            let call = format!("LOCK.ACQUIRE|free|me|1000|{option}|{number}");
            refusals.assert_refused(&call, &integer(what));
        }
    }
}

#[test]
fn calls_longer_than_any_syntax_are_syntax_errors() {
    let mut refusals = Refusals::new();
    let too_many = "more arguments than the command takes, see LOCK.HELP";
    for words in [12, 13, 14, 20, 1_000] {
        let tail = "|5".repeat(words);
        for start in [
            "LOCK.ACQUIRE|held|me|1000",
            "LOCK.RELEASE|held|me",
            "LOCK.EXTEND|held|me|1000",
            "LOCK.FENCE|held|5",
        ] {
            refusals.assert_refused(&format!("{start}{tail}"), &syntax(too_many));
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
        for (call, what) in [
            ("LOCK.ACQUIRE|free|me", TTL_MS),
            ("LOCK.ACQUIRE|held|me", TTL_MS),
            ("LOCK.EXTEND|held|me", TTL_MS),
            ("LOCK.EXTEND|held|me|1000|TOKEN", TOKEN_OPTION),
            ("LOCK.EXTEND|held|me|1000|RAISE", RAISE),
            ("LOCK.RELEASE|held|me|TOKEN", TOKEN_OPTION),
            ("LOCK.FENCE|held", A_TOKEN),
        ] {
            refusals.assert_refused(&format!("{call}|{number}"), &integer(what));
        }
    }
}

#[test]
fn an_integer_ends_with_its_last_byte() {
    let mut refusals = Refusals::new();
    for number in ["1000\0", "1000\n", "1000\r\n", "1000\t", "\u{661}\u{660}"] {
        refusals.assert_refused(&format!("LOCK.ACQUIRE|free|me|{number}"), &integer(TTL_MS));
        refusals.assert_refused(&format!("LOCK.FENCE|held|{number}"), &integer(A_TOKEN));
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
