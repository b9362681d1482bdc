//! Quarantine: for a while after its start a server that may have forgotten holds
//! grants nothing.
//!
//! Whatever it forgot ends by itself within the longest lease that it ever granted. Until
//! then it makes no new hold, as the lock may be held by somebody of whom it knows
//! nothing. Holds that it does know of go on: they are extended, raised, released and
//! fenced. Who asks to wait stands in line, and is granted when the quarantine is over;
//! who does not is told for how long it lasts.
//!
//! Whether there is one, and for how long, is for the shell to say: see [`Testament`],
//! what a server leaves behind for its next start.
//!
//! [`Testament`]: super::testament::Testament

use super::event::Answer;
use super::machine::Locks;
use super::time::{BootTime, Ttl};

impl Locks {
    /// How long nothing is granted yet; `None` if things are granted.
    pub fn quarantine_left(&self, now: BootTime) -> Option<Ttl> {
        let until = self.quarantine.filter(|until| now < *until)?;
        Some(now.left_until(until))
    }

    /// The same in milliseconds, rounded up; 0 if things are granted.
    pub fn quarantine_left_ms(&self, now: BootTime) -> u64 {
        self.quarantine_left(now).map_or(0, Ttl::as_ms)
    }

    /// Nothing is granted until then; `None`: from now on things are.
    pub(super) fn set_quarantine(&mut self, until: Option<BootTime>) -> Answer {
        self.quarantine = until;
        if until.is_none() {
            self.lines.note_all_ready(None);
        }
        Answer::Yes
    }

    /// If its time is over, whoever waited for that is next.
    pub(super) fn sweep_quarantine(&mut self, now: BootTime) {
        if self.quarantine.is_some_and(|until| until <= now) {
            self.set_quarantine(None);
        }
    }
}
