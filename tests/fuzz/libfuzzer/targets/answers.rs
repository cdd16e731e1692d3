#![no_main]

#[path = "../../surfaces/memory.rs"]
mod memory;
#[path = "../../surfaces/answers.rs"]
mod answers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| answers::run(data));
