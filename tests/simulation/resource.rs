//! What the locks protect: a number that clients read, and write back one larger.
//!
//! Each key has two of them. One refuses tokens below the largest it has seen; the
//! other takes every write, and shows that the danger is real.

/// What a client read, to be written back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read {
    fenced: u64,
    unfenced: u64,
}

/// The fenced resource has seen a larger token, which is this.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused(pub(crate) u64);

/// What became of a write to the fenced one, short of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Sound,
    /// Another's write, acknowledged, is gone.
    AnotherLost,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Resource {
    seen: u64,
    fenced: u64,
    unfenced: u64,
    /// Writes that the unfenced one lost.
    pub(crate) unfenced_lost: u64,
    pub(crate) refused: u64,
    pub(crate) written: u64,
}

impl Resource {
    fn admit(&mut self, token: u64) -> Result<(), Refused> {
        if token < self.seen {
            self.refused += 1;
            return Err(Refused(self.seen));
        }
        self.seen = token;
        Ok(())
    }

    /// A look needs the token as well, or it may see what is about to be replaced.
    pub(crate) fn read(&mut self, token: u64) -> Result<Read, Refused> {
        self.admit(token)?;
        Ok(Read {
            fenced: self.fenced,
            unfenced: self.unfenced,
        })
    }

    pub(crate) fn write(&mut self, token: u64, read: Read) -> Result<Written, Refused> {
        self.unfenced_lost += u64::from(self.unfenced != read.unfenced);
        self.unfenced = read.unfenced + 1;
        self.admit(token)?;
        self.written += 1;
        let is_sound = self.fenced == read.fenced;
        self.fenced = read.fenced + 1;
        Ok(match is_sound {
            true => Written::Sound,
            false => Written::AnotherLost,
        })
    }
}
