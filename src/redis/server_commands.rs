//! What the server says of its own commands: which may be guarded, and what each
//! does with its keys. Asked once, while the module loads, and never changed: the
//! question for keys may come on any thread. Commands that other modules bring
//! later are not in it.

use super::api::Context;
use super::call::{CallReply, Element};
use crate::commands::guard::{verdict_of, Verdict};
use redis_module::raw;
use std::collections::HashMap;
use std::ffi::c_int;
use std::sync::OnceLock;

/// By name in lower case; subcommands as `xgroup|create`.
static COMMANDS: OnceLock<HashMap<Vec<u8>, ServerCommand>> = OnceLock::new();

#[derive(Debug)]
struct ServerCommand {
    verdict: Verdict,
    keys: Vec<KeySpec>,
}

/// Which words of a command are keys, and what it does with them: a key
/// specification as COMMAND gives it, as far as a position says all.
#[derive(Debug)]
struct KeySpec {
    flags: c_int,
    begin: Begin,
    find: Find,
}

#[derive(Debug)]
enum Begin {
    /// At this word.
    Index(usize),
    /// Behind this keyword, looked for from that word on; below zero: from so many
    /// before the end, backwards.
    Keyword(Vec<u8>, i64),
}

#[derive(Debug)]
enum Find {
    /// Up to so many words behind the first, or to so many before the end if below
    /// zero; then `limit` says which part of the rest it is: 2, the first half.
    Range {
        last: i64,
        step: usize,
        limit: usize,
    },
    /// As many as a word says; where that is and where they begin, from the first.
    Number {
        count_at: usize,
        first: usize,
        step: usize,
    },
}

/// Asks the server.
pub(super) fn note(ctx: Context<'_>) -> Result<(), &'static str> {
    let reply = CallReply::of(ctx, c"COMMAND", &[]).ok_or("COMMAND cannot be called")?;
    let mut commands = HashMap::new();
    for command in reply.whole().elements() {
        read(command, &mut commands);
    }
    COMMANDS
        .set(commands)
        .map_err(|_| "the module is loaded twice")
}

/// What may be said of a command by its name; `None`: not known.
pub(super) fn verdict(name: &[u8]) -> Option<Verdict> {
    Some(COMMANDS.get()?.get(name)?.verdict)
}

/// The verdict on an entry of COMMAND INFO.
pub(super) fn verdict_of_entry(command: Element<'_>) -> Option<Verdict> {
    let flags = command.element(2)?.elements();
    let verdicts = flags.map(|flag| verdict_of(flag.bytes().unwrap_or_default()));
    // Servers list them in orders of their own.
    if let Some(refused) = verdicts.max_by_key(|verdict| verdict.weight()) {
        if matches!(refused, Verdict::Refused(_)) {
            return Some(refused);
        }
    }
    let subcommands = command.element(9);
    let is_container = subcommands.is_some_and(|list| list.element(0).is_some());
    Some(if is_container {
        Verdict::Container
    } else {
        Verdict::Allowed
    })
}

/// What a command does with its key at a position; `None`: not known. `words` are
/// those of the call, its name included.
pub(super) fn key_flags(words: &[&[u8]], position: usize) -> Option<c_int> {
    let commands = COMMANDS.get()?;
    let mut name = words.first()?.to_ascii_lowercase();
    let mut command = commands.get(&name)?;
    if command.verdict == Verdict::Container {
        name.push(b'|');
        name.extend(words.get(1)?.to_ascii_lowercase());
        command = commands.get(&name)?;
    }
    let spec = command.keys.iter().find(|spec| spec.names(words, position));
    spec.map(|spec| spec.flags)
}

impl KeySpec {
    fn names(&self, words: &[&[u8]], position: usize) -> bool {
        let Some(begin) = self.begin.of(words) else {
            return false;
        };
        let (first, last, step) = match self.find {
            Find::Range { last, step, limit } => {
                let last = match usize::try_from(last) {
                    Ok(behind) => begin.saturating_add(behind),
                    Err(_) => {
                        let before = usize::try_from(last.unsigned_abs()).unwrap_or(usize::MAX);
                        let rest = words.len().saturating_sub(begin);
                        begin + (rest / limit.max(1)).saturating_sub(before)
                    }
                };
                (begin, last, step)
            }
            Find::Number {
                count_at,
                first,
                step,
            } => {
                let word = words.get(begin + count_at).copied();
                let count = word.and_then(crate::commands::arguments::integer);
                let Some(count @ 1..) = count.and_then(|it| usize::try_from(it).ok()) else {
                    return false;
                };
                let first = begin + first;
                let last = (count - 1).saturating_mul(step).saturating_add(first);
                (first, last, step)
            }
        };
        (first..=last).contains(&position) && (position - first).is_multiple_of(step)
    }
}

impl Begin {
    fn of(&self, words: &[&[u8]]) -> Option<usize> {
        let (keyword, from) = match self {
            Self::Index(first) => return Some(*first),
            Self::Keyword(keyword, from) => (keyword, *from),
        };
        let is_it = |&at: &usize| words[at].eq_ignore_ascii_case(keyword);
        let found = match usize::try_from(from) {
            Ok(from) => (from..words.len()).find(is_it),
            Err(_) => {
                let before = usize::try_from(from.unsigned_abs()).ok()?;
                let from = words.len().checked_sub(before)?;
                (1..=from).rev().find(is_it)
            }
        };
        Some(found? + 1)
    }
}

fn read(command: Element<'_>, into: &mut HashMap<Vec<u8>, ServerCommand>) -> Option<()> {
    let name = command.element(0)?.bytes()?.to_ascii_lowercase();
    let verdict = verdict_of_entry(command)?;
    let specs = command.element(8).into_iter().flat_map(Element::elements);
    let keys = specs.filter_map(read_spec).collect();
    into.insert(name, ServerCommand { verdict, keys });
    let subcommands = command.element(9).into_iter();
    for subcommand in subcommands.flat_map(Element::elements) {
        read(subcommand, into);
    }
    Some(())
}

/// `None` for those that the server does not know whole.
fn read_spec(spec: Element<'_>) -> Option<KeySpec> {
    let begin = spec.field(b"begin_search")?;
    let place = begin.field(b"spec")?;
    let begin = match begin.field(b"type")?.bytes()? {
        b"index" => Begin::Index(small(place.field(b"index")?)?),
        b"keyword" => {
            let keyword = place.field(b"keyword")?.bytes()?.to_vec();
            Begin::Keyword(keyword, place.field(b"startfrom")?.number()?)
        }
        _ => return None,
    };
    let find = spec.field(b"find_keys")?;
    let how = find.field(b"spec")?;
    let find = match find.field(b"type")?.bytes()? {
        b"range" => Find::Range {
            last: how.field(b"lastkey")?.number()?,
            step: small(how.field(b"keystep")?)?.max(1),
            limit: small(how.field(b"limit")?)?,
        },
        b"keynum" => Find::Number {
            count_at: small(how.field(b"keynumidx")?)?,
            first: small(how.field(b"firstkey")?)?,
            step: small(how.field(b"keystep")?)?.max(1),
        },
        _ => return None,
    };
    let flags = spec.field(b"flags")?.elements();
    let flags = flags.map(|flag| flag_of(flag.bytes().unwrap_or_default()));
    let flags = flags.fold(0, |all, flag| all | flag);
    Some(KeySpec {
        flags: flags as c_int,
        begin,
        find,
    })
}

fn small(number: Element<'_>) -> Option<usize> {
    usize::try_from(number.number()?).ok()
}

fn flag_of(name: &[u8]) -> u32 {
    match name {
        b"RO" => raw::REDISMODULE_CMD_KEY_RO,
        b"RW" => raw::REDISMODULE_CMD_KEY_RW,
        b"OW" => raw::REDISMODULE_CMD_KEY_OW,
        b"RM" => raw::REDISMODULE_CMD_KEY_RM,
        b"access" => raw::REDISMODULE_CMD_KEY_ACCESS,
        b"update" => raw::REDISMODULE_CMD_KEY_UPDATE,
        b"insert" => raw::REDISMODULE_CMD_KEY_INSERT,
        b"delete" => raw::REDISMODULE_CMD_KEY_DELETE,
        _ => 0,
    }
}
