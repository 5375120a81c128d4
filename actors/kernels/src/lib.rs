//! Proof-of-work search kernels: header bytes in, nonces out. The search pool in `actors`
//! prepares a [`Work`] for each job, picks a [`Kernel`] once and has it search one short
//! range of nonces after another. This crate knows nothing of blocks, threads or time,
//! depends on nothing, and is the one place of the workspace where SIMD `unsafe` lives.
//!
//! A nonce costs one SHA-256 compression, because the first 64 of a header's 96 bytes are
//! compressed once. Headers that differ in those 64 bytes only (the *roots* of a job: the
//! content root stands there) share the message schedule of the second block, so that a
//! kernel expands it once a nonce and uses it for all of them. That is why a [`Work`] takes
//! several headers; one is the same with less to share. `docs/PERFORMANCE.md` has the picture.

#![allow(
    clippy::needless_range_loop,
    reason = "the recurrences of SHA-256 are written by index, as FIPS 180-4 has them"
)]
#![cfg_attr(
    not(target_arch = "x86_64"),
    allow(
        dead_code,
        reason = "some is there for the SHA instructions of x86 only"
    )
)]

#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod hybrid;
mod kernel;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(any(test, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod plain;
mod portable;
mod rounds;
#[cfg(target_arch = "x86_64")]
mod sha;
mod vector;
mod work;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use kernel::{Kernel, KernelError};
pub use work::{HEADER_BYTES, Hit, Work, WorkError};
