//! What docs/INSTALL.md says of servers with the module and without it: what each of them
//! does with the other's stream and files, in the server's own words.

use super::bare::{loadmodule, Bare};
use super::support::server::{binary, free_port, module};
use super::support::{eventually, Client, Version};
use std::io::Write;
use std::process::Command;

const PAGE: &str = include_str!("../../docs/INSTALL.md");
const NO_SNAPSHOTS: &str = "save \"\"\nenable-module-command yes\n";
/// What every server says of a file that it would need the module for.
const NEEDS_IT: &str =
    "The RDB file contains AUX module data I can't load: no matching module 'redislock'";

fn without() -> Bare {
    Bare::with(NO_SNAPSHOTS)
}

fn with() -> Bare {
    Bare::with(&format!("{NO_SNAPSHOTS}{}\n", loadmodule()))
}

/// The page says this, however its lines are broken.
fn assert_on_the_page(words: &str) {
    let page: Vec<&str> = PAGE.split_whitespace().collect();
    assert!(page.join(" ").contains(words), "not on the page: {words}");
}

fn follow(replica: &mut Client, master: &Bare) {
    replica.say(&format!("REPLICAOF 127.0.0.1 {}", master.port));
}

fn until_the_link_is_up(replica: &mut Client) {
    eventually("the link is up", || {
        (replica.info("master_link_status") == "up").then_some(())
    });
}

#[test]
fn a_replica_without_the_module_ends_when_it_gets_the_file_of_its_master() {
    let (mut master, mut replica) = (with(), without());
    master.runs().acquired("k", "alice", 600_000);
    follow(&mut replica.runs(), &master);
    eventually("its process ends", || replica.has_ended().then_some(()));
    assert!(replica.log().contains(NEEDS_IT), "{}", replica.log());
    assert_on_the_page(NEEDS_IT);
}

/// Before the first lock only Redis 7.0 writes anything of ours into the file.
#[test]
fn a_replica_without_the_module_that_is_in_step_goes_on_without_the_lock() {
    let (mut master, mut replica) = (with(), without());
    let (mut grants, mut hears) = (master.runs(), replica.runs());
    follow(&mut hears, &master);
    let words = "unknown command 'LOCK._GRANT'";
    assert_on_the_page(words);
    if matches!(Version::of(&mut grants), Version::Redis([7, 0, _])) {
        eventually("its process ends", || replica.has_ended().then_some(()));
        assert!(replica.log().contains(NEEDS_IT), "{}", replica.log());
        return;
    }
    until_the_link_is_up(&mut hears);
    grants.acquired("k", "alice", 600_000);
    grants.say("SET plain 1");
    eventually("the stream goes on", || {
        (hears.number("EXISTS plain") == 1).then_some(())
    });
    assert_eq!(hears.number("EXISTS k"), 0);
    assert!(replica.log().contains(words), "{}", replica.log());
}

#[test]
fn a_replica_with_the_module_follows_a_master_without_it() {
    let (mut master, mut replica) = (without(), with());
    let (mut tells, mut hears) = (master.runs(), replica.runs());
    follow(&mut hears, &master);
    until_the_link_is_up(&mut hears);
    tells.say("SET plain 1");
    eventually("it is in step", || {
        (hears.number("EXISTS plain") == 1).then_some(())
    });
    let refused = tells.error_of("LOCK.ACQUIRE k alice 1000");
    assert!(refused.contains("unknown command"), "{refused}");
    let refused = hears.error_of("LOCK.ACQUIRE k alice 1000");
    assert!(refused.starts_with("READONLY"), "{refused}");
}

/// The page's steps, with one replica: no key is lost, and the lock is on both.
#[test]
fn a_deployment_gets_the_module_step_by_step() {
    let (mut first, mut second) = (without(), without());
    let mut master = first.runs();
    master.say("SET plain 1");
    follow(&mut second.runs(), &first);
    // The replica gets the line, and is restarted.
    second.ends("NOSAVE");
    second.write(&format!("{NO_SNAPSHOTS}{}\n", loadmodule()));
    let mut replica = second.runs();
    follow(&mut replica, &first);
    until_the_link_is_up(&mut replica);
    // It takes over, and the old master is restarted.
    let port = second.port.to_string();
    eventually(
        "the master takes the replica for one that is online",
        || {
            let said = master.try_call(&["FAILOVER", "TO", "127.0.0.1", &port]);
            said.is_ok().then_some(())
        },
    );
    eventually("the other one is master", || {
        (replica.info("role") == "master").then_some(())
    });
    first.ends("NOSAVE");
    first.write(&format!("{NO_SNAPSHOTS}{}\n", loadmodule()));
    let mut last = first.runs();
    follow(&mut last, &second);
    until_the_link_is_up(&mut last);
    let token = replica.acquired("k", "alice", 600_000);
    eventually("the lock is on both", || {
        (last.fence("k") == Some(token)).then_some(())
    });
    assert_eq!(last.text("GET plain"), "1");
}

#[test]
fn a_lock_is_not_moved_to_a_server_without_the_module() {
    let (mut from, mut to) = (with(), without());
    let (mut client, mut other) = (from.runs(), to.runs());
    let token = client.acquired("k", "alice", 600_000);
    client.say("SET plain 1");
    let refused = client.error_of(&format!("MIGRATE 127.0.0.1 {} k 0 5000", to.port));
    assert!(refused.contains("Bad data format"), "{refused}");
    assert_on_the_page("Bad data format");
    assert_eq!(client.fence("k"), Some(token));
    // Which is how to leave: the other keys can go.
    client.say(&format!("MIGRATE 127.0.0.1 {} plain 0 5000", to.port));
    assert_eq!(other.text("GET plain"), "1");
}

#[test]
fn a_module_that_is_loaded_is_not_unloaded() {
    let mut server = with();
    let mut client = server.runs();
    let refused = client.error_of("MODULE UNLOAD redislock");
    let words = "Error unloading module: the module exports one or more module-side data types, \
                 can't unload";
    assert!(refused.contains(words), "{refused}");
    assert_on_the_page(words);
    client.acquired("k", "alice", 1_000);
}

#[test]
fn a_snapshot_that_was_written_with_the_module_needs_it() {
    let mut server = with();
    let mut client = server.runs();
    client.acquired("k", "alice", 600_000);
    client.release("k", "alice");
    server.ends("SAVE");
    server.write(NO_SNAPSHOTS);
    let said = server.refuses();
    assert!(said.contains(NEEDS_IT), "{said}");
    server.write(&format!("{NO_SNAPSHOTS}{}\n", loadmodule()));
    server.runs().acquired("k", "bob", 1_000);
}

#[test]
fn a_log_that_was_written_with_the_module_needs_it() {
    const LOG: &str = "appendonly yes\naof-use-rdb-preamble no\n";
    let mut server = with();
    server.write(&format!("{NO_SNAPSHOTS}{LOG}{}\n", loadmodule()));
    server.runs().acquired("k", "alice", 600_000);
    server.ends("NOSAVE");
    server.write(&format!("{NO_SNAPSHOTS}{LOG}"));
    let said = server.refuses();
    assert!(said.contains("nknown command 'LOCK._CEILING'"), "{said}");
    assert_on_the_page("an unknown command `LOCK._CEILING`");
}

/// The trap of the page: CONFIG REWRITE adds the line to the file that does not have it.
#[test]
fn a_rewritten_file_loads_the_module_once_only_if_the_line_was_in_it() {
    let mut server = with();
    for start in 0..3 {
        let mut client = server.runs();
        client.say("CONFIG REWRITE");
        let conf = std::fs::read_to_string(server.path("redis.conf")).expect("its file");
        assert_eq!(conf.matches("loadmodule").count(), 1, "start {start}");
        server.ends("NOSAVE");
    }

    let line = loadmodule();
    let words: Vec<&str> = line.split(' ').collect();
    let on_the_command_line = [&format!("--{}", words[0]), words[1]];
    let included = Bare::with(NO_SNAPSHOTS);
    let file = included.path("lock.conf");
    std::fs::write(&file, &line).expect("a file of our own");
    included.write(&format!("{NO_SNAPSHOTS}include {}\n", file.display()));
    for (mut server, words) in [(without(), &on_the_command_line[..]), (included, &[])] {
        let mut client = server.start(words).expect("the first start");
        client.acquired("k", "alice", 1_000);
        client.say("CONFIG REWRITE");
        server.ends("NOSAVE");
        let said = server.start(words).err().expect("the second start");
        let is_refused = said.contains("initialization failed");
        assert!(is_refused, "{said}");
    }
    assert_on_the_page("(`initialization failed`; Valkey: `Module name is busy`)");
}

/// The other trap: the log is what is read, also if there is none yet.
#[test]
fn a_log_that_is_turned_on_in_the_file_begins_empty() {
    let mut server = with();
    server.runs().say("SET plain 1");
    server.ends("SAVE");
    server.write(&format!("{NO_SNAPSHOTS}appendonly yes\n{}\n", loadmodule()));
    assert_eq!(server.runs().number("DBSIZE"), 0);
    assert_on_the_page("it starts *empty*, beside its snapshot");
}

/// Why there is a drop-in: what Debian's unit does to the module's folder is done to it
/// here, in a mount namespace of its own.
#[test]
fn a_module_in_a_folder_from_which_no_code_may_be_mapped_does_not_load() {
    const IN_ANOTHER_VIEW: &str = "mount --bind \"$1\" \"$1\"
        mount -o remount,bind,noexec \"$1\" || exit
        timeout 20 \"$2\" --bind 127.0.0.1 --port \"$3\" --save '' --dir \"$1\" \
          --loadmodule \"$1/module.so\"";
    let folder = tempfile::tempdir().expect("a directory");
    std::fs::copy(module(), folder.path().join("module.so")).expect("a copy");
    let tried = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", IN_ANOTHER_VIEW])
        .arg("sh")
        .arg(folder.path())
        .args([binary(), free_port().to_string()])
        .output();
    // A server that was started says something.
    let Some(tried) = tried.ok().filter(|tried| !tried.stdout.is_empty()) else {
        let _ = writeln!(std::io::stderr(), "skipped: there are no mount namespaces");
        return;
    };
    let said = String::from_utf8_lossy(&tried.stdout);
    let words = "failed to map segment from shared object";
    assert!(said.contains(words), "{said}");
    assert_on_the_page(words);
}
