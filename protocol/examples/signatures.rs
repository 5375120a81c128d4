//! The verification of signatures against another library's, over many cases:
//!
//!     cargo run --release -p mvb-protocol --example signatures -- --cases 1000000

#[path = "../tests/support/random.rs"]
mod random;
#[path = "../tests/properties/signatures.rs"]
mod signatures;

use std::thread;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let cases: u64 = match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => 10_000,
        (Some("--cases"), Some(count)) => count.parse().expect("--cases takes a number"),
        _ => panic!("usage: signatures [--cases N]"),
    };
    let signed = signatures::signed(64);
    let threads = thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let accepted: usize = thread::scope(|scope| {
        let parts: Vec<_> = (0..threads)
            .map(|part| {
                let signed = &signed;
                scope.spawn(move || {
                    let seeds = (part..cases).step_by(threads as usize);
                    seeds
                        .filter(|seed| signatures::both_libraries_say_the_same(*seed, signed))
                        .count()
                })
            })
            .collect();
        let counts = parts.into_iter().map(|part| part.join());
        counts.map(|count| count.expect("no difference")).sum()
    });
    println!("{cases} signatures, damaged or not: {accepted} accepted, the same by both libraries");
}
