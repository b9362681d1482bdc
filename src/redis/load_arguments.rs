//! The words behind the module's path, in `loadmodule`, MODULE LOAD and LOADEX ARGS:
//! names of settings, each with its value.
//!
//! An argument is the setting's default. So a line `redislock.*` of redis.conf, CONFIG of
//! LOADEX and CONFIG SET beat it, and CONFIG REWRITE keeps what is in force: the server
//! writes the arguments back behind the path, and each setting that is not at its default.

use super::config;
use super::quarantine::Setting;
use crate::lock::Ttl;

/// What the settings are unless something else is said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Defaults {
    pub(super) ttl_most: Ttl,
    pub(super) waiters_most: usize,
    pub(super) quarantine: Setting,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            ttl_most: config::TTL_MOST_DEFAULT,
            waiters_most: config::WAITERS_MOST_DEFAULT,
            quarantine: Setting::Off,
        }
    }
}

/// The names that are known, as they are shown to whoever gives another one.
const NAMES: &str = "max-ttl-ms, max-waiters, quarantine";

/// Reads the words. The error is one line for the server's log.
pub(super) fn read(words: &[&[u8]]) -> Result<Defaults, String> {
    let mut defaults = Defaults::default();
    let mut seen: Vec<&str> = Vec::new();
    for pair in words.chunks(2) {
        let name = known(pair[0])?;
        let &[_, value] = pair else {
            return Err(format!("the argument {name} needs a value behind it"));
        };
        if seen.contains(&name) {
            return Err(format!("the argument {name} is given twice"));
        }
        seen.push(name);
        match name {
            "max-ttl-ms" => {
                let ms = number(name, value, 1, Ttl::MOST.as_ms())?;
                defaults.ttl_most = Ttl::from_ms(ms).unwrap_or(Ttl::MOST);
            }
            "quarantine" => defaults.quarantine = yes_or_no(name, value)?,
            _ => {
                let most = number(name, value, 0, config::WAITERS_MOST_LARGEST)?;
                defaults.waiters_most = usize::try_from(most).unwrap_or(usize::MAX);
            }
        }
    }
    Ok(defaults)
}

/// The name as it is spelt here; like those of the server's own settings it may be
/// written in capitals.
fn known(word: &[u8]) -> Result<&'static str, String> {
    let mut names = NAMES.split(", ");
    let found = names.find(|name| name.as_bytes().eq_ignore_ascii_case(word));
    found.ok_or_else(|| {
        let word = shown(word);
        format!("there is no argument {word}: there are {NAMES}, each with a value behind it")
    })
}

fn number(name: &str, value: &[u8], least: u64, most: u64) -> Result<u64, String> {
    let text = std::str::from_utf8(value).ok();
    // The server takes no plus sign either.
    let text = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let number = text.and_then(|text| text.parse().ok());
    let number = number.filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| {
        let value = shown(value);
        format!("the argument {name} must be a number from {least} to {most}, not {value}")
    })
}

fn yes_or_no(name: &str, value: &[u8]) -> Result<Setting, String> {
    match value.to_ascii_lowercase().as_slice() {
        b"yes" => Ok(Setting::On),
        b"no" => Ok(Setting::Off),
        _ => {
            let value = shown(value);
            Err(format!(
                "the argument {name} must be yes or no, not {value}"
            ))
        }
    }
}

/// A word as the log can show it.
fn shown(word: &[u8]) -> String {
    let start = &word[..word.len().min(64)];
    format!("'{}'", start.escape_ascii())
}
