//! One lock over several independent servers: a majority decides.

pub mod protocol;
