//! Every kernel against its naive twin: hash each whole header with sha2 and compare. A kernel
//! that this CPU cannot run is reported as not run, in words.

use mvb_kernels::{HEADER_BYTES, Hit, Kernel, Work};
use proptest::{collection::vec, prelude::*};
use sha2::{Digest, Sha256};

/// Headers that differ in their first 64 bytes.
fn headers(roots: usize, seed: u64, tail: [u8; 32]) -> Vec<[u8; HEADER_BYTES]> {
    (0..roots)
        .map(|root| {
            let mut header = [0; HEADER_BYTES];
            let head = [0, 1].map(|half| {
                Sha256::new()
                    .chain_update(seed.to_be_bytes())
                    .chain_update([half, root as u8])
                    .finalize()
            });
            header[..64].copy_from_slice(&head.concat());
            header[64..].copy_from_slice(&tail);
            header
        })
        .collect()
}

/// All hits, the slow way.
fn naive(headers: &[[u8; HEADER_BYTES]], target: &[u8; 32], first: u32, count: u32) -> Vec<Hit> {
    let mut hits = Vec::new();
    for (root, header) in headers.iter().enumerate() {
        for offset in 0..count {
            let mut header = *header;
            header[92..].copy_from_slice(&first.wrapping_add(offset).to_be_bytes());
            if Sha256::digest(header).as_slice() < target.as_slice() {
                let nonce = header[88..].try_into().expect("eight bytes");
                hits.push(Hit {
                    root,
                    nonce: u64::from_be_bytes(nonce),
                });
            }
        }
    }
    hits.sort();
    hits
}

fn found(kernel: &Kernel, work: &Work, first: u32, count: u32) -> Vec<Hit> {
    let mut hits = Vec::new();
    kernel.search(work, first, count, &mut hits);
    hits.sort();
    hits
}

/// Runs a claim for each kernel, and says which were not run.
fn each_kernel(claim: impl Fn(&'static Kernel)) {
    for kernel in Kernel::all() {
        match kernel {
            Ok(kernel) => claim(kernel),
            Err(reason) => println!("not run: {reason}"),
        }
    }
}

/// 2^(256 − bits), or with other digits up to twice that, as precise as a compact target is.
fn target(bits: u32, digits: u32) -> [u8; 32] {
    let mut target = [0; 32];
    // Three bytes of digits, so that their highest bit is worth 2^(256 - bits).
    let shifted = u128::from(digits & 0x007f_ffff | 0x0080_0000) << (105 - bits);
    target[..16].copy_from_slice(&shifted.to_be_bytes());
    target
}

/// A header whose id has 35 leading zero bits, found beforehand by searching.
#[test]
fn targets_of_1_to_40_bits_are_met_by_what_the_twin_says() {
    const NONCE: u32 = 0x04a1_8269;
    let headers: Vec<_> = (0..8)
        .map(|root| {
            let mut header = [0; HEADER_BYTES];
            header[0] = root;
            header[67] = 1;
            header
        })
        .collect();
    for bits in 1..=40 {
        let target = target(bits, 0x0080_0000);
        let expected = naive(&headers, &target, NONCE - 40, 80);
        let known = Hit {
            root: 3,
            nonce: NONCE.into(),
        };
        assert_eq!(expected.contains(&known), bits <= 35, "{bits}");
        let work = Work::new(&headers, &target).unwrap();
        each_kernel(|kernel| {
            let hits = found(kernel, &work, NONCE - 40, 80);
            assert_eq!(hits, expected, "{} at {bits} bits", kernel.name());
        });
    }
}

proptest! {
    #[test]
    fn every_kernel_finds_all_hits_of_a_range(
        roots in 1..20usize,
        seed: u64,
        tail: [u8; 32],
        bits in 1..11u32,
        digits: u32,
        first: u32,
        count in 0..150u32,
    ) {
        let target = target(bits, digits);
        let headers = headers(roots, seed, tail);
        let expected = naive(&headers, &target, first, count);
        let work = Work::new(&headers, &target).unwrap();
        each_kernel(|kernel| {
            assert_eq!(found(kernel, &work, first, count), expected, "{}", kernel.name());
        });
    }

    #[test]
    fn the_low_half_of_the_nonce_wraps_and_the_high_half_stays(
        roots in 1..10usize,
        tail: [u8; 32],
        before in 0..100u32,
        count in 100..200u32,
    ) {
        let target = target(3, 0);
        let headers = headers(roots, 1, tail);
        let first = 0u32.wrapping_sub(before);
        let expected = naive(&headers, &target, first, count);
        let work = Work::new(&headers, &target).unwrap();
        each_kernel(|kernel| {
            assert_eq!(found(kernel, &work, first, count), expected, "{}", kernel.name());
        });
    }

    /// The target is one above or at the very id of a nonce, so that every word decides.
    #[test]
    fn an_id_is_a_hit_below_the_target_and_none_at_it(
        roots in 1..10usize,
        tail: [u8; 32],
        lanes in vec(0..64u32, 1..4),
    ) {
        let headers = headers(roots, 2, tail);
        for (index, lane) in lanes.iter().enumerate() {
            let root = index % roots;
            let mut header = headers[root];
            header[92..].copy_from_slice(&lane.to_be_bytes());
            let id: [u8; 32] = Sha256::digest(header).into();
            let mut above = id;
            for byte in above.iter_mut().rev() {
                *byte = byte.wrapping_add(1);
                if *byte != 0 {
                    break;
                }
            }
            for (target, is_hit) in [(id, false), (above, true)] {
                let work = Work::new(&headers, &target).unwrap();
                each_kernel(|kernel| {
                    let hits = found(kernel, &work, 0, 64);
                    assert_eq!(hits, naive(&headers, &target, 0, 64), "{}", kernel.name());
                    let here = hits.iter().any(|hit| hit.root == root && hit.nonce as u32 == *lane);
                    assert_eq!(here, is_hit);
                });
            }
        }
    }
}
