//! The fuzzer on stored records and counters: bytes of a file, or of RESTORE.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| redis_lock_fuzz::records::run(data));
