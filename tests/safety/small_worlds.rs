//! Small worlds: two owners, one key, and every sequence of things that can
//! happen to it, judged by what the two owners may believe.
//!
//! `SMALL_WORLDS_DEPTH` makes the sequences longer than six.

use crate::lock::Answer;
use crate::server::Server;

const KEY: &[u8] = b"lock";
const OWNERS: [&[u8]; 2] = [b"ann", b"bob"];
const TTL_MS: u64 = 10;

/// What can happen; the number is the owner's.
#[derive(Clone, Copy, Debug)]
enum Step {
    Acquire(usize),
    Release(usize),
    Extend(usize),
    WaitWhole,
    WaitHalf,
    Turn,
    Del,
    Flush,
    Swap,
    RenameThereAndBack,
}

/// Sorted so that the first eleven are the ones that matter most.
const STEPS: [Step; 13] = [
    Step::Acquire(0),
    Step::Acquire(1),
    Step::Release(0),
    Step::Release(1),
    Step::Extend(0),
    Step::Extend(1),
    Step::WaitWhole,
    Step::WaitHalf,
    Step::Turn,
    Step::Del,
    Step::Flush,
    Step::Swap,
    Step::RenameThereAndBack,
];

/// What an owner was told, and may rely on until its deadline.
#[derive(Clone, Copy, Debug)]
struct Belief {
    token: u64,
    deadline_ns: u64,
}

struct World {
    server: Server,
    beliefs: [Option<Belief>; 2],
    token_most: u64,
}

impl World {
    fn new() -> Self {
        Self {
            server: Server::new(),
            beliefs: [None, None],
            token_most: 0,
        }
    }

    /// The key as if it had never been there. Tokens and handles go on.
    fn begin_anew(&mut self) {
        self.server.flush(None);
        self.server.turn();
        self.server.sent.clear();
        assert!(self.server.locks.is_empty());
        self.beliefs = [None, None];
    }

    fn deadline_ns(&self) -> u64 {
        self.server.now.as_ns() + TTL_MS * 1_000_000
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Acquire(owner) => self.acquire(owner),
            Step::Release(owner) => {
                let (answer, _) = self.server.release(KEY, OWNERS[owner], None);
                let is_held = self.beliefs[owner].take().is_some();
                assert_eq!(answer == Answer::Yes, is_held);
            }
            Step::Extend(owner) => {
                let (answer, _) = self.server.extend(KEY, OWNERS[owner], TTL_MS);
                assert_eq!(answer == Answer::Yes, self.beliefs[owner].is_some());
                let deadline_ns = self.deadline_ns();
                if let Some(belief) = &mut self.beliefs[owner] {
                    belief.deadline_ns = deadline_ns;
                }
            }
            Step::WaitWhole => self.server.advance_ms(TTL_MS),
            Step::WaitHalf => self.server.advance_ms(TTL_MS / 2),
            Step::Turn => self.server.turn(),
            Step::Del => {
                self.server.del(KEY);
                self.beliefs = [None, None];
            }
            Step::Flush => {
                self.server.flush(None);
                self.beliefs = [None, None];
            }
            Step::Swap => {
                self.server.swap_dbs(0, 1);
                self.beliefs = [None, None];
            }
            Step::RenameThereAndBack => {
                self.server.rename(KEY, b"elsewhere");
                self.server.rename(b"elsewhere", KEY);
                self.beliefs = [None, None];
            }
        }
        let now_ns = self.server.now.as_ns();
        for belief in &mut self.beliefs {
            *belief = belief.filter(|belief| now_ns < belief.deadline_ns);
        }
    }

    /// tokens-rise: a grant is new and larger than all, or the one it was.
    fn acquire(&mut self, owner: usize) {
        let (answer, _) = self.server.acquire(KEY, OWNERS[owner], TTL_MS);
        let is_others = self.beliefs[1 - owner].is_some();
        let Answer::Token(token) = answer else {
            assert!(is_others, "a free lock was refused");
            return;
        };
        assert!(!is_others, "the lock was somebody's, before its time");
        match self.beliefs[owner] {
            Some(belief) => assert_eq!(token.get(), belief.token),
            None => assert!(token.get() > self.token_most),
        }
        self.token_most = token.get();
        self.beliefs[owner] = Some(Belief {
            token: token.get(),
            deadline_ns: self.deadline_ns(),
        });
    }

    /// one-holder and never-early: at most one owner believes, and it is right.
    fn check(&mut self) {
        let believed = match self.beliefs {
            [Some(_), Some(_)] => panic!("two owners hold the lock"),
            [Some(belief), None] | [None, Some(belief)] => Some(belief.token),
            [None, None] => None,
        };
        let live = match self.server.fence(KEY, None) {
            Answer::Token(token) => Some(token.get()),
            _ => None,
        };
        assert_eq!(live, believed);
    }
}

/// Runs every sequence of `depth` of the steps; shorter ones are their beginnings.
fn run_every_sequence(steps: &[Step], depth: u32) {
    let mut world = World::new();
    for number in 0..steps.len().pow(depth) {
        let mut rest = number;
        let sequence = (0..depth).map(|_| {
            let step = steps[rest % steps.len()];
            rest /= steps.len();
            step
        });
        for step in sequence {
            world.take(step);
            world.check();
        }
        world.begin_anew();
    }
    assert_eq!(world.server.keys().count(), 0);
    assert!(world.server.locks.is_empty());
}

fn depth() -> u32 {
    let from_environment = std::env::var("SMALL_WORLDS_DEPTH");
    from_environment
        .ok()
        .and_then(|depth| depth.parse().ok())
        .unwrap_or(6)
}

#[test]
fn in_every_small_world_one_owner_holds_the_lock_for_its_whole_lease() {
    run_every_sequence(&STEPS[..11], depth());
}

#[test]
fn in_every_small_world_with_swaps_and_renames_the_same_is_true() {
    run_every_sequence(&STEPS, depth() - 1);
}
