//! A server under callgrind: counts set to zero, counts written, and what was
//! written read again.

use serde::Serialize;
use stand::server::{Server, Start};
use stand::Failure;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A server whose instructions are counted.
pub struct Counted {
    /// The server.
    pub server: Server,
    written: usize,
}

impl Counted {
    /// Starts it.
    pub fn start(program: &Path, module: &Path) -> Result<Self, Failure> {
        let under = [
            "valgrind",
            "-q",
            "--tool=callgrind",
            // The program may be a script that becomes the server.
            "--trace-children=yes",
            "--callgrind-out-file=%folder%/counts",
            "--vgdb-prefix=%folder%/pipe",
        ];
        let words = |words: &[&str]| words.iter().map(|&it| it.to_owned()).collect();
        let server = Server::start(&Start {
            program: program.to_owned(),
            module: Some(module.to_owned()),
            // The server's own chores, once a second instead of ten times.
            arguments: words(&["--hz", "1"]),
            under: words(&under),
        })?;
        Ok(Self { server, written: 0 })
    }

    /// What follows is counted from zero.
    pub fn zero(&self) -> Result<(), Failure> {
        self.tell("zero")
    }

    /// What was counted since.
    pub fn counts(&mut self) -> Result<Counts, Failure> {
        self.tell("dump")?;
        self.written += 1;
        let name = format!("counts.{}", self.written);
        let path = self.server.folder().join(name);
        let text = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Counts::read(&String::from_utf8_lossy(&text))
    }

    fn tell(&self, word: &str) -> Result<(), Failure> {
        let pipe: PathBuf = self.server.folder().join("pipe");
        let output = Command::new("vgdb")
            .arg(format!("--pid={}", self.server.id()))
            .arg(format!("--vgdb-prefix={}", pipe.display()))
            .arg(word)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("vgdb: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("vgdb {word}: {said}").into())
    }
}

/// The instructions of one function, without those of what it calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Function {
    /// The program or library, without its folder.
    pub object: String,
    /// Its name.
    pub name: String,
    /// How many instructions.
    pub instructions: u64,
}

/// All that was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The costliest first.
    pub functions: Vec<Function>,
}

/// Names are written out once, `(7) name`, and are `(7)` from then on.
#[derive(Default)]
struct Names(HashMap<String, String>);

impl Names {
    fn known<'a>(&mut self, written: &'a str) -> Result<&'a str, Failure> {
        match written.split_once(' ') {
            Some((number, name)) => {
                self.0.insert(number.to_owned(), name.to_owned());
                Ok(number)
            }
            None if self.0.contains_key(written) => Ok(written),
            None => Err(format!("callgrind: {written} has no name").into()),
        }
    }

    fn name(&self, number: &str) -> &str {
        self.0.get(number).map_or("?", String::as_str)
    }
}

impl Counts {
    /// Reads what callgrind wrote, and holds it against the sum that it wrote.
    pub fn read(text: &str) -> Result<Self, Failure> {
        let (mut objects, mut functions) = (Names::default(), Names::default());
        let (mut object, mut function) = (String::new(), String::new());
        let mut costs: HashMap<(String, String), u64> = HashMap::new();
        let (mut is_of_a_call, mut totals, mut sum) = (false, None, 0);
        for line in text.lines() {
            match line.split_once('=') {
                Some(("ob", it)) => object = objects.known(it)?.to_owned(),
                Some(("fn", it)) => function = functions.known(it)?.to_owned(),
                // Who is called: its cost is written where it is the function.
                Some(("cob", it)) => _ = objects.known(it)?,
                Some(("cfn", it)) => _ = functions.known(it)?,
                Some(("calls", _)) => is_of_a_call = true,
                Some(_) => {}
                None if line.starts_with("totals: ") => totals = line[8..].trim().parse().ok(),
                None => {
                    let Some(cost) = cost(line) else { continue };
                    if !std::mem::take(&mut is_of_a_call) {
                        sum += cost;
                        *costs.entry((object.clone(), function.clone())).or_default() += cost;
                    }
                }
            }
        }
        if totals != Some(sum) {
            return Err(format!("callgrind: the sum is {totals:?}, its parts are {sum}").into());
        }
        let named = |((object, function), instructions): ((String, String), u64)| Function {
            object: shown(objects.name(&object)).to_owned(),
            name: functions.name(&function).to_owned(),
            instructions,
        };
        let mut functions: Vec<Function> = costs.into_iter().map(named).collect();
        functions.sort_by(|a, b| {
            let by_cost = b.instructions.cmp(&a.instructions);
            by_cost.then_with(|| a.name.cmp(&b.name))
        });
        Ok(Self { functions })
    }

    /// How many in the objects that are meant.
    pub fn within(&self, is_meant: impl Fn(&str) -> bool) -> u64 {
        let meant = self.functions.iter().filter(|it| is_meant(&it.object));
        meant.map(|it| it.instructions).sum()
    }
}

/// An object's name without its folder. The program that checks files is a link to
/// the server, or the other way round.
fn shown(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_server = name.contains("-server") || name.contains("-check-");
    if is_server {
        "the server"
    } else {
        name
    }
}

/// The cost in a line `position cost`; a position is a number, `+n`, `-n` or `*`.
fn cost(line: &str) -> Option<u64> {
    let (position, cost) = line.split_once(' ')?;
    let digits = position.trim_start_matches(['+', '-', '*']);
    let is_position = !position.is_empty() && digits.chars().all(|it| it.is_ascii_digit());
    is_position.then(|| cost.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN: &str = "\
version: 1
cmd: redis-server --port 1
part: 1
positions: line
events: Ir
summary: 41

ob=(1) /usr/bin/redis-check-rdb
fl=(1) ???
fn=(1) main
0 7
+3 1
cob=(2) /some/where/libredis_lock.so
cfn=(2) redis_lock::acquire
calls=2 0
* 30

ob=(2)
fn=(2)
-1 30

ob=(1)
fn=(1)
* 4

totals: 42
";

    #[test]
    fn instructions_are_counted_once_where_they_ran() {
        let counts = Counts::read(WRITTEN).expect("counts");
        let function = |object: &str, name: &str, instructions| Function {
            object: object.into(),
            name: name.into(),
            instructions,
        };
        let acquire = function("libredis_lock.so", "redis_lock::acquire", 30);
        let main = function("the server", "main", 12);
        assert_eq!(counts.functions, [acquire, main]);
        assert_eq!(counts.within(|it| it == "libredis_lock.so"), 30);
    }

    #[test]
    fn parts_that_are_not_the_whole_are_an_error() {
        let more = WRITTEN.replace("totals: 42", "totals: 43");
        assert!(Counts::read(&more).is_err());
        assert!(Counts::read(&WRITTEN.replace("fn=(2)\n", "fn=(3)\n")).is_err());
    }
}
