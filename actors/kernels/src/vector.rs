//! What the search needs of a vector of 32-bit words, one nonce a lane. Each kernel brings
//! its own; the rounds are written once, in `rounds`, above this trait.

/// The most lanes of any vector.
pub(crate) const MAX_LANES: usize = 16;

/// A vector of 32-bit words. All methods are inlined into a kernel's function, which is what
/// gives them the instructions they are made of.
pub(crate) trait Vector: Copy {
    /// How many nonces it holds.
    const LANES: usize;

    /// The same word in every lane.
    fn splat(word: u32) -> Self;

    /// 0, 1, 2 and so on.
    fn counting() -> Self;

    /// The first words of a slice that has as many as there are lanes.
    fn load(words: &[u32; MAX_LANES]) -> Self;

    /// Writes each lane of `self` with that of `other` above it, in order.
    fn interleave(self, other: Self, pairs: &mut [u64; MAX_LANES]);

    /// The sum, modulo 2^32.
    fn add(self, other: Self) -> Self;

    /// The exclusive or of the vector rotated right by three distances.
    fn rotations<const A: i32, const B: i32, const C: i32>(self) -> Self;

    /// The same with the third one shifted instead.
    fn rotations_and_shift<const A: i32, const B: i32, const C: u32>(self) -> Self;

    /// SHA-256's Ch: where a bit of `self` is set that of `f`, elsewhere that of `g`.
    fn choose(self, f: Self, g: Self) -> Self;

    /// SHA-256's Maj: what two of three say.
    fn majority(self, b: Self, c: Self) -> Self;

    /// A bit for each lane that is at most `limit`, unsigned; the lowest is lane 0.
    fn at_most(self, limit: Self) -> u32;
}
