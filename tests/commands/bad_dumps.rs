//! Payloads of RESTORE that no server wrote: each is an error, or a key that
//! holds nothing. Their checksums are right, or are not looked at.

use crate::dice::Dice;
use crate::support::payload::{sealed, taken_apart, OF_VERSION_1};
use crate::support::{eventually, varint, Client, Server};
use redis::Value;

/// In front of what the module wrote: that it is a module's value, and whose.
const TYPE_BYTES: usize = 1;

/// A server with a held lock and its payload.
struct Forgery {
    server: Server,
    client: Client,
    token: i64,
    value: Vec<u8>,
    version: Vec<u8>,
}

impl Forgery {
    /// The server checks what it reads of its own types, so that a payload of
    /// another type, made by accident, is not what this is about.
    fn new() -> Self {
        let server = Server::with(&["sanitize-dump-payload yes", "loglevel warning"]);
        let mut client = server.client();
        let token = client.acquired("lock", "an-owner-of-some-length", 600_000);
        let payload = client.bytes(&["DUMP", "lock"]);
        let (value, version) = taken_apart(&payload);
        let (value, version) = (value.to_vec(), version.to_vec());
        assert_eq!(sealed(&value, &version), payload, "the checksum is Redis's");
        Self {
            server,
            client,
            token,
            value,
            version,
        }
    }

    /// Restores a value; whether the server took it. It must hold nothing.
    fn restores(&mut self, value: &[u8]) -> bool {
        let payload = sealed(value, &self.version);
        let words = [&b"RESTORE"[..], b"forged", b"0", &payload, b"REPLACE"];
        let said = self.client.try_call(&words);
        let shown = value.escape_ascii();
        match said {
            Ok(Value::Okay) => {}
            Ok(other) => panic!("{shown}: {other:?}"),
            Err(error) => {
                assert_eq!(error.code().unwrap_or("ERR"), "ERR", "{shown}");
                return false;
            }
        }
        if self.client.text("TYPE forged") == "redislock" {
            assert_eq!(self.client.fence("forged"), None, "{shown}");
            assert!(!self.client.is_live("forged", self.token), "{shown}");
        }
        true
    }

    /// After all of it, the held lock is held and nothing else is there.
    fn assert_unharmed(&mut self) {
        self.client.say("DEL forged");
        assert!(self.client.is_live("lock", self.token));
        let next = self.client.acquired("next", "me", 1_000);
        assert_eq!(next, self.token + 1, "no payload moved the counter");
        self.client.release("next", "me");
        eventually("no dead key is left", || {
            (self.client.say("DBSIZE") == Value::Int(1)).then_some(())
        });
        self.server.assert_healthy();
    }
}

#[test]
fn the_payload_itself_is_restored_and_holds_nothing() {
    let mut forgery = Forgery::new();
    let value = forgery.value.clone();
    assert!(forgery.restores(&value));
    forgery.assert_unharmed();
}

#[test]
fn no_flipped_bit_makes_a_hold() {
    let mut forgery = Forgery::new();
    let value = forgery.value.clone();
    let mut taken = 0;
    for bit in TYPE_BYTES * 8..value.len() * 8 {
        let mut forged = value.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        taken += usize::from(forgery.restores(&forged));
    }
    // Most bits are the owner's and the numbers': other values, but values.
    assert!(taken > 0 && taken < value.len() * 8, "{taken}");
    forgery.assert_unharmed();
}

#[test]
fn a_payload_cut_short_makes_no_hold() {
    let mut forgery = Forgery::new();
    let value = forgery.value.clone();
    let cuts = 0..value.len();
    let taken = cuts.filter(|&length| forgery.restores(&value[..length]));
    // Where bytes are missing, those behind stand in for them: the two of the version,
    // which do, and the first of the checksum, which does if it happens to be zero.
    assert!(taken.count() <= 3);
    forgery.assert_unharmed();
}

#[test]
fn a_byte_more_or_less_in_any_place_makes_no_hold() {
    let mut forgery = Forgery::new();
    let value = forgery.value.clone();
    for at in TYPE_BYTES..value.len() {
        let (before, behind) = value.split_at(at);
        forgery.restores(&[before, &behind[1..]].concat());
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            forgery.restores(&[before, &[byte], behind].concat());
        }
    }
    forgery.assert_unharmed();
}

/// Where the record begins: behind the type, the module's name and version (9
/// bytes) and the mark of a string (1 byte); then its length and the bytes.
const RECORD_AT: usize = TYPE_BYTES + 9 + 1;

/// The value with another record, all lengths around it right.
fn with_record(value: &[u8], record: &[u8]) -> Vec<u8> {
    let length = u32::try_from(record.len()).expect("a short one");
    let length = [&[0x80][..], &length.to_be_bytes()].concat();
    [&value[..RECORD_AT], &length, record, &[0]].concat()
}

/// The bytes that the module itself wrote.
fn record_in(value: &[u8]) -> Vec<u8> {
    let length = usize::from(value[RECORD_AT]);
    assert!(length < 64, "a length of one byte");
    let record = &value[RECORD_AT + 1..value.len() - 1];
    assert_eq!(record.len(), length);
    record.to_vec()
}

#[test]
fn a_record_with_bytes_behind_it_or_missing_is_an_error() {
    let mut forgery = Forgery::new();
    let value = forgery.value.clone();
    let record = record_in(&value);
    assert!(forgery.restores(&with_record(&value, &record)));
    for length in 0..record.len() {
        let forged = with_record(&value, &record[..length]);
        assert!(!forgery.restores(&forged), "{length} bytes");
    }
    for behind in [&[0][..], &[1], &[0xff], &[0; 100], &[0xff; 1_000]] {
        let forged = with_record(&value, &[&record, behind].concat());
        assert!(!forgery.restores(&forged), "{}", behind.escape_ascii());
    }
    forgery.assert_unharmed();
}

/// A record as the module writes it: an exclusive holder with owner, token and lease.
fn record_of(owner: &[u8], token: u64, left_ms: u64) -> Vec<u8> {
    [vec![1], holder(owner, [token, left_ms, 1, 0])].concat()
}

/// A holder: token, lease, how many it tolerates, how long it cools.
fn holder(owner: &[u8], numbers: [u64; 4]) -> Vec<u8> {
    let length = varint(owner.len() as u64);
    [&length, owner, &numbers.map(varint).concat()].concat()
}

const MOST: u64 = (1 << 53) - 1;
const TEN_YEARS_MS: u64 = 10 * 365 * 24 * 3_600_000;

#[test]
fn a_record_that_no_server_writes_is_an_error_and_any_other_holds_nothing() {
    let mut forgery = Forgery::new();
    let value = forgery.value.clone();
    let (long, longer) = (vec![b'o'; 512], vec![b'o'; 513]);
    let sound = [
        record_of(b"me", 1, 1),
        record_of(&long, MOST, TEN_YEARS_MS),
        vec![0],
        [vec![1], holder(b"me", [1, 0, 1, 1])].concat(),
        [vec![1], holder(b"me", [1, 1, 1_024, TEN_YEARS_MS])].concat(),
        [
            vec![2],
            holder(b"me", [1, 1, 0, 0]),
            holder(b"me", [2, 1, 0, 0]),
        ]
        .concat(),
    ];
    for record in sound {
        let forged = with_record(&value, &record);
        assert!(forgery.restores(&forged), "{}", record.escape_ascii());
    }
    let unsound = [
        record_of(b"", 1, 1),
        record_of(&longer, 1, 1),
        record_of(b"me", 0, 1),
        record_of(b"me", MOST + 1, 1),
        record_of(b"me", u64::MAX, 1),
        record_of(b"me", 1, 0),
        record_of(b"me", 1, TEN_YEARS_MS + 1),
        record_of(b"me", 1, u64::MAX),
        [vec![1], holder(b"me", [1, 0, 1, 0])].concat(),
        [vec![1], holder(b"me", [1, 1, 1_025, 0])].concat(),
        [vec![1], holder(b"me", [1, 1, 1, TEN_YEARS_MS + 1])].concat(),
        [vec![1], holder(b"me", [1, 0, 1, u64::MAX])].concat(),
        [
            vec![2],
            holder(b"me", [1, 1, 0, 0]),
            holder(b"you", [1, 1, 0, 0]),
        ]
        .concat(),
        // The first tolerates nobody beside itself.
        [
            vec![2],
            holder(b"me", [1, 1, 1, 0]),
            holder(b"you", [2, 1, 0, 0]),
        ]
        .concat(),
        vec![2],
        vec![1],
        [vec![1], varint(u64::MAX)].concat(),
        [vec![1], varint(1 << 40), vec![b'o'; 10]].concat(),
        vec![0xff; 11],
        vec![],
    ];
    for record in unsound {
        let forged = with_record(&value, &record);
        assert!(!forgery.restores(&forged), "{}", record.escape_ascii());
    }
    forgery.assert_unharmed();
}

#[test]
fn random_bytes_for_a_record_make_no_hold() {
    let mut forgery = Forgery::new();
    let value = forgery.value.clone();
    let mut dice = Dice::new();
    for _ in 0..2_000 {
        let length = dice.roll(80);
        let record = dice.bytes(length);
        forgery.restores(&with_record(&value, &record));
    }
    for _ in 0..2_000 {
        let length = dice.roll(80);
        let rest = dice.bytes(length);
        forgery.restores(&[&value[..RECORD_AT], &rest].concat());
    }
    forgery.assert_unharmed();
}

/// The last byte of the module's name and version.
const VERSION_AT: usize = TYPE_BYTES + 8;

#[test]
fn a_payload_of_version_1_is_restored_and_holds_nothing() {
    let mut forgery = Forgery::new();
    let (value, version) = taken_apart(OF_VERSION_1);
    assert_eq!(sealed(value, version), OF_VERSION_1, "it is whole");
    assert_eq!(value[VERSION_AT] & 3, 1);
    assert!(forgery.restores(value));
    forgery.assert_unharmed();
}

#[test]
fn a_payload_whose_version_is_not_that_of_its_record_is_an_error() {
    let mut forgery = Forgery::new();
    let (old, _) = taken_apart(OF_VERSION_1);
    let new = forgery.value.clone();
    assert_eq!(new[VERSION_AT] & 3, 2);
    for (value, versions) in [(old, [0, 2, 3]), (&new[..], [0, 1, 3])] {
        for version in versions {
            let mut forged = value.to_vec();
            forged[VERSION_AT] = forged[VERSION_AT] & !3 | version;
            assert!(!forgery.restores(&forged), "{version}");
        }
    }
    forgery.assert_unharmed();
}

#[test]
fn a_payload_with_a_wrong_checksum_is_an_error() {
    let mut forgery = Forgery::new();
    let mut payload = sealed(&forgery.value, &forgery.version);
    *payload.last_mut().expect("a byte") ^= 1;
    let words = [&b"RESTORE"[..], b"forged", b"0", &payload];
    let error = forgery.client.error(&words);
    assert!(error.contains("checksum"), "{error}");
    forgery.assert_unharmed();
}
