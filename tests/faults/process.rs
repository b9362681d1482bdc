//! Clients that are processes of their own, and the office where they work.
//!
//! The test program runs itself again as a client. The counters, the journal and
//! the clock stay here, in the office: a client says over a line of text what it is
//! about to do, and waits for the answer. What it says it will do is stamped before
//! it does it, and what it was told after it was told.
//!
//! | it says | before or after | and is told |
//! |---|---|---|
//! | `asks`                     | before LOCK.ACQUIRE          | `KEY UNIT THINKS-US`, or `end` |
//! | `nothing`                  | after it was told nil        | `ok` |
//! | `holds TOKEN`              | after it was told a token    | what is in the counters |
//! | `writes FENCED BARE`       | after it thought             | `ok` |
//! | `gives back`               | before LOCK.RELEASE          | `ok` |
//! | `gave 1`, `gave 0`         | after LOCK.RELEASE           | `ok` |

use crate::campaign::Outcome;
use crate::history::{Grant, Stamp, Unit};
use crate::resource::{Reading, Resource};
use crate::support::resp::Wire;
use crate::support::{eventually, pass};
use crate::workers::{name, owner, Busy, Habits, COUNTED};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Names the office and the server to a client.
const OFFICE: &str = "FAULTS_OFFICE";

/// The clients.
pub struct Processes {
    children: Vec<Child>,
    office: Arc<Office>,
    desks: Vec<JoinHandle<Vec<Grant>>>,
    began: Stamp,
}

/// What they share.
struct Office {
    habits: Habits,
    resource: Resource,
    server: u16,
    is_over: AtomicBool,
    operations: AtomicU64,
    busy: Vec<Mutex<Busy>>,
}

impl Processes {
    /// Starts them.
    pub fn start(server: u16, habits: Habits, seed: u64) -> Self {
        let busy = (0..habits.clients).map(|_| Mutex::default()).collect();
        let office = Arc::new(Office {
            habits,
            resource: Resource::new(habits.keys),
            server,
            is_over: AtomicBool::new(false),
            operations: AtomicU64::new(0),
            busy,
        });
        let mut processes = Self {
            children: Vec::new(),
            office,
            desks: Vec::new(),
            began: Stamp::now(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        for which in 0..habits.clients {
            let place = listener.local_addr().expect("a port");
            processes
                .children
                .push(client(place.port(), server, habits));
            let (link, _) = listener.accept().expect("a client");
            let desk = Desk {
                office: Arc::clone(&processes.office),
                dice: fastrand::Rng::with_seed(seed ^ (u64::from(which) << 32)),
                which: which as usize,
                last: u64::from(which + 1) << 40,
                journal: Vec::new(),
                open: None,
            };
            let desk = std::thread::spawn(move || desk.serve(&link));
            processes.desks.push(desk);
        }
        processes
    }

    /// The process of one of them.
    pub fn pid(&self, which: usize) -> u32 {
        self.children[which].id()
    }

    /// What one of them is about.
    pub fn busy(&self, which: usize) -> Busy {
        *self.office.busy[which].lock().expect("no panic")
    }

    /// Lets them finish what they do, and collects what they were told.
    pub fn finish(mut self) -> Outcome {
        self.office.is_over.store(true, Ordering::SeqCst);
        let mut grants = Vec::new();
        for desk in self.desks.drain(..) {
            grants.extend(desk.join().expect("a desk does not panic"));
        }
        for child in &mut self.children {
            let ended = eventually("a client ends", || child.try_wait().expect("ours"));
            assert!(ended.success(), "a client failed");
        }
        self.children.clear();
        Outcome {
            grants,
            operations: self.office.operations.load(Ordering::SeqCst),
            lost: self.office.resource.lost(),
            time: Duration::from_nanos(Stamp::now().0 - self.began.0),
        }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in &mut self.children {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// Runs this program again, as a client.
fn client(office: u16, server: u16, habits: Habits) -> Child {
    let Habits {
        ttl_ms, waits_ms, ..
    } = habits;
    let program = std::env::current_exe().expect("a test has a path");
    Command::new(program)
        .args([
            "--exact",
            "process::works_if_it_is_sent_to_an_office",
            "--nocapture",
        ])
        .env(OFFICE, format!("{office} {server} {ttl_ms} {waits_ms}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("this very program")
}

/// Where one client is listened to.
struct Desk {
    office: Arc<Office>,
    dice: fastrand::Rng,
    which: usize,
    last: u64,
    journal: Vec<Grant>,
    /// What the client is about: when it asked, the key, and its hold.
    open: Option<(Stamp, u32, Option<Grant>)>,
}

impl Desk {
    fn serve(mut self, link: &TcpStream) -> Vec<Grant> {
        link.set_nodelay(true).expect("a socket");
        let mut lines = BufReader::new(link);
        let mut line = String::new();
        while lines.read_line(&mut line).is_ok_and(|length| length > 0) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let mut answer = self.answer(&words);
            answer.push('\n');
            let mut link = link;
            if link.write_all(answer.as_bytes()).is_err() {
                break;
            }
            line.clear();
        }
        self.journal
    }

    fn answer(&mut self, words: &[&str]) -> String {
        let now = Stamp::now();
        let number = |at: usize| words.get(at).and_then(|word| word.parse::<i64>().ok());
        match words[0] {
            "asks" => return self.next_unit(now),
            "nothing" => self.is_about(0, 0),
            "holds" => return self.holds(number(1).expect("a token"), now),
            "writes" => {
                if let Some((_, key, Some(grant))) = &self.open {
                    let reading = Reading {
                        fenced: number(1).and_then(|value| u64::try_from(value).ok()),
                        bare: number(2).expect("a count") as u64,
                        timely: 0,
                    };
                    let resource = &self.office.resource;
                    resource.write(*key, grant.token, grant.unit, &reading);
                }
            }
            "gives" => {
                if let Some((_, _, Some(grant))) = &mut self.open {
                    // Until it is known whether it still held it.
                    grant.lost = Some(now);
                }
            }
            "gave" => {
                self.is_about(0, 0);
                if let Some((_, _, Some(mut grant))) = self.open.take() {
                    let given = grant.lost.take().expect("it gave it back");
                    if number(1) == Some(1) {
                        grant.until = grant.until.min(given);
                    } else {
                        grant.lost = Some(now);
                    }
                    self.journal.push(grant);
                }
            }
            other => panic!("{other}: what is that?"),
        }
        "ok".into()
    }

    fn next_unit(&mut self, now: Stamp) -> String {
        let habits = self.office.habits;
        if self.office.is_over.load(Ordering::SeqCst) {
            return "end".into();
        }
        let key = self.dice.u32(0..habits.keys);
        self.last += 1;
        self.open = Some((now, key, None));
        self.office.operations.fetch_add(2, Ordering::Relaxed);
        self.is_about(0, 1);
        let thinks = habits.thinks.mul_f64(self.dice.f64()).as_micros();
        format!("{key} {} {thinks}", self.last)
    }

    fn holds(&mut self, token: i64, now: Stamp) -> String {
        self.is_about(1, 0);
        let (asked, key, hold) = self.open.as_mut().expect("it asked");
        let unit = Unit(self.last);
        let ttl = Duration::from_millis(self.office.habits.ttl_ms);
        *hold = Some(Grant {
            key: *key,
            unit,
            token,
            asked: *asked,
            answered: now,
            until: asked.plus(ttl.mul_f64(COUNTED)),
            lost: None,
            server: self.office.server,
        });
        let reading = self.office.resource.read(*key, token, unit);
        let fenced = reading.fenced.map_or(-1, |value| value as i64);
        format!("{fenced} {}", reading.bare)
    }

    fn is_about(&self, holding: u32, asking: u32) {
        *self.office.busy[self.which].lock().expect("no panic") = Busy { holding, asking };
    }
}

/// A client's end of the line.
struct Line {
    lines: BufReader<TcpStream>,
}

impl Line {
    fn say(&mut self, what: &str) -> String {
        let sent = self
            .lines
            .get_mut()
            .write_all(format!("{what}\n").as_bytes());
        sent.expect("the office listens");
        let mut answer = String::new();
        self.lines
            .read_line(&mut answer)
            .expect("the office answers");
        answer.trim_end().to_owned()
    }
}

/// Asks the server, byte by byte: this reading goes on when the process was
/// stopped, where a client's library would see an interrupted call.
fn number(wire: &mut Wire, line: &str) -> Option<i64> {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    wire.send_command(&words).expect("the server listens");
    let answer = wire.line().expect("the server answers");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    if answer == "$-1" {
        return None;
    }
    let number = answer.strip_prefix(':').and_then(|it| it.parse().ok());
    Some(number.unwrap_or_else(|| panic!("{line}: {answer}")))
}

/// What a client does, if this process is one. As a test by itself it has nothing
/// to do.
#[test]
fn works_if_it_is_sent_to_an_office() {
    let Ok(office) = std::env::var(OFFICE) else {
        return;
    };
    let numbers: Vec<u64> = office
        .split(' ')
        .map(|it| it.parse().expect("a number"))
        .collect();
    let [office, server, ttl_ms, waits_ms] = numbers[..] else {
        panic!("{OFFICE}={office}");
    };
    let link = TcpStream::connect(("127.0.0.1", office as u16)).expect("an office");
    link.set_nodelay(true).expect("a socket");
    let mut line = Line {
        lines: BufReader::new(link),
    };
    let mut wire = Wire::connect(server as u16);
    loop {
        let unit = line.say("asks");
        let words: Vec<u64> = unit.split(' ').filter_map(|it| it.parse().ok()).collect();
        let [key, unit, thinks] = words[..] else {
            return;
        };
        let (key, owner) = (name(key as u32), owner(Unit(unit)));
        let ask = format!("LOCK.ACQUIRE {key} {owner} {ttl_ms} BLOCK {waits_ms}");
        let Some(token) = number(&mut wire, &ask) else {
            line.say("nothing");
            continue;
        };
        let read = line.say(&format!("holds {token}"));
        let (fenced, bare) = read.split_once(' ').expect("two counters");
        pass(Duration::from_micros(thinks));
        line.say(&format!("writes {fenced} {bare}"));
        line.say("gives back");
        let released = number(&mut wire, &format!("LOCK.RELEASE {key} {owner}"));
        let released = released.expect("0 or 1");
        line.say(&format!("gave {released}"));
    }
}
