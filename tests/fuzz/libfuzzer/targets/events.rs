#![no_main]

#[path = "../../surfaces/memory.rs"]
mod memory;
#[path = "../../surfaces/events.rs"]
mod events;

libfuzzer_sys::fuzz_target!(|data: &[u8]| events::run(data));
