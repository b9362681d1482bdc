//! Small worlds with several holders: three owners, one key or two, all options, and
//! every sequence of things that can happen.
//!
//! The judge knows nothing of the rules: it hears what owners ask and are told, and
//! judges that as a mutex, a read-write lock, a semaphore and a fenced register are
//! judged. Sequences are four steps long if all owners wait, and three behind a
//! beginning or if some only try; a `SMALL_WORLDS_DEPTH` above six makes them longer.

use crate::lock::{Answer, ClientId, Delay, Event, News, Patience, TicketId, Tolerance};
use crate::server::{Request, Server};

const KEYS: [&[u8]; 2] = [b"a", b"b"];
const OWNERS: [&[u8]; 3] = [b"ann", b"bob", b"eve"];
const TTL_MS: u64 = 10;
const MOST: [usize; 3] = [1, 2, usize::MAX];

/// What an owner asks for, whenever it asks.
#[derive(Clone, Copy, Debug)]
struct Options {
    /// How many it tolerates, itself included.
    most: usize,
    delay_ms: u64,
    waits: Waits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    Ever,
    Never,
}

/// All there are.
fn all_options() -> Vec<Options> {
    let mut all = Vec::new();
    for most in MOST {
        for delay_ms in [0, TTL_MS] {
            for waits in [Waits::Ever, Waits::Never] {
                all.push(Options {
                    most,
                    delay_ms,
                    waits,
                });
            }
        }
    }
    all
}

/// What can happen; the first number is the owner's, the second the key's.
#[derive(Clone, Copy, Debug)]
enum Step {
    Ask(usize, usize),
    Release(usize, usize),
    Die(usize),
    Pass,
    Turn,
}

fn steps(keys: usize) -> Vec<Step> {
    let mut steps = vec![Step::Pass, Step::Turn];
    for owner in 0..OWNERS.len() {
        steps.push(Step::Die(owner));
        for key in 0..keys {
            steps.extend([Step::Ask(owner, key), Step::Release(owner, key)]);
        }
    }
    steps
}

/// A grant, as its owner knows it.
#[derive(Clone, Copy, Debug)]
struct Known {
    owner: usize,
    key: usize,
    token: u64,
    most: usize,
    live_until_ns: u64,
    counts_until_ns: u64,
}

/// Somebody in line.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    ticket: TicketId,
    owner: usize,
    key: usize,
}

struct World {
    server: Server,
    options: [Options; 3],
    clients: [u64; 3],
    known: Vec<Known>,
    waiting: Vec<Waiting>,
    token_most: u64,
    /// What the resource of each key has seen; it refuses what is smaller.
    fenced: [u64; 2],
}

impl World {
    fn new() -> Self {
        Self {
            server: Server::new(),
            options: [all_options()[0]; 3],
            clients: [1, 2, 3],
            known: Vec::new(),
            waiting: Vec::new(),
            token_most: 0,
            fenced: [0; 2],
        }
    }

    fn now_ns(&self) -> u64 {
        self.server.now.as_ns()
    }

    fn live(&self, key: usize) -> impl Iterator<Item = &Known> {
        let now_ns = self.now_ns();
        let of_key = self.known.iter().filter(move |it| it.key == key);
        of_key.filter(move |it| now_ns < it.live_until_ns)
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Ask(owner, key) => self.ask(owner, key),
            Step::Release(owner, key) => self.release(owner, key),
            Step::Die(owner) => self.die(owner),
            Step::Pass => {
                self.server.advance_ms(TTL_MS);
                let now_ns = self.now_ns();
                self.known.retain(|it| now_ns < it.counts_until_ns);
            }
            Step::Turn => self.server.turn(),
        }
        self.hear();
    }

    fn ask(&mut self, owner: usize, key: usize) {
        let options = self.options[owner];
        let request = Request {
            session: ClientId::new(self.clients[owner]),
            tolerates: match options.most {
                usize::MAX => Tolerance::ANY,
                most => Tolerance::limit(most as u64).expect("few"),
            },
            delay: Delay::from_ms(options.delay_ms).expect("short"),
            patience: match options.waits {
                Waits::Never => Patience::Try,
                Waits::Ever => Patience::Wait {
                    until: None,
                    waiters_most: 20,
                },
            },
            ..Request::plain(OWNERS[owner], TTL_MS)
        };
        let is_held = self.live(key).find(|it| it.owner == owner).copied();
        let is_first = self.waiting.iter().all(|it| it.key != key);
        let is_free = is_first && self.has_room(key, options.most);
        match self.server.ask(KEYS[key], request).0 {
            Answer::Token(token) => match is_held {
                Some(known) => {
                    assert_eq!(known.token, token.get(), "same-answer");
                    self.known.retain(|it| it.token != known.token);
                    self.know(owner, key, token.get());
                }
                None => {
                    assert!(is_free, "somebody was let in too early");
                    self.granted(owner, key, token.get());
                }
            },
            Answer::InLine(ticket) => {
                assert!(is_held.is_none() && options.waits == Waits::Ever);
                assert!(!is_free, "nobody is in the way");
                self.waiting.push(Waiting { ticket, owner, key });
            }
            Answer::NoToken => {
                assert!(is_held.is_none() && options.waits == Waits::Never);
                assert!(!is_free, "nobody is in the way");
            }
            answer => panic!("{answer:?}"),
        }
    }

    /// A mutex, a read-write lock and a semaphore in one: nobody is one of more than
    /// it tolerates, and who cools is one of them.
    fn has_room(&self, key: usize, most: usize) -> bool {
        let there = || self.known.iter().filter(|it| it.key == key);
        let with_it = there().count() + 1;
        with_it <= most && there().all(|it| with_it <= it.most)
    }

    fn granted(&mut self, owner: usize, key: usize, token: u64) {
        assert!(self.has_room(key, self.options[owner].most), "one too many");
        assert!(token > self.token_most, "tokens-rise");
        self.token_most = token;
        self.know(owner, key, token);
    }

    fn know(&mut self, owner: usize, key: usize, token: u64) {
        let Options { most, delay_ms, .. } = self.options[owner];
        let live_until_ns = self.now_ns() + TTL_MS * 1_000_000;
        self.known.push(Known {
            owner,
            key,
            token,
            most,
            live_until_ns,
            counts_until_ns: live_until_ns + delay_ms * 1_000_000,
        });
    }

    fn release(&mut self, owner: usize, key: usize) {
        let held = self.live(key).find(|it| it.owner == owner).copied();
        let (answer, _) = self.server.release(KEYS[key], OWNERS[owner], None);
        assert_eq!(answer == Answer::Yes, held.is_some());
        // Without a live one, those that cool are what is given up.
        let is_it = |it: &Known| match held {
            Some(held) => it.token == held.token,
            None => it.owner == owner && it.key == key,
        };
        self.known.retain(|it| !is_it(it));
    }

    fn die(&mut self, owner: usize) {
        let client = ClientId::new(self.clients[owner]).expect("not zero");
        self.clients[owner] += OWNERS.len() as u64;
        self.server.silently(Event::SessionEnded(client));
        let (gone, left) = self.waiting.drain(..).partition(|it| it.owner == owner);
        self.waiting = left;
        for Waiting { ticket, .. } in gone {
            self.server.silently(Event::TicketGone(ticket));
        }
        let now_ns = self.now_ns();
        let delay_ns = self.options[owner].delay_ms * 1_000_000;
        for it in &mut self.known {
            if it.owner == owner && now_ns < it.live_until_ns {
                it.live_until_ns = now_ns;
                it.counts_until_ns = now_ns + delay_ns;
            }
        }
        self.known.retain(|it| now_ns < it.counts_until_ns);
    }

    /// in-line: of those who wait for a key the first is granted first, and all
    /// connections of an owner at once.
    fn hear(&mut self) {
        let mut last: Option<(usize, usize, u64)> = None;
        for (ticket, news) in std::mem::take(&mut self.server.told) {
            let position = self.waiting.iter().position(|it| it.ticket == ticket);
            let Waiting { owner, key, .. } = self.waiting[position.expect("it waits")];
            if let News::Granted(token) = news {
                let again = last == Some((owner, key, token.get()));
                if !again {
                    let first = self.waiting.iter().find(|it| it.key == key);
                    assert_eq!(first.map(|it| it.ticket), Some(ticket), "in-line");
                    self.granted(owner, key, token.get());
                }
                last = Some((owner, key, token.get()));
                self.server.silently(Event::TicketDelivered(ticket));
            }
            self.waiting.retain(|it| it.ticket != ticket);
        }
    }

    /// What the server says is live is what owners know of, and no write of a live
    /// exclusive holder is lost, though those who were outrun write on.
    fn check(&mut self) {
        for (key, name) in KEYS.iter().enumerate() {
            let lowest = self.live(key).map(|it| it.token).min();
            let answer = self.server.fence(name, None);
            let told = match answer {
                Answer::Token(token) => Some(token.get()),
                _ => None,
            };
            assert_eq!(told, lowest);
            let exclusive = self.live(key).find(|it| it.most == 1).map(|it| it.token);
            if let Some(token) = exclusive {
                assert!(token >= self.fenced[key], "a live writer is refused");
            }
            let writes = self.known.iter().filter(|it| it.key == key);
            let most = writes.map(|it| it.token).max().unwrap_or(0);
            self.fenced[key] = self.fenced[key].max(most);
        }
    }

    /// Nobody is forgotten, and nothing is left.
    fn wind_up(&mut self) {
        for _ in 0..12 {
            if self.server.locks.len() + self.waiting.len() == 0 {
                break;
            }
            self.take(Step::Pass);
            self.take(Step::Turn);
        }
        assert_eq!(self.server.locks.broken_invariant(), None);
        let locks = &self.server.locks;
        assert_eq!(
            locks.len() + locks.waiting() + self.server.keys().count(),
            0
        );
        assert!(self.waiting.is_empty() && self.known.is_empty());
        self.server.sent.clear();
    }

    /// Every sequence of `depth` of the steps, behind those of `first`.
    fn run(&mut self, options: [Options; 3], first: &[Step], (steps, depth): (&[Step], u32)) {
        self.options = options;
        for number in 0..steps.len().pow(depth) {
            let mut rest = number;
            let sequence = (0..depth).map(|_| {
                let step = steps[rest % steps.len()];
                rest /= steps.len();
                step
            });
            for step in first.iter().copied().chain(sequence) {
                self.take(step);
                self.check();
            }
            self.wind_up();
        }
    }
}

fn depth() -> u32 {
    let from_environment = std::env::var("SMALL_WORLDS_DEPTH");
    let depth = from_environment.ok().and_then(|depth| depth.parse().ok());
    depth.unwrap_or(6) - 2
}

/// Each three of them, in whatever order.
fn threes(of: &[Options]) -> Vec<[Options; 3]> {
    let mut threes = Vec::new();
    for (third, &c) in of.iter().enumerate() {
        for (second, &b) in of.iter().enumerate().take(third + 1) {
            threes.extend(of.iter().take(second + 1).map(|&a| [a, b, c]));
        }
    }
    threes
}

#[test]
fn in_every_small_world_with_one_key_owners_are_together_as_each_tolerates() {
    let steps = steps(1);
    let mut world = World::new();
    for options in threes(&all_options()) {
        let all_wait = options.iter().all(|it| it.waits == Waits::Ever);
        let depth = if all_wait { depth() } else { depth() - 1 };
        world.run(options, &[], (&steps, depth));
    }
}

#[test]
fn in_every_small_world_in_which_all_three_asked_the_same_is_true() {
    let steps = steps(1);
    let mut waiters = all_options();
    waiters.retain(|options| options.waits == Waits::Ever);
    let mut world = World::new();
    let first = [Step::Ask(0, 0), Step::Ask(1, 0), Step::Ask(2, 0)];
    for &a in &waiters {
        for &b in &waiters {
            for &c in &waiters {
                world.run([a, b, c], &first, (&steps, depth() - 1));
            }
        }
    }
}

#[test]
fn in_every_small_world_with_two_keys_the_same_is_true_of_each() {
    let steps = steps(2);
    let mut some = all_options();
    some.retain(|it| it.waits == Waits::Ever && (it.delay_ms > 0) == (it.most != 2));
    let mut world = World::new();
    for options in threes(&some) {
        world.run(options, &[Step::Ask(0, 0)], (&steps, depth() - 1));
    }
}
