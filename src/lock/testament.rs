//! What a server leaves behind for its next start: the longest lease that it granted, and
//! why its files are to be believed, if they are.
//!
//! It stands in a file of its own (`src/redis/quarantine.rs`), which is on disk before
//! what it speaks of is answered. The server's own files cannot say these things: of a
//! log or a snapshot that lost its end nobody can tell that it did, the longest lease may
//! have been in what was lost, and the server tells modules that it ends when the last
//! byte of both is written.
//!
//! ```text
//! redislock 1 longest-ms 000000030720 proof closed-log ceiling 0373215169253377 3f…09
//! ```
//!
//! All lines have the same length, so that one takes the place of another whole, within
//! one sector of a disk. Anything else than such a line says nothing.

use super::time::Ttl;

/// Why the files that the server loads know of every lease that was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// They may not.
    None,
    /// Nothing is answered before it is in the log and on disk.
    EveryAnswer,
    /// The server ended by itself, and its log is on disk.
    ClosedLog,
    /// The server ended by itself, and its snapshot is on disk.
    ClosedFile,
}

/// What a server loaded when it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Loaded {
    /// Nothing, or something else.
    #[default]
    Nothing,
    /// A snapshot (RDB).
    File,
    /// A log (AOF).
    Log,
}

/// What is left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Testament {
    /// No lease was longer.
    pub longest: Ttl,
    /// Why files are to be believed.
    pub proof: Proof,
    /// They know of this ceiling, or they are other files.
    pub ceiling: u64,
}

/// The length of a line.
pub const LINE_BYTES: usize = 96;

impl Proof {
    const ALL: [Self; 4] = [
        Self::None,
        Self::EveryAnswer,
        Self::ClosedLog,
        Self::ClosedFile,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::EveryAnswer => "always",
            Self::ClosedLog => "closed-log",
            Self::ClosedFile => "closed-file",
        }
    }
}

impl Testament {
    /// The line, with its end.
    pub fn encode(&self) -> String {
        let (longest, proof) = (self.longest.as_ms(), self.proof.word());
        let ceiling = self.ceiling;
        let text =
            format!("redislock 1 longest-ms {longest:012} proof {proof:<11} ceiling {ceiling:016}");
        let sum = sum(&text);
        format!("{text} {sum:016x}\n")
    }

    /// `None` if that is no such line.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(bytes).ok()?;
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let &["redislock", "1", "longest-ms", longest, "proof", proof, "ceiling", ceiling, _] =
            &words[..]
        else {
            return None;
        };
        let found = Self {
            longest: Ttl::from_ms(longest.parse().ok()?)?,
            proof: Proof::ALL.into_iter().find(|it| it.word() == proof)?,
            ceiling: ceiling.parse().ok()?,
        };
        // Every byte counts: a line that was half written says nothing.
        (found.encode().as_bytes() == bytes).then_some(found)
    }

    /// Whether a server that loaded this, and then knows of this ceiling, knows of every
    /// lease that was granted.
    pub fn proves(&self, loaded: Loaded, ceiling: u64) -> bool {
        let is_of_them = match self.proof {
            Proof::None => false,
            Proof::EveryAnswer | Proof::ClosedLog => loaded == Loaded::Log,
            Proof::ClosedFile => loaded == Loaded::File,
        };
        is_of_them && ceiling >= self.ceiling
    }

    /// The same, having granted a lease of `ttl`; `None` if that is no news. It is rounded
    /// up by an eighth at most, so that leases that grow and grow are written down now and
    /// then only.
    #[must_use]
    pub fn with_lease(self, ttl: Ttl) -> Option<Self> {
        (ttl > self.longest).then(|| Self {
            longest: rounded_up(ttl),
            ..self
        })
    }
}

fn rounded_up(ttl: Ttl) -> Ttl {
    let ms = ttl.as_ms();
    let step = 1 << ms.ilog2().saturating_sub(3);
    Ttl::from_ms(ms.next_multiple_of(step)).unwrap_or(Ttl::MOST)
}

/// For how long a server grants nothing that may have forgotten leases: if it left
/// something behind, for the longest that this tells of or that its files do (their
/// leases begin anew when they are loaded, and may be lost in turn). If it did not, for
/// the longest that it would grant now: nothing better is known.
pub fn wait(left_behind: Option<Testament>, longest_known: Option<Ttl>, ttl_most: Ttl) -> Ttl {
    let bound = left_behind.map_or(ttl_most, |left| left.longest);
    longest_known.map_or(bound, |known| bound.max(known))
}

/// FNV-1a.
fn sum(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
