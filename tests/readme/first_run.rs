//! `make run`, `make help` and `make demo`, typed in the project's folder.

use super::support::server::free_port;
use super::support::{eventually, Client};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

fn make(arguments: &[&str]) -> Command {
    let mut make = Command::new("make");
    make.args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        // What cargo set for this test is not there when a person types.
        .env_remove("CARGO_MANIFEST_DIR")
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL")
        .stdin(Stdio::null());
    make
}

fn output(command: &mut Command) -> Output {
    command.output().expect("make is installed")
}

/// `make run`, and the server that it started: both end with the test.
struct Running {
    make: Child,
    port: u16,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut client) = Client::try_connect(self.port) {
            let _ = client.try_call(&["SHUTDOWN", "NOSAVE"]);
        }
        let _ = self.make.kill();
        let _ = self.make.wait();
    }
}

#[test]
fn make_run_serves_locks_and_a_taken_port_is_a_clear_error() {
    let port = free_port();
    let setting = format!("PORT={port}");
    let build = output(&mut make(&["build"]));
    assert!(build.status.success(), "{build:?}");
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release/libredis_lock.so");
    assert!(module.exists(), "make build leaves the module");
    let data = tempfile::tempdir().expect("a directory");
    let folder = format!("DATA={}", data.path().display());
    let make_run = make(&["run", &setting, &folder])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut running = Running {
        make: make_run.expect("make is installed"),
        port,
    };
    let mut client = eventually("the server listens", || {
        let ended = running.make.try_wait().expect("our child");
        assert!(ended.is_none(), "it ended");
        let mut client = Client::try_connect(port)?;
        client.try_call(&["PING"]).ok().map(|_| client)
    });
    let token = client.acquired("seat:42", "alice", 30_000);
    assert!(token > 0);
    assert_eq!(client.release("seat:42", "alice"), 1);
    let again = output(&mut make(&["run", &setting]));
    assert!(!again.status.success());
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(said.contains(&format!("Port {port} is taken")), "{said}");
    assert!(said.contains("make run PORT="), "{said}");
}

#[test]
fn make_help_lists_the_targets() {
    let help = output(&mut make(&["help"]));
    let said = String::from_utf8_lossy(&help.stdout);
    for target in ["run", "test", "build", "demo", "verify", "fix", "clean"] {
        let is_listed = said.lines().any(|line| line.starts_with(target));
        assert!(is_listed, "{target} is missing in:\n{said}");
    }
}

#[test]
fn a_server_that_is_not_there_or_too_old_is_a_clear_error() {
    let missing = output(make(&["setup"]).env("REDIS_SERVER", "/nowhere/redis-server"));
    assert!(!missing.status.success());
    let said = String::from_utf8_lossy(&missing.stderr);
    assert!(
        said.contains("/nowhere/redis-server: there is no such program"),
        "{said}"
    );

    let directory = tempfile::tempdir().expect("a directory");
    let old = directory.path().join("redis-server");
    let script = "#!/bin/sh\necho 'Redis server v=6.2.14 sha=00000000:0'\n";
    std::fs::write(&old, script).expect("a file");
    let made = Command::new("chmod").arg("+x").arg(&old).status();
    assert!(made.is_ok_and(|status| status.success()));
    let refused = output(make(&["setup"]).env("REDIS_SERVER", &old));
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        said.contains("version 6.2; redis-lock needs Redis 7.0"),
        "{said}"
    );
}

#[test]
fn a_rust_that_is_too_old_is_a_clear_error() {
    let directory = tempfile::tempdir().expect("a directory");
    let old = directory.path().join("cargo");
    let script = "#!/bin/sh\necho 'cargo 1.63.0 (fd9c4297c 2022-07-01)'\n";
    std::fs::write(&old, script).expect("a file");
    let made = Command::new("chmod").arg("+x").arg(&old).status();
    assert!(made.is_ok_and(|status| status.success()));
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", directory.path().display());
    let refused = output(make(&["setup"]).env("PATH", path));
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr);
    let needed = env!("CARGO_PKG_RUST_VERSION");
    let line = format!("Rust 1.63 is too old; redis-lock needs {needed} or newer");
    assert!(said.contains(&line), "{said}");
}

/// The file at the top loads as it stands, from the project's folder.
#[test]
fn redis_conf_is_sound() {
    let conf = include_str!("../../redis.conf");
    for setting in [
        "loadmodule ",
        "redislock.max-ttl-ms 86400000",
        "appendonly yes",
        "appendfsync everysec",
        "min-replicas-to-write 1",
        "maxmemory-policy noeviction",
    ] {
        assert!(conf.contains(setting), "{setting}");
    }
}

/// The commands of the pages for a shell; INSTALL.md has a test of its own.
#[test]
fn every_block_for_a_shell_is_run() {
    let readme = include_str!("../../README.md");
    let moving = include_str!("../../docs/MOVING.md");
    let examples = include_str!("../../examples/README.md");
    let blocks = |page: &'static str| {
        let blocks = page.split("```sh\n").skip(1);
        blocks.filter_map(|rest| rest.split("```").next())
    };
    // Above.
    assert!(blocks(readme).eq(["make run\n"]));
    assert_eq!(blocks(moving).count(), 0);
    // CI runs the first and with it the second.
    let typed: Vec<&str> = blocks(examples).flat_map(str::lines).collect();
    let typed: Vec<&str> = typed
        .iter()
        .filter_map(|line| line.split("  ").next())
        .collect();
    let known = [
        "make test-clients",
        "make test-clients CLIENT=go",
        "make run",
    ];
    assert_eq!(typed, known);
}

/// Every `make target` that a page names can be made.
#[test]
fn the_targets_that_the_pages_name_are_there() {
    let makefile = include_str!("../../Makefile");
    let pages = [
        include_str!("../../README.md"),
        include_str!("../../docs/INSTALL.md"),
        include_str!("../../docs/MONITORING.md"),
        include_str!("../../docs/MOVING.md"),
        include_str!("../../examples/README.md"),
        include_str!("../../benches/RESULTS.md"),
    ];
    let mut named = 0;
    for page in pages {
        for rest in page.split("`make ").skip(1) {
            let target = rest.split([' ', '`', '\n']).next().unwrap_or_default();
            let rule = format!("\n{target}:");
            assert!(makefile.contains(&rule), "make {target}");
            named += 1;
        }
    }
    assert!(named > 10, "the pages name targets");
}
