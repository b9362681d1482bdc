//! Words that may be anything, behind the name and the key of each command: an error
//! in one line, or a request that says the same when it is spelled out again.
//!
//! The first byte chooses the command, the second the longest lease; the words follow,
//! a line feed between any two.

use crate::commands::arguments::integer;
use crate::commands::{
    reply, Arguments, Binding, Block, Circumstances, Command, ExtendOption, Request, COMMANDS,
};
use crate::error::Error;
use crate::lock::{BootTime, Delay, Locks, Patience, Place, Token, Ttl, WallTime};

/// What a server is set to, or allows at most.
const TTL_MOST_MS: [u64; 3] = [86_400_000, 1, 315_360_000_000];

/// Reads the words as the command does, and lets the rules do what they ask for.
pub fn run(data: &[u8]) {
    let [command, ttl_most, rest @ ..] = data else {
        return;
    };
    let command = &COMMANDS[usize::from(*command) % COMMANDS.len()];
    let ttl_most = TTL_MOST_MS[usize::from(*ttl_most) % TTL_MOST_MS.len()];
    let ttl_most = Ttl::from_ms(ttl_most).expect("within range");
    let words: Vec<&[u8]> = rest.split(|&byte| byte == b'\n').collect();
    for word in &words {
        assert_eq!(integer(word), as_redis_reads(word));
    }
    match read(command, &words, ttl_most) {
        Err(error) => is_one_line(error),
        Ok(request) => {
            is_the_same_again(command, request, ttl_most);
            is_carried_out(request);
        }
    }
}

fn read<'a>(command: &Command, words: &'a [&'a [u8]], ttl_most: Ttl) -> Result<Request<'a>, Error> {
    (command.parse)(&mut Arguments::new(words, ttl_most))
}

/// Written a second time: what prints as it is spelled.
fn as_redis_reads(word: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(word).ok()?;
    let number = text.parse::<i64>().ok()?;
    (number.to_string() == text).then_some(number)
}

/// A line feed in an error would be the beginning of another reply.
fn is_one_line(error: Error) {
    let text = error.to_string();
    let code = text.split(' ').next().unwrap_or_default();
    assert!(!code.is_empty() && code.bytes().all(|byte| byte.is_ascii_uppercase()));
    assert!(!text.contains(['\r', '\n']), "{text:?}");
}

fn is_the_same_again(command: &Command, request: Request<'_>, ttl_most: Ttl) {
    let Some(words) = spelled_out(request) else {
        return;
    };
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    let again = read(command, &words, ttl_most).expect("it can be asked for");
    assert_eq!(format!("{again:?}"), format!("{request:?}"));
}

/// The words of a request, all options included; `None`: it ends with other words.
fn spelled_out(request: Request<'_>) -> Option<Vec<Vec<u8>>> {
    let number = |number: u64| number.to_string().into_bytes();
    let option = |name: &str, value: u64| [name.as_bytes().to_vec(), number(value)];
    let mut words = Vec::new();
    match request {
        Request::Acquire {
            owner,
            ttl,
            block,
            binding,
            tolerates,
            delay,
        } => {
            words.extend([owner.to_vec(), number(ttl.as_ms())]);
            words.extend(option("DELAY", delay.as_ms()));
            match tolerates.to_number() {
                0 => words.push(b"shared".to_vec()),
                limit => words.extend(option("limit", limit)),
            }
            if binding == Binding::Session {
                words.push(b"Session".to_vec());
            }
            match block {
                Some(Block::Forever) => words.extend(option("block", 0)),
                Some(Block::For(time)) => words.extend(option("block", time.as_ms())),
                None => {}
            }
        }
        Request::Release { owner, token } => {
            words.push(owner.to_vec());
            words.extend(token.into_iter().flat_map(|it| option("token", it.get())));
        }
        Request::Extend {
            owner,
            ttl,
            option: with,
        } => {
            words.extend([owner.to_vec(), number(ttl.as_ms())]);
            match with {
                ExtendOption::None => {}
                ExtendOption::Token(token) => words.extend(option("token", token.get())),
                ExtendOption::Raise(token) => words.extend(option("raise", token.get())),
            }
        }
        Request::Fence { token } => words.extend(token.map(|token| number(token.get()))),
        Request::Grant {
            owner,
            token,
            lease,
            tolerates,
            delay,
        } => {
            words.extend([owner.to_vec(), number(token.get())]);
            words.push(number(lease.map_or(0, Ttl::as_ms)));
            words.extend([number(tolerates.to_number()), number(delay.as_ms())]);
        }
        Request::End { owner, token } => words.extend([owner.to_vec(), number(token.get())]),
        Request::Ceiling(cover) => words.extend([
            number(cover.ceiling.get()),
            number(cover.ttl_most.as_ms()),
            number(cover.since.as_ms_since_2024()),
        ]),
        Request::Guard { .. } | Request::Info | Request::Help => return None,
    }
    Some(words)
}

/// On a server that granted nothing, and on one on which somebody holds the lock.
fn is_carried_out(request: Request<'_>) {
    let now = BootTime::from_ns(1);
    let circumstances = Circumstances {
        session: None,
        patience: Patience::Try,
        wall: || WallTime::from_unix_ms(0),
    };
    let mut locks = Locks::default();
    let mut effects = Vec::new();
    let mut at = Place {
        db: 0,
        key: b"lock",
        lock: None,
    };
    for _ in 0..2 {
        let Some(event) = request.into_event(at, &circumstances) else {
            return;
        };
        let answer = locks.step(now, event, &mut effects);
        assert_eq!(locks.broken_invariant(), None, "{request:?}");
        if let Err(error) = reply(answer) {
            is_one_line(error);
        }
        for effect in effects.drain(..) {
            if let crate::lock::Effect::Store(lock) = effect {
                at.lock = Some(lock);
            }
        }
    }
    assert!(locks.tokens().last() <= Token::MOST.get());
    assert!(locks.tokens().ceiling() >= locks.tokens().last());
    assert!(Delay::NONE <= Delay::MOST);
}

/// Each command as it is sent, with each option, and the edges of numbers.
pub fn seeds() -> Vec<Vec<u8>> {
    let calls: [(&str, &[&str]); 10] = [
        (
            "lock.acquire",
            &[
                "me\n30000",
                "me\n30000\nBLOCK\n0\nSESSION\nSHARED\nDELAY\n50",
                "me\n1\nLIMIT\n1024\nBLOCK\n315360000000",
                "me\n-1\nLIMIT\n0\nlimit\n3\nblock\n-1",
            ],
        ),
        (
            "lock.release",
            &["me", "me\nTOKEN\n9007199254740991", "me\nTOKEN\n0"],
        ),
        (
            "lock.extend",
            &[
                "me\n1\nRAISE\n5",
                "me\n9223372036854775807\nTOKEN\n1",
                "me\n2",
            ],
        ),
        ("lock.fence", &["9007199254740992", "1"]),
        ("lock.guard", &["1\nSET\na\nb"]),
        ("lock.info", &["", "x"]),
        ("lock.help", &[""]),
        ("lock._grant", &["me\n7\n30000\n1\n0", "me\n7\n0\n0\n50"]),
        ("lock._end", &["me\n7"]),
        (
            "lock._ceiling",
            &["262145\n30000\n5", "1\n1\n2199023255551"],
        ),
    ];
    let mut seeds = Vec::new();
    for (name, calls) in calls {
        let at = COMMANDS
            .iter()
            .position(|it| it.name.to_bytes() == name.as_bytes());
        let at = at.expect("a command of ours") as u8;
        seeds.extend(
            calls
                .iter()
                .map(|words| [&[at, 0], words.as_bytes()].concat()),
        );
    }
    seeds
}
