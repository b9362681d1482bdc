//! Random words in every position of every command. Each call must get one
//! answer: an error if the syntax forbids it, else what the syntax promises.
//!
//! The words come from `dice`, which says how a run is replayed.

use crate::dice::Dice;
use crate::support::resp::{command, Wire};
use crate::support::Server;
use std::collections::HashSet;

/// Calls in one run, and how many are on their way at once.
const CALLS: usize = 20_000;
const BATCH: usize = 200;

/// One call in so many has a word of a megabyte.
const CALLS_PER_MEGABYTE: u64 = 500;

const NAMES: [&str; 7] = [
    "LOCK.ACQUIRE",
    "LOCK.RELEASE",
    "LOCK.EXTEND",
    "LOCK.FENCE",
    "LOCK._GRANT",
    "LOCK._END",
    "LOCK._CEILING",
];

const KEYS: [&[u8]; 8] = [
    b"a",
    b"b",
    b"c",
    b"",
    b"\0",
    b"\xff\xfe",
    b"\r\n",
    b"string",
];

const NUMBERS: [&str; 16] = [
    "1",
    "600000",
    "86400000",
    "86400001",
    "9007199254740991",
    "9007199254740992",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-1",
    "0",
    "00",
    "+1",
    " 1",
    "1e3",
    "0x10",
];

/// A word that may be right, nearly right or anything.
fn word(dice: &mut Dice) -> Vec<u8> {
    match dice.roll(12) {
        0..=2 => (*dice.pick(&NUMBERS)).into(),
        3..=4 => dice.roll(1 << 40).to_string().into_bytes(),
        5 => (*dice.pick(&[
            "TOKEN", "token", "RAISE", "raIse", "LIMIT", "Shared", "DELAY",
        ]))
        .into(),
        6 => (*dice.pick(&["me", "you", "ME", ""])).into(),
        7 => {
            let length = *dice.pick(&[1, 22, 23, 511, 512, 513, 514, 1_024, 70_000]);
            vec![b'o'; length]
        }
        8 => dice.pick(&KEYS).to_vec(),
        _ => {
            let length = dice.roll(40);
            dice.bytes(length)
        }
    }
}

/// A call that keeps to the syntax, but for what happens to it later.
fn sound_call(dice: &mut Dice) -> Vec<Vec<u8>> {
    let name = dice.pick(&NAMES).as_bytes().to_vec();
    let key = dice.pick(&KEYS).to_vec();
    let owner = dice.pick(&["me", "you", "somebody"]).as_bytes().to_vec();
    let ttl = (1 + dice.roll(1_000)).to_string().into_bytes();
    let token = (1 + dice.roll(1 << 40)).to_string().into_bytes();
    let mut words = match name.as_slice() {
        b"LOCK.FENCE" => vec![name, key],
        b"LOCK.RELEASE" => vec![name, key, owner],
        b"LOCK._END" => return vec![name, key, owner, token],
        b"LOCK._CEILING" => return vec![name, token, ttl, b"5".into()],
        b"LOCK._GRANT" => return vec![name, key, owner, token, ttl, b"1".into(), b"0".into()],
        _ => vec![name, key, owner, ttl],
    };
    match (words[0].as_slice(), dice.roll(3)) {
        (b"LOCK.FENCE", 1) => words.push(token),
        (b"LOCK.ACQUIRE", 1) => words.push(b"SHARED".to_vec()),
        (b"LOCK.ACQUIRE", 2) => words.extend([b"limit".to_vec(), b"3".to_vec()]),
        (b"LOCK.RELEASE", 1) => words.extend([b"TOKEN".to_vec(), token]),
        (b"LOCK.EXTEND", 1) => words.extend([b"token".to_vec(), token]),
        (b"LOCK.EXTEND", 2) => words.extend([b"Raise".to_vec(), token]),
        _ => {}
    }
    words
}

fn random_call(dice: &mut Dice) -> Vec<Vec<u8>> {
    let mut words = sound_call(dice);
    match dice.roll(6) {
        0 => {}
        1 => {
            let count = dice.roll(21);
            words.truncate(1);
            words.extend((0..count).map(|_| word(dice)));
        }
        2 => {
            let at = 1 + dice.roll(words.len() as u64) as usize;
            words.insert(at, word(dice));
        }
        3 => {
            words.pop();
        }
        _ => {
            let at = 1 + dice.roll(words.len() as u64 - 1) as usize;
            words[at] = word(dice);
        }
    }
    if words.len() > 1 && dice.roll(CALLS_PER_MEGABYTE) == 0 {
        let at = 1 + dice.roll(words.len() as u64 - 1) as usize;
        words[at] = vec![b'9'; 1 << 20];
    }
    if words.is_empty() {
        words.push(b"LOCK.FENCE".to_vec());
    }
    words
}

/// A number from 1 to `most`, as Redis writes it.
fn is_number(word: &[u8], most: i64) -> bool {
    let text = std::str::from_utf8(word).unwrap_or_default();
    let number: Option<i64> = text.parse().ok();
    number.is_some_and(|number| (1..=most).contains(&number) && number.to_string() == text)
}

fn is_token(word: &[u8]) -> bool {
    is_number(word, (1 << 53) - 1)
}

fn is_ttl(word: &[u8]) -> bool {
    is_number(word, 86_400_000)
}

fn is_owner(word: &[u8]) -> bool {
    (1..=512).contains(&word.len())
}

/// Whether the syntax of the commands allows these words, told a second time.
fn is_allowed(words: &[Vec<u8>]) -> bool {
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    match &words[..] {
        [b"LOCK.ACQUIRE", _, owner, ttl] => is_owner(owner) && is_ttl(ttl),
        [b"LOCK.ACQUIRE", _, owner, ttl, option] => {
            is_owner(owner) && is_ttl(ttl) && option.eq_ignore_ascii_case(b"SHARED")
        }
        [b"LOCK.ACQUIRE", _, owner, ttl, option, number] => {
            let is_limit = option.eq_ignore_ascii_case(b"LIMIT") && is_number(number, 1_024);
            let is_delay = option.eq_ignore_ascii_case(b"DELAY")
                && (*number == b"0" || is_number(number, 315_360_000_000));
            is_owner(owner) && is_ttl(ttl) && (is_limit || is_delay)
        }
        [b"LOCK.RELEASE", _, owner] => is_owner(owner),
        [b"LOCK.RELEASE", _, owner, option, token] => {
            is_owner(owner) && option.eq_ignore_ascii_case(b"TOKEN") && is_token(token)
        }
        [b"LOCK.EXTEND", _, owner, ttl] => is_owner(owner) && is_ttl(ttl),
        [b"LOCK.EXTEND", _, owner, ttl, option, token] => {
            let is_option =
                option.eq_ignore_ascii_case(b"TOKEN") || option.eq_ignore_ascii_case(b"RAISE");
            is_owner(owner) && is_ttl(ttl) && is_option && is_token(token)
        }
        [b"LOCK.FENCE", _] => true,
        [b"LOCK.FENCE", _, token] => is_token(token),
        _ => false,
    }
}

/// Whether this line may answer a call that the syntax allows, or forbids.
fn is_fitting(words: &[Vec<u8>], line: &[u8]) -> bool {
    if !is_allowed(words) {
        return line.starts_with(b"-ERR ");
    }
    let is_answer = line == b"$-1" || line.starts_with(b":");
    let is_other_type = line.starts_with(b"-WRONGTYPE ") && words[1] == b"string";
    let is_too_far = line.starts_with(b"-ERR RAISE goes to at most ")
        && words.len() == 6
        && words[4].eq_ignore_ascii_case(b"RAISE");
    // The same owner asked in another way before.
    let is_other_way = line.starts_with(b"-ERR this owner holds") && words[0] == b"LOCK.ACQUIRE";
    let is_of_many = line.starts_with(b"-ERR RAISE is for exclusive") && words.len() == 6;
    is_answer || is_other_type || is_too_far || is_other_way || is_of_many
}

fn shown(words: &[Vec<u8>]) -> String {
    let short = |word: &Vec<u8>| word[..word.len().min(600)].escape_ascii().to_string();
    words.iter().map(short).collect::<Vec<_>>().join(" ")
}

#[test]
fn random_words_get_one_fitting_answer_each_and_make_no_impossible_lock() {
    let mut server = Server::start();
    let mut client = server.client();
    client.say("SET string x");
    let mut wire = Wire::connect(server.port());
    let mut dice = Dice::new();
    let mut grantable = HashSet::new();
    let (mut allowed, mut granted) = (0, 0);
    for _ in 0..CALLS / BATCH {
        let calls: Vec<_> = (0..BATCH).map(|_| random_call(&mut dice)).collect();
        for words in &calls {
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            wire.send(&command(&words)).expect("it listens");
        }
        for words in &calls {
            let line = wire.line().expect("an answer");
            let answer = line.escape_ascii();
            assert!(is_fitting(words, &line), "{}: {answer}", shown(words));
            if is_allowed(words) {
                allowed += 1;
                if words[0] == b"LOCK.ACQUIRE" {
                    granted += usize::from(line.starts_with(b":"));
                    grantable.insert(words[1].escape_ascii().to_string());
                }
            }
        }
        for name in client.names_of_type("redislock") {
            assert!(grantable.contains(&name), "nobody could acquire {name}");
        }
    }
    println!("{allowed} calls were allowed, {granted} were granted");
    assert!(allowed > CALLS / 10 && granted > CALLS / 100);
    server.assert_healthy();
}

#[test]
fn a_megabyte_in_any_position_is_one_answer() {
    let mut server = Server::start();
    let mut wire = Wire::connect(server.port());
    let big = vec![0xff; 1 << 20];
    let mut dice = Dice::new();
    for name in NAMES {
        for at in 1..7 {
            let mut words = sound_call(&mut dice);
            words[0] = name.as_bytes().to_vec();
            words.resize(7, b"1".to_vec());
            words[at].clone_from(&big);
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            wire.send_command(&words).expect("it listens");
            let line = wire.line().expect("an answer");
            assert!(line.starts_with(b"-ERR "), "{}", line.escape_ascii());
            assert!(line.len() < 200, "it does not repeat the word");
        }
    }
    let acquire: [&[u8]; 4] = [b"LOCK.ACQUIRE", &big, b"me", b"600000"];
    wire.send_command(&acquire).expect("it listens");
    assert!(wire.line().expect("an answer").starts_with(b":"));
    let release: [&[u8]; 3] = [b"LOCK.RELEASE", &big, b"me"];
    wire.send_command(&release).expect("it listens");
    assert_eq!(wire.line().expect("an answer"), b":1");
    server.assert_healthy();
}
