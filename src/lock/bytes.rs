//! Short byte strings: keys and owners, kept without an allocation of their own
//! as long as they fit into 22 bytes.

use std::fmt;

/// Bytes that stay the same for as long as they live.
#[derive(Clone)]
pub struct ShortBytes(Form);

/// 22 bytes beside a length and a tag are as large as the three words that a
/// tag and a boxed slice need.
const INLINE_MOST: usize = 22;

#[derive(Clone)]
enum Form {
    Inline {
        length: u8,
        bytes: [u8; INLINE_MOST],
    },
    Boxed(Box<[u8]>),
}

impl ShortBytes {
    /// Bytes on the heap that belong to this string, beyond its own size.
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Form::Inline { .. } => 0,
            Form::Boxed(boxed) => boxed.len(),
        }
    }
}

impl Default for ShortBytes {
    fn default() -> Self {
        Self(Form::Inline {
            length: 0,
            bytes: [0; INLINE_MOST],
        })
    }
}

impl From<&[u8]> for ShortBytes {
    fn from(source: &[u8]) -> Self {
        if source.len() > INLINE_MOST {
            return Self(Form::Boxed(source.into()));
        }
        let mut bytes = [0; INLINE_MOST];
        bytes[..source.len()].copy_from_slice(source);
        Self(Form::Inline {
            length: source.len() as u8,
            bytes,
        })
    }
}

impl std::ops::Deref for ShortBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Form::Inline { length, bytes } => &bytes[..usize::from(*length)],
            Form::Boxed(boxed) => boxed,
        }
    }
}

impl PartialEq for ShortBytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for ShortBytes {}

impl PartialOrd for ShortBytes {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ShortBytes {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (**self).cmp(&**other)
    }
}

/// They are ordered and compared as the bytes are.
impl std::borrow::Borrow<[u8]> for ShortBytes {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for ShortBytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "\"{}\"", self.escape_ascii())
    }
}
