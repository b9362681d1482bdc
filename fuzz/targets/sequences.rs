//! The fuzzer on histories: whatever happens, in whatever order.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| redis_lock_fuzz::sequences::run(data));
