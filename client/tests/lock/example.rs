//! The example of the crate's front page, run for real: the text is the same.
