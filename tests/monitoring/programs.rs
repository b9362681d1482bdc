//! Prometheus and redis_exporter, as processes that end with the test, and what
//! Prometheus answers.

use super::support::server::free_port;
use super::support::{eventually, patience, Server};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The one block of docs/MONITORING.md in this language.
fn block(language: &str) -> &'static str {
    let page = include_str!("../../docs/MONITORING.md");
    let opening = format!("```{language}\n");
    let mut blocks = page.split(&opening).skip(1);
    let block = blocks.next().and_then(|rest| rest.split("```").next());
    assert!(blocks.next().is_none(), "another block: {language}");
    block.unwrap_or_else(|| panic!("no block: {language}"))
}

/// Where the programs are.
pub struct Programs(PathBuf);

/// The programs that `make test-dashboard` fetches, or a line that says they are missing.
pub fn found() -> Option<Programs> {
    let folder = PathBuf::from(ROOT).join("target/monitoring/bin");
    if !folder.join("prometheus").exists() {
        // Past what cargo keeps to itself of a test that passes.
        let line = "skipped: Prometheus is not there; `make test-dashboard` fetches it";
        let _ = writeln!(std::io::stderr(), "{line}");
        return None;
    }
    Some(Programs(folder))
}

impl Programs {
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.0.join(name));
        command.current_dir(ROOT).stdin(Stdio::null());
        command
    }

    /// Runs promtool, which must be content.
    pub fn promtool(&self, words: &[&str]) {
        let output = self.command("promtool").args(words).output();
        let output = output.expect("promtool runs");
        assert!(output.status.success(), "{output:?}");
    }
}

/// A server that is being watched.
pub struct Watched {
    children: Vec<Child>,
    _folder: tempfile::TempDir,
    port: u16,
}

impl Watched {
    pub fn start(programs: &Programs, server: &Server) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let (exporter, port) = (free_port(), free_port());
        // As the page has it, but for where everybody listens.
        let config = block("yaml")
            .replace("127.0.0.1:9121", &format!("127.0.0.1:{exporter}"))
            .replace("[packaging/", &format!("[{ROOT}/packaging/"));
        let config = format!("global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n{config}");
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config).expect("a file of our own");
        let typed = block("sh").replace(":6379", &format!(":{}", server.port()));
        let mut words = typed.split_whitespace();
        assert_eq!(words.next(), Some("redis_exporter"));
        let asks = programs
            .command("prometheus-redis-exporter")
            .args(words)
            .arg(format!("--web.listen-address=127.0.0.1:{exporter}"))
            .stderr(Stdio::null())
            .spawn();
        let keeps = programs
            .command("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stderr(Stdio::null())
            .spawn();
        let children = vec![asks.expect("it runs"), keeps.expect("it runs")];
        let watched = Self {
            children,
            _folder: folder,
            port,
        };
        eventually("the first scrape", || {
            let is_up = watched.numbers("redis_up");
            (is_up == [1.0]).then_some(())
        });
        watched
    }

    /// What Prometheus answers to a path.
    pub fn get(&self, path: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(patience())).ok()?;
        // Of this version, answers are whole.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        serde_json::from_str(body).ok()
    }

    /// What an expression is now: a number for each series.
    pub fn numbers(&self, expression: &str) -> Vec<f64> {
        let encoded = expression.bytes().map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        });
        let path = format!("/api/v1/query?query={}", encoded.collect::<String>());
        let Some(answer) = self.get(&path) else {
            return Vec::new();
        };
        let series = answer["data"]["result"].as_array().cloned();
        let series = series.unwrap_or_else(|| panic!("{expression}: {answer}"));
        let number = |series: &Value| series["value"][1].as_str()?.parse().ok();
        series.iter().filter_map(number).collect()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
