//! What the search needs of a vector of 32-bit words, one nonce a lane. Each kernel brings
//! its own; the rounds are written once, in `rounds`, above this trait.

/// A vector of 32-bit words. All methods are inlined into a kernel's function, which is what
/// gives them the instructions they are made of.
pub(crate) trait Vector: Copy {
    /// How many nonces it holds.
    const LANES: usize;

    /// The same word in every lane.
    fn splat(word: u32) -> Self;

    /// 0, 1, 2 and so on.
    fn counting() -> Self;

    /// The sum, modulo 2^32.
    fn add(self, other: Self) -> Self;

    /// Rotated right by 1 to 31 bits.
    fn rotate<const BITS: i32>(self) -> Self;

    /// Shifted right by 1 to 31 bits.
    fn shift<const BITS: i32>(self) -> Self;

    /// The exclusive or of three.
    fn xor3(self, second: Self, third: Self) -> Self;

    /// SHA-256's Ch: where a bit of `self` is set that of `f`, elsewhere that of `g`.
    fn choose(self, f: Self, g: Self) -> Self;

    /// SHA-256's Maj: what two of three say.
    fn majority(self, b: Self, c: Self) -> Self;

    /// A bit for each lane that is at most `limit`, unsigned; the lowest is lane 0.
    fn at_most(self, limit: Self) -> u32;
}
