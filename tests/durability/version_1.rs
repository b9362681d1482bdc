//! A file that the first version of the module wrote is loaded for ever.

use super::holds::digest;
use super::support::Server;
use std::fs;

/// What SAVE wrote on a server with the first version: one lock and the counter.
const FILE: &[&[u8]] = &[
    b"REDIS0010\xfa\x09redis-ver\x067.0.15\xfa\x0aredis-bits\xc0@\xfa\x05ctime\xc2",
    b">v\x01k\xfa\x08used-mem\xc2h\xda\x11\x00\xfa\x08aof-base\xc0\x00\xf7\x81\xad",
    b"\xe7b\xb2Z\x1c\x90\x01\x02\x01\x05\x18\x81\xa0\x99\xf7\xe3\xf6T\x81\xa0\xa9\xf7",
    b"\xe3\xf6T\x80\xb8\x99)\xe5\xdc\x8f\xdb\xd3\x02\x00\xfe\x00\xfb\x01\x00\x07\x07",
    b"lock:v1\x81\xad\xe7b\xb2Z\x1c\x90\x01\x05 \x01\x13holder-of-version-1\x81\xa0",
    b"\x99\xf7\xe3\xf6T\xc8\xb7\x99)\x00\xfff\xc8\xfcx\x8a-\x1a\x87",
];

const KEY: &str = "lock:v1";
const OWNER: &str = "holder-of-version-1";
const TOKEN: i64 = 373_517_181_145_089;

fn started_on_file() -> Server {
    let mut server = Server::start();
    server.kill();
    fs::write(server.directory().join("dump.rdb"), FILE.concat()).expect("a file of our own");
    server.start_again();
    server
}

#[test]
fn a_file_of_version_1_is_loaded_with_holder_token_and_counter() {
    let mut server = started_on_file();
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
fn what_was_loaded_from_version_1_is_saved_and_loaded_again() {
    let mut server = started_on_file();
    let mut client = server.client();
    let before = digest(&mut client);
    client.say("SAVE");
    server.crash();
    let mut client = server.client();
    assert_eq!(digest(&mut client), before);
    assert_eq!(client.fence(KEY), Some(TOKEN));
    server.assert_healthy();
}
