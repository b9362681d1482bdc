//! The fuzzer on the words of a call: what a client may send.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| redis_lock_fuzz::words::run(data));
