//! The reply of the guarded command is the reply, byte by byte.

use super::raw::Raw;
use super::support::Server;

/// Fills a server with a key of each kind.
const FILL: [&str; 9] = [
    "SET string value",
    "SET number 41",
    "RPUSH list a b c",
    "HSET hash f1 v1 f2 2",
    "SADD set one",
    "ZADD sorted 1.5 a 2 b inf c",
    "GEOADD places 13.361389 38.115556 Palermo",
    "XADD stream 1-1 f v",
    "XGROUP CREATE stream group 0",
];

/// Each does the same to both of two servers that are in the same state.
const CALLS: [&str; 60] = [
    "GET string",
    "GET nothing",
    "SET string other GET",
    "SET new 1 NX",
    "SET new 2 NX",
    "INCR number",
    "INCR string",
    "INCRBYFLOAT number 0.25",
    "APPEND string more",
    "STRLEN string",
    "GETRANGE string 0 2",
    "MGET string nothing list",
    "TYPE hash",
    "EXISTS string string nothing",
    "HGETALL hash",
    "HGETALL nothing",
    "HMGET hash f1 nothing",
    "HSCAN hash 0",
    "HRANDFIELD nothing 3 WITHVALUES",
    "HINCRBYFLOAT hash f2 1.5",
    "SMEMBERS set",
    "SISMEMBER set one",
    "SMISMEMBER set one two",
    "SPOP nothing 3",
    "SRANDMEMBER set",
    "ZSCORE sorted a",
    "ZSCORE sorted c",
    "ZSCORE sorted nothing",
    "ZMSCORE sorted a nothing c",
    "ZADD sorted INCR 0.1 a",
    "ZRANGE sorted 0 -1 WITHSCORES",
    "ZRANK sorted b",
    "ZPOPMIN sorted",
    "ZPOPMIN nothing",
    "ZMPOP 2 nothing sorted MIN COUNT 2",
    "ZMPOP 1 nothing MIN",
    "GEOPOS places Palermo nothing",
    "GEODIST places Palermo nothing",
    "GEOSEARCH places FROMLONLAT 13 38 BYRADIUS 200 km WITHCOORD WITHDIST",
    "LPOP nothing 2",
    "LPOP nothing",
    "LPOP list 2",
    "LRANGE list 0 -1",
    "LPOS list c COUNT 0",
    "XRANGE stream - +",
    "XADD stream 2-1 f v",
    "XADD stream 1-1 f v",
    "XINFO STREAM stream",
    "XPENDING stream group",
    "XLEN stream",
    "BITFIELD number GET u8 0 OVERFLOW FAIL INCRBY u2 100 7",
    "LCS string number IDX",
    "OBJECT ENCODING hash",
    "OBJECT FREQ hash",
    "SORT list ALPHA DESC",
    "DUMP string",
    "RESTORE again 0 nonsense",
    "LPUSH string x",
    "PFADD hll a b",
    "DEL string number",
];

#[test]
fn replies_pass_through_as_they_are_in_both_protocols() {
    for protocol in [2, 3] {
        let (mut bare, mut guarded) = (Server::start(), Server::start());
        let (mut plain, mut through) = (
            Raw::connect(&bare, protocol),
            Raw::connect(&guarded, protocol),
        );
        for line in FILL {
            assert_eq!(plain.say(line), through.say(line), "{line}");
        }
        let token = guarded.client().acquired("lock", "me", 600_000);
        for call in CALLS {
            let expected = plain.text(call);
            let told = through.text(&format!("LOCK.GUARD lock {token} {call}"));
            assert_eq!(told, expected, "{call} in RESP{protocol}");
        }
        assert_eq!(guarded.client().release("lock", "me"), 1);
        let digests = [&bare, &guarded].map(|it| it.client().text("DEBUG DIGEST"));
        assert_eq!(digests[0], digests[1]);
        bare.assert_healthy();
        guarded.assert_healthy();
    }
}

#[test]
fn a_reply_of_megabytes_and_one_with_any_bytes_pass_through() {
    let server = Server::start();
    let mut raw = Raw::connect(&server, 2);
    let token = server.client().acquired("lock", "me", 600_000).to_string();
    let any: Vec<u8> = (0..=255).cycle().take(8 << 20).collect();
    let set: [&[u8]; 6] = [
        b"LOCK.GUARD",
        b"lock",
        token.as_bytes(),
        b"SET",
        b"\0\r\n",
        &any,
    ];
    assert_eq!(raw.call(&set), b"+OK\r\n");
    let get: [&[u8]; 5] = [b"LOCK.GUARD", b"lock", token.as_bytes(), b"GET", b"\0\r\n"];
    let bare: [&[u8]; 2] = [b"GET", b"\0\r\n"];
    let told = raw.call(&get);
    assert!(told == raw.call(&bare) && told.len() > any.len());
}

#[test]
fn an_error_of_the_guarded_command_counts_as_one_of_it_and_undoes_nothing() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.acquired("lock", "me", 600_000);
    client.say("SET string x");
    client.say("CONFIG RESETSTAT");
    for (call, error) in [
        (
            "LPUSH string a",
            "WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("INCR string", "ERR value is not an integer or out of range"),
        (
            "SET string",
            "ERR wrong number of arguments for 'set' command",
        ),
        ("SET string y NX XX", "ERR syntax error"),
    ] {
        let told = client.error_of(&format!("LOCK.GUARD lock {token} {call}"));
        assert_eq!(told, error, "{call}");
    }
    assert_eq!(client.text("GET string"), "x");
    assert!(client.is_live("lock", token));
    client.say("MULTI");
    client.say(&format!("LOCK.GUARD lock {token} SET before 1"));
    client.say(&format!("LOCK.GUARD lock {token} LPUSH string a"));
    client.say(&format!("LOCK.GUARD lock {token} SET behind 1"));
    assert!(client.try_call(&["EXEC"]).is_ok() || client.exists("behind"));
    assert!(client.exists("before") && client.exists("behind"));
}
