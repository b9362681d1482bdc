//! Files that are damaged: the server refuses them in its own words and ends
//! with its own code, or starts; nothing of ours makes it crash.

use super::holds::TOKEN_MOST;
use super::log_file::ALWAYS;
use super::snapshot_file::{counter, counter_since, holder, record, SnapshotFile};
use super::support::Server;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

const OWNER: &str = "an-owner-to-be-found";

/// A killed server and what it saved: one lock of [`OWNER`].
fn saved() -> (Server, SnapshotFile) {
    let mut server = Server::with(&["rdbcompression no", "crash-log-enabled yes"]);
    let mut client = server.client();
    client.acquired("k", OWNER, 60_000);
    client.say("SAVE");
    server.kill();
    let file = SnapshotFile::of(&server);
    (server, file)
}

/// Fails if anything but a refusal of the server's own ended it.
fn assert_refused(ended: Option<ExitStatus>, log: &str, what: &str) {
    let ended = ended.unwrap_or_else(|| panic!("{what}: it was loaded"));
    assert_eq!(ended.signal(), None, "{what}: {ended}");
    // The server looks at the file once more before it ends, and says 0 if it
    // is sound but for what the module said.
    assert!(matches!(ended.code(), Some(0 | 1)), "{what}: {ended}");
    assert_no_crash(log, what);
}

fn assert_no_crash(log: &str, what: &str) {
    for sign in ["BUG REPORT", "a bug in redislock", "panicked", "crashed by"] {
        assert!(!log.contains(sign), "{what}: {sign} in the log");
    }
}

/// Starts the server on the file; what the log says of this start.
fn start_on(server: &mut Server, file: &SnapshotFile) -> (Option<ExitStatus>, String) {
    file.write();
    let before = server.log().len();
    let ended = server.start_or_end();
    let said = server.log().split_off(before);
    (ended, said)
}

/// Turns each byte of a part of the file around in several ways; how many of
/// the files were loaded, and how many refused.
fn flip_all(part: impl Fn(&SnapshotFile) -> std::ops::Range<usize>) -> (usize, usize) {
    let (mut server, file) = saved();
    let (mut loaded, mut refused) = (0, 0);
    for place in part(&file) {
        for mask in [0x01, 0x80, 0xff] {
            let mut flipped = file.clone();
            flipped.flip(place, mask);
            let what = format!("byte {place} with {mask:#x}");
            let (ended, said) = start_on(&mut server, &flipped);
            assert_no_crash(&said, &what);
            if ended.is_some() {
                assert_refused(ended, &said, &what);
                refused += 1;
            } else {
                // Whatever it took the file for, it grants.
                let mut client = server.client();
                let reply = client.try_call(&["LOCK.ACQUIRE", "new", "x", "1000"]);
                assert!(reply.is_ok(), "{what}: {reply:?}");
                server.assert_healthy();
                server.kill();
                loaded += 1;
            }
        }
    }
    (loaded, refused)
}

#[test]
fn a_flipped_bit_in_the_counter_never_crashes_the_server() {
    let (loaded, refused) = flip_all(SnapshotFile::aux);
    assert!(loaded > 5 && refused > 20, "{loaded}, {refused}");
}

#[test]
fn a_flipped_bit_in_a_lock_never_crashes_the_server() {
    let (loaded, refused) = flip_all(|file| file.value(OWNER));
    assert!(loaded > 5 && refused > 20, "{loaded}, {refused}");
}

#[test]
fn an_untouched_file_is_loaded() {
    let (mut server, file) = saved();
    let (ended, _) = start_on(&mut server, &file);
    assert_eq!(ended, None);
    assert!(server.client().fence("k").is_some());
}

#[test]
fn a_counter_that_no_server_saves_is_refused_with_a_line_in_the_log() {
    let above = TOKEN_MOST as u64 + 1;
    let ten_years_ms = 10 * 365 * 24 * 3_600_000;
    let longer = [&counter(1, 2, 3)[..], &[0]].concat();
    let shorter = counter(1, 2, 300)[..3].to_vec();
    let refused: [(&str, Vec<u8>); 9] = [
        ("last", counter(above, 2, 3)),
        ("ceiling", counter(1, above, 3)),
        ("both", counter(u64::MAX, u64::MAX, u64::MAX)),
        ("lease", counter(1, 2, ten_years_ms + 1)),
        ("time", counter_since(1, 2, 3, 1 << 41)),
        ("longer", longer),
        ("shorter", shorter),
        ("empty", vec![]),
        ("endless number", vec![0xff; 30]),
    ];
    let (mut server, file) = saved();
    for (what, bytes) in refused {
        let mut file = file.clone();
        file.set_counter(&bytes);
        let (ended, said) = start_on(&mut server, &file);
        assert_refused(ended, &said, what);
        assert!(said.contains("token counter of the file is"), "{what}");
    }
    // The largest numbers there are, on the other hand, are fine.
    let mut file = file.clone();
    let most = TOKEN_MOST as u64;
    file.set_counter(&counter_since(most, most, ten_years_ms, (1 << 41) - 1));
    assert_eq!(start_on(&mut server, &file).0, None);
    let error = server.client().error_of("LOCK.ACQUIRE new x 1000");
    assert!(error.starts_with("ERR no fencing tokens"), "{error}");
}

#[test]
fn a_lock_that_no_server_saves_is_refused_with_a_line_in_the_log() {
    let owner = OWNER.as_bytes();
    let above = TOKEN_MOST as u64 + 1;
    let ten_years_ms = 10 * 365 * 24 * 3_600_000;
    let good = record(owner, 5, 1_000);
    let mut lying = good.clone();
    lying[1] = 0x7f; // the owner's length
    let mut huge = good.clone();
    huge.splice(1..2, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    let one = |numbers| [&[1][..], &holder(owner, numbers)].concat();
    let twice = [
        &[2][..],
        &holder(owner, [5, 9, 0, 0]),
        &holder(b"b", [5, 9, 0, 0]),
    ]
    .concat();
    let refused: [(&str, Vec<u8>); 18] = [
        ("over without a delay", one([5, 0, 1, 0])),
        ("delay too long", one([5, 9, 1, ten_years_ms + 1])),
        ("limit too large", one([5, 9, 1_025, 0])),
        ("limit far too large", one([5, 9, u64::MAX, 0])),
        ("cooling for 2^64 ms", one([5, 0, 1, u64::MAX])),
        ("the same token twice", twice),
        ("token 0", record(owner, 0, 1_000)),
        ("token 2^53", record(owner, above, 1_000)),
        ("token 2^64 - 1", record(owner, u64::MAX, 1_000)),
        ("no lease", record(owner, 5, 0)),
        ("lease too long", record(owner, 5, ten_years_ms + 1)),
        ("no owner", record(b"", 5, 1_000)),
        ("longer", [&good[..], b"x"].concat()),
        ("shorter", good[..good.len() - 1].to_vec()),
        ("empty", vec![]),
        ("fewer holders than it says", vec![2]),
        ("owner beyond the end", lying),
        ("owner of 2^62 bytes", huge),
    ];
    let (mut server, file) = saved();
    for (what, bytes) in refused {
        let mut file = file.clone();
        file.set_record(OWNER, &bytes);
        let (ended, said) = start_on(&mut server, &file);
        assert_refused(ended, &said, what);
        assert!(said.contains("a stored lock is refused"), "{what}");
    }
}

#[test]
fn a_file_of_a_later_version_is_refused_and_the_log_says_which() {
    let (mut server, file) = saved();
    let mut later = file.clone();
    later.set_version_of_value(OWNER, 3);
    let (ended, said) = start_on(&mut server, &later);
    assert_refused(ended, &said, "value");
    assert!(said.contains("Version (version 3)"), "{said}");
    let mut later = file;
    later.set_version_of_counter(3);
    let (ended, said) = start_on(&mut server, &later);
    assert_refused(ended, &said, "counter");
    assert!(said.contains("counter of the file is refused: Version"));
}

#[test]
fn a_damaged_file_that_the_server_reads_again_while_it_runs_never_crashes_it() {
    let (mut server, file) = saved();
    server.start_again();
    let mut client = server.client();
    let mut damaged = file;
    damaged.set_record(OWNER, b"");
    damaged.write();
    let reply = client.try_call(&["DEBUG", "RELOAD", "NOSAVE"]);
    assert!(reply.is_err(), "{reply:?}");
    assert_no_crash(&server.log(), "reload");
}

#[test]
fn a_server_without_the_module_refuses_files_of_one_with_it() {
    let (mut server, _) = saved();
    let before = server.log().len();
    let ended = server.start_without_module_or_end();
    let said = server.log().split_off(before);
    assert_refused(ended, &said, "a saved lock");
    assert!(said.contains("no matching module 'redislock'"), "{said}");
}

#[test]
fn a_server_without_the_module_refuses_a_file_with_a_counter_but_no_lock() {
    let mut server = Server::start();
    let mut client = server.client();
    client.acquired("k", OWNER, 60_000);
    client.release("k", OWNER);
    client.say("SAVE");
    server.kill();
    let ended = server.start_without_module_or_end();
    assert_refused(ended, &server.log(), "a saved counter");
}

#[test]
fn a_server_without_the_module_refuses_a_log_of_one_with_it() {
    for preamble in ["yes", "no"] {
        let preamble = format!("aof-use-rdb-preamble {preamble}");
        let mut server = Server::with(&[&ALWAYS[..], &[&preamble]].concat());
        server.client().acquired("k", OWNER, 60_000);
        server.kill();
        let ended = server.start_without_module_or_end();
        assert_refused(ended, &server.log(), &preamble);
        let reason = match preamble.ends_with("yes") {
            true => "'redislock'",
            false => "Unknown command 'LOCK._CEILING'",
        };
        let log = server.log().to_lowercase();
        assert!(log.contains(&reason.to_lowercase()), "{preamble}: {log}");
    }
}
