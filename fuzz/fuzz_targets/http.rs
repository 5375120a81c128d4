//! Hands libFuzzer's inputs to the target of this name.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    mvb_fuzzing::run("http", data);
});
