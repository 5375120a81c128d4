//! The Merkle root over a block's payments, as RFC 6962 section 2.1 defines it: leaves
//! and nodes are hashed with different prefixes, and an unbalanced tree splits at the
//! largest power of two, so no two lists share a root.

use crate::hash::{HASH_BYTES, Wid, sha256};

/// The hash of one leaf: SHA-256(0x00 ‖ parts).
pub fn leaf_hash(parts: &[&[u8]]) -> [u8; HASH_BYTES] {
    let mut all: Vec<&[u8]> = vec![&[0x00]];
    all.extend_from_slice(parts);
    sha256(&all)
}

/// The root over leaf hashes, which are the payments' witness ids. The empty list has the
/// root SHA-256 of nothing.
pub fn merkle_root(leaves: &[Wid]) -> [u8; HASH_BYTES] {
    match leaves {
        [] => sha256(&[]),
        [leaf] => leaf.0,
        _ => {
            let split = leaves.len().next_power_of_two() / 2;
            let (left, right) = leaves.split_at(split);
            sha256(&[&[0x01], &merkle_root(left), &merkle_root(right)])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(data: &[u8]) -> Wid {
        Wid(leaf_hash(&[data]))
    }

    fn hex(bytes: [u8; 32]) -> String {
        hex::encode(bytes)
    }

    /// Roots published with RFC 6962 implementations (certificate-transparency's tests).
    #[test]
    fn the_known_roots_of_certificate_transparency_are_met() {
        let data: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let leaves: Vec<Wid> = data.iter().map(|d| leaf(d)).collect();
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        for (n, root) in roots.iter().enumerate() {
            assert_eq!(hex(merkle_root(&leaves[..n])), *root, "{n} leaves");
        }
    }

    #[test]
    fn repeating_the_last_leaf_changes_the_root() {
        let (a, b, c) = (leaf(b"a"), leaf(b"b"), leaf(b"c"));
        assert_ne!(merkle_root(&[a, b, c]), merkle_root(&[a, b, c, c]));
    }
}
