#![no_main]

#[path = "../../surfaces/memory.rs"]
mod memory;
#[path = "../../surfaces/plans.rs"]
mod plans;

libfuzzer_sys::fuzz_target!(|data: &[u8]| plans::run(data));
