//! The commands of docs/INSTALL.md, typed as they stand on a stage: a folder stands for
//! the root of the machine, and a server that is there already, with data, for its
//! service. What needs rights on the machine itself is played: sudo, systemctl, apt-get.

use super::support::server::{binary, free_port};
use super::support::{eventually, Client};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const PAGE: &str = include_str!("../../docs/INSTALL.md");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// `systemctl restart`: ends the server and starts it on what is in /etc/redis now.
const RESTART: &str = r#"
if [ -f "$STAGE/pid" ]; then
  pid=$(cat "$STAGE/pid")
  kill "$pid"
  for _ in $(seq 400); do kill -0 "$pid" 2>/dev/null || break; sleep 0.05; done
fi
# The root of the machine is our folder.
sed -i -E "s|^loadmodule \"?/usr/|loadmodule $STAGE/usr/|" "$STAGE/etc/redis/redis.conf"
"$SERVER" "$STAGE/etc/redis/redis.conf" --daemonize yes
for _ in $(seq 400); do
  redis-cli PING 2>/dev/null | grep -q PONG && exit
  sleep 0.05
done
tail -5 "$STAGE/log" >&2
exit 1
"#;

/// A machine with a server of its distribution.
struct Stage {
    folder: tempfile::TempDir,
    port: u16,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let stage = Self {
            folder,
            port: free_port(),
        };
        for name in ["bin", "etc/redis"] {
            fs::create_dir_all(stage.path(name)).expect("a folder of our own");
        }
        let at = stage.path("").display().to_string();
        let conf = format!(
            "bind 127.0.0.1\nport {}\ndir {at}\npidfile {at}pid\nlogfile {at}log\nsave 3600 1\n",
            stage.port
        );
        fs::write(stage.path("etc/redis/redis.conf"), conf).expect("a file of our own");
        stage.plays("sudo", "exec \"$@\"");
        stage.plays(
            "make",
            "exec /usr/bin/env -u MAKELEVEL \"$MAKE\" DESTDIR=\"$STAGE\" \"$@\"",
        );
        stage.plays("redis-cli", "exec \"$REDIS_CLI\" -p \"$PORT\" \"$@\"");
        stage.plays(
            "apt-get",
            "[ \"$1\" = install ] && exec dpkg -x \"$2\" \"$STAGE\"",
        );
        stage.plays(
            "systemctl",
            &format!("[ \"$1\" = restart ] || exit 0\n{RESTART}"),
        );
        assert_done(&stage.types("systemctl restart redis-server\nredis-cli SET plain 1"));
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn plays(&self, name: &str, script: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, format!("#!/bin/bash\nset -eu\n{script}\n")).expect("a file of our own");
        let made = Command::new("chmod").arg("+x").arg(&path).status();
        assert!(made.is_ok_and(|status| status.success()));
    }

    /// Types it in the project's folder; ends at the first command that fails.
    fn types(&self, block: &str) -> Output {
        let own = self.path("etc/redis/").display().to_string();
        let block = block.replace("/etc/redis/", &own);
        let path = std::env::var("PATH").unwrap_or_default();
        Command::new("bash")
            .args(["-eu", "-o", "pipefail", "-c", &block])
            .current_dir(ROOT)
            .env_remove("CARGO_MANIFEST_DIR")
            .env_remove("MAKEFLAGS")
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env("STAGE", self.folder.path())
            .env("SERVER", binary())
            .env("MAKE", found("make"))
            .env("REDIS_CLI", found("redis-cli"))
            .env("PORT", self.port.to_string())
            .stdin(Stdio::null())
            .output()
            .expect("bash is installed")
    }

    fn client(&self) -> Client {
        eventually("a connection", || Client::try_connect(self.port))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(mut client) = Client::try_connect(self.port) {
            let _ = client.try_call(&["SHUTDOWN", "NOSAVE"]);
        }
    }
}

/// Says so past what cargo keeps to itself of a test that passes.
fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

/// Where a program is that the stage plays.
fn found(name: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    let places = path.split(':').map(|place| Path::new(place).join(name));
    let mut there = places.filter(|place| place.is_file());
    there
        .next()
        .unwrap_or_else(|| panic!("{name} is installed"))
}

fn assert_done(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The blocks of shell commands under this heading.
fn blocks(heading: &str) -> Vec<&'static str> {
    let section = PAGE.split(&format!("\n## {heading}\n")).nth(1);
    let section = section.unwrap_or_else(|| panic!("no section {heading}"));
    let section = section.split("\n## ").next().unwrap_or_default();
    let blocks = section.split("```sh\n").skip(1);
    blocks.filter_map(|rest| rest.split("```").next()).collect()
}

/// Types a section; it ends with a token, and what the server had is still there.
fn installs(heading: &str) -> Stage {
    let stage = Stage::new();
    let said = assert_done(&stage.types(blocks(heading)[0]));
    let token = said.lines().last().unwrap_or_default();
    assert!(
        token.parse::<u64>().is_ok_and(|token| token > 1 << 40),
        "{said}"
    );
    assert_eq!(stage.client().text("GET plain"), "1");
    stage
}

#[test]
fn every_block_of_the_page_is_typed_here() {
    let typed = [
        "From source",
        "As a Debian package",
        "A server that has data",
    ];
    let typed: Vec<&str> = typed.into_iter().flat_map(blocks).collect();
    let all = PAGE.split("```sh\n").skip(1);
    for block in all.filter_map(|rest| rest.split("```").next()) {
        let is_dockers = block.lines().all(|line| line.starts_with("docker "));
        assert!(is_dockers || typed.contains(&block), "{block}");
    }
}

#[test]
fn what_make_installs_locks_and_goes_again() {
    let stage = installs("From source");
    let module = stage.path("usr/local/lib/redis/modules/libredis_lock.so");
    let lines = stage.path("usr/local/share/redis-lock/redis-lock.conf");
    let text = fs::read_to_string(&lines).expect("the settings");
    assert!(text.contains("\nloadmodule /usr/local/lib/redis/modules/libredis_lock.so\n"));
    assert!(text.contains("\nredislock.max-ttl-ms "), "{text}");
    assert!(
        !text.contains("appendonly"),
        "the module's section only: {text}"
    );
    // Each file of the page's table.
    let named = PAGE.lines().filter_map(|line| line.strip_prefix("| `/"));
    let named: Vec<&str> = named.filter_map(|line| line.split('`').next()).collect();
    assert_eq!(named.len(), 4, "{named:?}");
    for name in named {
        assert!(stage.path(name).exists(), "{name}");
    }
    assert_done(&stage.types("sudo make uninstall"));
    assert!(!module.exists() && !lines.exists());
    let left = stage.types("find \"$STAGE/usr\" -type f");
    assert_eq!(assert_done(&left), "");
}

#[test]
fn make_install_puts_things_where_it_is_told_to() {
    let stage = Stage::new();
    let said = assert_done(&stage.types("make build && make install PREFIX=/opt/x"));
    assert!(
        said.contains("\n    loadmodule /opt/x/lib/redis/modules/libredis_lock.so\n"),
        "{said}"
    );
    assert!(stage
        .path("opt/x/lib/redis/modules/libredis_lock.so")
        .is_file());
    assert!(!stage.path("usr").exists());
    let unit = stage.path("opt/x/lib/systemd/system/redis-server.service.d/redis-lock.conf");
    let unit = fs::read_to_string(unit).expect("the drop-in");
    assert!(
        unit.contains("\nExecPaths=-/opt/x/lib/redis/modules\n"),
        "{unit}"
    );
}

/// Building the package needs cargo-deb, which `make deb` fetches; this test does not.
#[test]
fn the_debian_package_locks_and_its_checksums_are_right() {
    if !Path::new(ROOT).join("target/tools/bin/cargo-deb").exists() {
        skipped("cargo-deb is not there; `make deb` fetches it");
        return;
    }
    let stage = installs("As a Debian package");
    assert!(stage.path("usr/share/redis-lock/redis-lock.conf").is_file());
    let about = assert_done(&stage.types("dpkg-deb -I target/debian/redis-lock_*.deb"));
    assert!(
        about.contains("redis-server (>= 5:7.0) | valkey-server"),
        "{about}"
    );
    let said = assert_done(&stage.types(blocks("As a Debian package")[1]));
    let checked = said.lines().filter(|line| line.ends_with(": OK")).count();
    assert_eq!(checked, 2, "{said}");
}

#[test]
fn the_log_is_turned_on_without_a_loss() {
    let stage = installs("From source");
    for block in blocks("A server that has data") {
        assert_done(&stage.types(block));
    }
    assert_done(&stage.types("sudo systemctl restart redis-server"));
    let mut client = stage.client();
    assert_eq!(client.text("GET plain"), "1");
    assert!(client.fence("seat:42").is_some(), "the lock is in the log");
    assert_eq!(client.info("aof_enabled"), "1");
}

/// As in Debian's unit: only what lies in some folders may be mapped as code.
#[test]
fn the_drop_in_is_one_that_systemd_reads() {
    let stage = Stage::new();
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        skipped("systemd-analyze is not there");
        return;
    }
    assert_done(&stage.types("make build && make install"));
    let units = stage.path("usr/local/lib/systemd/system");
    let unit = "[Service]\nExecStart=/bin/true\nNoExecPaths=/\nExecPaths=/usr/lib /lib /bin\n";
    fs::write(units.join("redis-server.service"), unit).expect("a file of our own");
    let verify = |units: &Path| {
        let output = Command::new("systemd-analyze")
            .args(["verify", "redis-server.service"])
            .env("SYSTEMD_UNIT_PATH", format!("{}:", units.display()))
            .output();
        String::from_utf8_lossy(&output.expect("it is installed").stderr).into_owned()
    };
    let said = verify(&units);
    assert!(!said.contains("redis-lock.conf"), "{said}");
    // It would say so.
    let drop_in = units.join("redis-server.service.d/redis-lock.conf");
    let text = fs::read_to_string(&drop_in).expect("the drop-in");
    fs::write(&drop_in, text.replace("ExecPaths=", "ExecPath=")).expect("a file of our own");
    assert!(verify(&units).contains("redis-lock.conf"));
}
