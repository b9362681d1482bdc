//! Files as each version of the stored form was written: they are loaded for ever.

use super::holds::digest;
use super::support::Server;
use std::fs;

/// What SAVE wrote on a server with the first version: one lock and the counter.
const OF_VERSION_1: &[&[u8]] = &[
    b"REDIS0010\xfa\x09redis-ver\x067.0.15\xfa\x0aredis-bits\xc0@\xfa\x05ctime\xc2",
    b">v\x01k\xfa\x08used-mem\xc2h\xda\x11\x00\xfa\x08aof-base\xc0\x00\xf7\x81\xad",
    b"\xe7b\xb2Z\x1c\x90\x01\x02\x01\x05\x18\x81\xa0\x99\xf7\xe3\xf6T\x81\xa0\xa9\xf7",
    b"\xe3\xf6T\x80\xb8\x99)\xe5\xdc\x8f\xdb\xd3\x02\x00\xfe\x00\xfb\x01\x00\x07\x07",
    b"lock:v1\x81\xad\xe7b\xb2Z\x1c\x90\x01\x05 \x01\x13holder-of-version-1\x81\xa0",
    b"\x99\xf7\xe3\xf6T\xc8\xb7\x99)\x00\xfff\xc8\xfcx\x8a-\x1a\x87",
];

/// What SAVE wrote with the second: a holder alone, two readers (one with a delay), one
/// that cools, and the counter. The server compressed what it could.
const OF_VERSION_2: &[&[u8]] = &[
    b"REDIS0010\xfa\x09redis-ver\x067.0.15\xfa\x0aredis-bits\xc0@\xfa\x05ctime",
    b"\xc2G\xe7\x01k\xfa\x08used-mem\xc2h\xee\x13\x00\xfa\x08aof-base\xc0\x00\xf7",
    b"\x81\xad\xe7b\xb2Z\x1c\x90\x02\x02\x01\x05\x18\x84\xe0\xb7\xba\x9d\xfaT\x81",
    b"\xe0\xc7\xba\x9d\xfaT\x80\xb8\x99)\xdf\xe9\xf5\xe8\xd3\x02\x00\xfe\x00\xfb",
    b"\x03\x00\x07\x0acooling:v2\x81\xad\xe7b\xb2Z\x1c\x90\x02\x05\x15\x01\x06coo",
    b"led\x84\xe0\xb7\xba\x9d\xfaT\x00\x01\xc1\xb5\x99)\x00\x07\x09shared:v2\x81",
    b"\xad\xe7b\xb2Z\x1c\x90\x02\x05\xc3'.\x17\x02\x08reader-1\x82\xe0\xb7\xba",
    b"\x9d\xfaT\xab\xb5\x99)\x00\xe8\x07\xc0\x16\x012\x83\x80\x16\x00\xb4 \x16",
    b"\x01\x00\x00\x00\x07\x07lock:v2\x81\xad\xe7b\xb2Z\x1c\x90\x02\x05\"\x01\x13",
    b"holder-of-version-2\x81\xe0\xb7\xba\x9d\xfaT\xa1\xb5\x99)\x01\x00\x00\xff=k",
    b"4\x9e\xe2\xc7\xe5F",
];

const KEY: &str = "lock:v1";
const OWNER: &str = "holder-of-version-1";
const TOKEN: i64 = 373_517_181_145_089;
/// Of the holder alone; the others have the next ones.
const FIRST_OF_2: i64 = 373_635_702_190_081;

fn started_on(file: &[&[u8]]) -> Server {
    let mut server = Server::start();
    server.kill();
    fs::write(server.directory().join("dump.rdb"), file.concat()).expect("a file of our own");
    server.start_again();
    server
}

#[test]
fn a_file_of_version_1_is_loaded_with_holder_token_and_counter() {
    let mut server = started_on(OF_VERSION_1);
    let mut client = server.client();
    assert_eq!(client.fence(KEY), Some(TOKEN));
    assert_eq!(client.acquire(KEY, "somebody", 1_000), None);
    let reader = format!("LOCK.ACQUIRE {KEY} somebody 1000 SHARED");
    assert_eq!(client.number_or_nil(&reader), None, "it is exclusive");
    assert_eq!(client.acquired(KEY, OWNER, 1_000), TOKEN);
    let next = client.acquired("new", "somebody", 1_000);
    assert!(next > TOKEN + (1 << 18), "{next} is within the ceiling");
    assert_eq!(client.release(KEY, OWNER), 1);
    assert!(!client.exists(KEY), "it cools for no moment");
    server.assert_healthy();
}

#[test]
fn a_file_of_version_2_is_loaded_with_all_holders_and_counter() {
    let mut server = started_on(OF_VERSION_2);
    let mut client = server.client();
    assert_eq!(client.fence("lock:v2"), Some(FIRST_OF_2));
    let owner = "holder-of-version-2";
    assert_eq!(client.acquired("lock:v2", owner, 1_000), FIRST_OF_2);
    assert_eq!(client.fence("shared:v2"), Some(FIRST_OF_2 + 1));
    let again = "LOCK.ACQUIRE shared:v2 reader-2 60000 SHARED";
    assert_eq!(client.number(again), FIRST_OF_2 + 2);
    assert_eq!(client.acquire("shared:v2", "a-writer", 1_000), None);
    assert_eq!(client.fence("cooling:v2"), None);
    assert_eq!(client.acquire("cooling:v2", "somebody", 1_000), None);
    let next = client.acquired("new", "somebody", 1_000);
    assert!(next > FIRST_OF_2 + 3, "{next}");
    // The first has a delay of a second.
    let info = format!("{:?}", client.say("LOCK.INFO shared:v2"));
    assert!(info.contains("int(1000)"), "{info}");
    server.assert_healthy();
}

#[test]
fn what_was_loaded_from_a_frozen_file_is_saved_and_loaded_again() {
    let holds = [(KEY, TOKEN), ("lock:v2", FIRST_OF_2)];
    for (file, (key, token)) in [OF_VERSION_1, OF_VERSION_2].into_iter().zip(holds) {
        let mut server = started_on(file);
        let mut client = server.client();
        let before = digest(&mut client);
        client.say("SAVE");
        server.crash();
        let mut client = server.client();
        assert_eq!(digest(&mut client), before);
        assert_eq!(client.fence(key), Some(token));
        server.assert_healthy();
    }
}
