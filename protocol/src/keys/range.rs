//! Which numbers a signature may hold: r and s from 1 to below the group's order, s in the lower
//! half. Checked on the bytes before any library sees them, so that no library decides it.

use super::{Curve, KeyError};

/// Checks the two halves of a signature of the right length.
///
/// # Errors
/// When one is out of range, or s is high.
pub(super) fn check(curve: Curve, signature: &[u8]) -> Result<(), KeyError> {
    let (r, s) = signature.split_at(curve.scalar_bytes());
    let (order, half): (&[u8], &[u8]) = match curve {
        Curve::P256 => (&ORDER_256, &HALF_256),
        Curve::P384 => (&ORDER_384, &HALF_384),
        Curve::P521 => (&ORDER_521, &HALF_521),
    };
    // Big-endian numbers of one length are in the order of their bytes.
    let is_in_range = |number: &[u8]| number < order && number.iter().any(|byte| *byte != 0);
    if !is_in_range(r) || !is_in_range(s) {
        return Err(KeyError::SignatureRange);
    }
    if s > half && !crate::mutant!(HighSTaken) {
        return Err(KeyError::HighS);
    }
    Ok(())
}

const ORDER_256: [u8; 32] =
    number(b"ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
const ORDER_384: [u8; 48] = number(
    b"ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
);
const ORDER_521: [u8; 66] = number(
    b"01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
);

const HALF_256: [u8; 32] = half(ORDER_256);
const HALF_384: [u8; 48] = half(ORDER_384);
const HALF_521: [u8; 66] = half(ORDER_521);

/// The number that lower-case hex digits write.
const fn number<const N: usize>(digits: &[u8]) -> [u8; N] {
    assert!(digits.len() == 2 * N, "two digits a byte");
    let mut bytes = [0; N];
    let mut at = 0;
    while at < digits.len() {
        let digit = match digits[at] {
            digit @ b'0'..=b'9' => digit - b'0',
            digit => digit - b'a' + 10,
        };
        bytes[at / 2] = bytes[at / 2] << 4 | digit;
        at += 1;
    }
    bytes
}

/// Half of a number, rounded down.
const fn half<const N: usize>(number: [u8; N]) -> [u8; N] {
    let mut bytes = [0; N];
    let mut carry = 0;
    let mut at = 0;
    while at < N {
        bytes[at] = number[at] >> 1 | carry;
        carry = number[at] << 7;
        at += 1;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SecretKey;

    fn less_one(mut number: Vec<u8>) -> Vec<u8> {
        *number.last_mut().unwrap() -= 1;
        number
    }

    #[test]
    fn the_orders_are_those_of_the_libraries_that_sign() {
        let orders: [(Curve, &[u8]); 3] = [
            (Curve::P256, &ORDER_256),
            (Curve::P384, &ORDER_384),
            (Curve::P521, &ORDER_521),
        ];
        for (curve, order) in orders {
            assert!(SecretKey::from_bytes(curve, order).is_err(), "{curve:?}");
            let largest = less_one(order.to_vec());
            assert!(SecretKey::from_bytes(curve, &largest).is_ok(), "{curve:?}");
        }
    }

    #[test]
    fn r_and_s_lie_between_one_and_the_order_and_s_in_its_lower_half() {
        let one = {
            let mut one = [0; 32];
            one[31] = 1;
            one
        };
        let largest: [u8; 32] = less_one(ORDER_256.to_vec()).try_into().unwrap();
        let above_half = {
            let mut number = HALF_256;
            number[31] += 1;
            number
        };
        let judge = |r: [u8; 32], s: [u8; 32]| check(Curve::P256, &[r, s].concat());
        for r in [one, largest] {
            assert_eq!(judge(r, one), Ok(()));
            assert_eq!(judge(r, HALF_256), Ok(()));
            assert_eq!(judge(r, above_half), Err(KeyError::HighS));
            assert_eq!(judge(r, largest), Err(KeyError::HighS));
            for wrong in [[0; 32], ORDER_256, [0xff; 32]] {
                assert_eq!(judge(r, wrong), Err(KeyError::SignatureRange));
                assert_eq!(judge(wrong, one), Err(KeyError::SignatureRange));
            }
        }
    }
}
