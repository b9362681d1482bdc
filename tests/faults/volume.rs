//! Very many commands and no fault: every answer is known beforehand, but for the
//! tokens, and these are compared with all before.
//!
//! A trial is one round over all connections, in three pipelines each: all ask; who
//! was granted looks, writes, extends and raises; all give back. Between pipelines
//! everything is still, so that it is known who holds what: nothing of a round has to
//! be remembered but the largest token of each key.

use crate::campaign::{Campaign, Control, Outcome};
use crate::history::Stamp;
use crate::judge::Promise;
use crate::support::resp::{command, Wire};
use crate::support::Server;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

const CONNECTIONS: usize = 8;
/// How many requests each of them has in one pipeline.
const REQUESTS: usize = 64;
const KEYS: usize = 4_096;

/// How one asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Exclusive,
    Delayed,
    Limit(u64),
    Shared,
}

impl Mode {
    fn any(dice: &mut fastrand::Rng) -> Self {
        match dice.u8(0..8) {
            0 | 1 => Self::Shared,
            2 | 3 => Self::Limit(dice.u64(1..4)),
            4 => Self::Delayed,
            _ => Self::Exclusive,
        }
    }

    fn words(self) -> String {
        match self {
            Self::Exclusive => String::new(),
            Self::Delayed => " DELAY 5".into(),
            Self::Limit(holders) => format!(" LIMIT {holders}"),
            Self::Shared => " SHARED".into(),
        }
    }

    /// How many holders it bears, itself included.
    fn bears(self) -> usize {
        match self {
            Self::Exclusive | Self::Delayed => 1,
            Self::Limit(holders) => holders as usize,
            Self::Shared => usize::MAX,
        }
    }
}

/// One who asks in this round.
struct Request {
    key: usize,
    owner: u64,
    mode: Mode,
    token: Option<i64>,
}

struct Volume {
    links: Vec<Wire>,
    /// The largest token of each key, of all rounds before.
    highest: Vec<i64>,
    last: u64,
    granted: u64,
    operations: u64,
    broken: Vec<String>,
}

/// What is sent on one connection, and what must come back.
#[derive(Default)]
struct Pipeline {
    bytes: Vec<u8>,
    lines: Vec<String>,
    answers: Vec<String>,
}

impl Pipeline {
    fn says(&mut self, line: String, answer: impl Into<String>) {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        self.bytes.extend(command(&words));
        self.lines.push(line);
        self.answers.push(answer.into());
    }
}

impl Volume {
    fn round(&mut self, dice: &mut fastrand::Rng) {
        let mut requests: Vec<Vec<Request>> = Vec::new();
        for _ in 0..CONNECTIONS {
            requests.push((0..REQUESTS).map(|_| self.request(dice)).collect());
        }
        self.asks(&mut requests);
        let holders = self.compares(&requests);
        let used = requests.iter_mut().map(|of_one| {
            let mut pipeline = Pipeline::default();
            for request in of_one {
                uses(request, &holders, &self.highest, dice, &mut pipeline);
            }
            pipeline
        });
        let used: Vec<Pipeline> = used.collect();
        self.send(&used);
        let given = requests.iter().map(|of_one| {
            let mut pipeline = Pipeline::default();
            of_one.iter().for_each(|it| gives_back(it, &mut pipeline));
            pipeline
        });
        let given: Vec<Pipeline> = given.collect();
        self.send(&given);
        for request in requests.iter().flatten() {
            let highest = &mut self.highest[request.key];
            *highest = (*highest).max(request.token.unwrap_or_default());
        }
    }

    /// Half of the requests quarrel over a few keys.
    fn request(&mut self, dice: &mut fastrand::Rng) -> Request {
        self.last += 1;
        let keys = if dice.bool() { 0..KEYS / 16 } else { 0..KEYS };
        Request {
            key: dice.usize(keys),
            owner: self.last,
            mode: Mode::any(dice),
            token: None,
        }
    }

    /// All ask at the same time.
    fn asks(&mut self, requests: &mut [Vec<Request>]) {
        for (link, of_one) in self.links.iter_mut().zip(requests.iter()) {
            let mut pipeline = Pipeline::default();
            for Request {
                key, owner, mode, ..
            } in of_one
            {
                let line = format!("LOCK.ACQUIRE k{key} {owner} 600000{}", mode.words());
                pipeline.says(line, "");
            }
            link.send(&pipeline.bytes).expect("it listens");
        }
        for (link, of_one) in self.links.iter_mut().zip(requests) {
            for request in of_one {
                let answer = answer(link);
                self.operations += 1;
                match answer.strip_prefix(':').map(str::parse) {
                    Some(Ok(token)) => request.token = Some(token),
                    _ if answer == "$-1" => {}
                    _ => self.broken.push(format!("LOCK.ACQUIRE: {answer}")),
                }
            }
        }
    }

    /// Compares the tokens with each other and with those before. The holders of each
    /// key, by their tokens.
    fn compares(&mut self, requests: &[Vec<Request>]) -> BTreeMap<usize, Vec<i64>> {
        let mut holders: BTreeMap<usize, (usize, Vec<i64>)> = BTreeMap::new();
        let mut tokens = HashSet::new();
        for of_one in requests {
            let mut latest = 0;
            for request in of_one {
                let bears = usize::MAX;
                let (fewest, held) = holders.entry(request.key).or_insert((bears, Vec::new()));
                let Some(token) = request.token else { continue };
                self.granted += 1;
                *fewest = (*fewest).min(request.mode.bears());
                held.push(token);
                if token <= self.highest[request.key] || token <= latest {
                    let key = request.key;
                    let before = self.highest[key].max(latest);
                    self.broken.push(format!("k{key}: {token} after {before}"));
                }
                if !tokens.insert(token) {
                    self.broken.push(format!("{token} twice"));
                }
                latest = token;
            }
        }
        for (key, (fewest, held)) in &mut holders {
            held.sort_unstable();
            if held.is_empty() || held.len() > *fewest {
                self.broken
                    .push(format!("k{key}: {held:?}, of whom one bears {fewest}"));
            }
        }
        let holders = holders.into_iter();
        holders.map(|(key, (_, held))| (key, held)).collect()
    }

    /// Sends all, and compares all answers.
    fn send(&mut self, pipelines: &[Pipeline]) {
        for (link, pipeline) in self.links.iter_mut().zip(pipelines) {
            link.send(&pipeline.bytes).expect("it listens");
        }
        for (link, pipeline) in self.links.iter_mut().zip(pipelines) {
            for (line, wanted) in pipeline.lines.iter().zip(&pipeline.answers) {
                let answer = answer(link);
                self.operations += 1;
                // Of an error only its code matters.
                let is_as_wanted = match wanted.strip_prefix('-') {
                    Some(_) => answer.starts_with(wanted),
                    None => answer == *wanted,
                };
                if !is_as_wanted {
                    let what = format!("{line}: {answer} instead of {wanted}");
                    self.broken.push(what);
                }
            }
        }
    }
}

/// What one does who was told a token, or nil.
fn uses(
    request: &mut Request,
    holders: &BTreeMap<usize, Vec<i64>>,
    highest: &[i64],
    dice: &mut fastrand::Rng,
    pipeline: &mut Pipeline,
) {
    let Request { key, owner, .. } = *request;
    let held = &holders[&key];
    let old = highest[key];
    if old > 0 {
        pipeline.says(format!("LOCK.FENCE k{key} {old}"), ":0");
        let write = format!("LOCK.GUARD k{key} {old} SET {{k{key}}}v dead");
        pipeline.says(write, "-STALE");
    }
    let Some(token) = request.token else {
        pipeline.says(format!("LOCK.EXTEND k{key} {owner} 600000"), ":0");
        return;
    };
    pipeline.says(format!("LOCK.FENCE k{key} {token}"), ":1");
    let write = format!("LOCK.GUARD k{key} {token} SET {{k{key}}}v {owner}");
    pipeline.says(write, "+OK");
    let longer = format!("LOCK.EXTEND k{key} {owner} 600000 TOKEN {token}");
    pipeline.says(longer, ":1");
    let again = format!("LOCK.ACQUIRE k{key} {owner} 600000{}", request.mode.words());
    pipeline.says(again, format!(":{token}"));
    pipeline.says(format!("LOCK.FENCE k{key}"), format!(":{}", held[0]));
    // Who is alone may raise its token.
    let is_alone = held.len() == 1 && request.mode.bears() == 1;
    if is_alone && dice.u8(0..4) == 0 {
        let raised = token + dice.i64(0..1_000);
        let raise = format!("LOCK.EXTEND k{key} {owner} 600000 RAISE {raised}");
        pipeline.says(raise, format!(":{raised}"));
        pipeline.says(format!("LOCK.FENCE k{key}"), format!(":{raised}"));
        request.token = Some(raised);
    }
}

fn gives_back(request: &Request, pipeline: &mut Pipeline) {
    let Request { key, owner, .. } = *request;
    let Some(token) = request.token else {
        pipeline.says(format!("LOCK.RELEASE k{key} {owner}"), ":0");
        return;
    };
    let wrong = token + 1;
    pipeline.says(format!("LOCK.RELEASE k{key} {owner} TOKEN {wrong}"), ":0");
    pipeline.says(format!("LOCK.RELEASE k{key} {owner}"), ":1");
    pipeline.says(format!("LOCK.RELEASE k{key} {owner}"), ":0");
    pipeline.says(format!("LOCK.FENCE k{key} {token}"), ":0");
    let write = format!("LOCK.GUARD k{key} {token} SET {{k{key}}}v dead");
    pipeline.says(write, "-STALE");
}

fn answer(link: &mut Wire) -> String {
    let line = link.line().expect("it answers");
    String::from_utf8_lossy(&line).into_owned()
}

#[test]
fn very_many_commands_are_answered_as_they_must_be() {
    let mut campaign = Campaign::begin("volume, no faults", 30);
    let mut server = Server::start();
    campaign.runs_on(&mut server.client());
    let began = Stamp::now();
    let mut volume = Volume {
        links: (0..CONNECTIONS)
            .map(|_| Wire::connect(server.port()))
            .collect(),
        highest: vec![0; KEYS],
        last: 0,
        granted: 0,
        operations: 0,
        broken: Vec::new(),
    };
    while campaign.next_trial() {
        volume.round(campaign.dice());
        for what in volume.broken.drain(..).take(5) {
            campaign.object(what);
        }
    }
    let keys = server
        .client()
        .number("EVAL return(#redis.call('keys','k*')) 0");
    if keys > 0 {
        campaign.object(format!("{keys} locks are left"));
    }
    server.assert_healthy();
    let (granted, rounds) = (volume.granted, campaign.trials());
    println!("{granted} grants in {rounds} rounds, each compared in its round");
    let mut outcome = Outcome {
        operations: volume.operations,
        time: Duration::from_nanos(Stamp::now().0 - began.0),
        ..Outcome::none()
    };
    let mut client = server.client();
    campaign.all_are_free_again(&mut client, 1, Duration::ZERO, &mut outcome);
    campaign.end(outcome, Promise::OneHolder, Control::MayLose, 0);
}
