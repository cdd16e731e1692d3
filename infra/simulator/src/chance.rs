//! Repeatable chance: ids and accidents follow from the seed alone.

use rand::Rng;
use rand::rngs::SmallRng;

/// Returns whether `who` is in the given share of all users, for this seed and purpose.
///
/// The answer never changes.
pub(crate) fn chosen(seed: u64, purpose: &str, who: &str, percent: f64) -> bool {
    const PARTS: u64 = 1_000_000;
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ mixed(seed);
    for byte in purpose.bytes().chain([0]).chain(who.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    ((mixed(hash) % PARTS) as f64) < percent / 100.0 * PARTS as f64
}

/// Returns a number whose every bit depends on every bit of the input (splitmix64's finalizer).
pub(crate) fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// Returns a UUID of the given version. Its groups are joined by `-` or, in job ids, by `_`.
pub(crate) fn uuid(rng: &mut SmallRng, version: u8, join: char) -> String {
    let (high, low): (u64, u64) = (rng.random(), rng.random());
    let (first, second, third) = (high >> 32, (high >> 16) & 0xffff, high & 0xfff);
    let (fourth, fifth) = ((low >> 48) & 0x3fff | 0x8000, low & 0xffff_ffff_ffff);
    format!("{first:08x}{join}{second:04x}{join}{version:x}{third:03x}{join}{fourth:04x}{join}{fifth:012x}")
}

/// Returns twenty characters, like Intercom's request ids of 2018.
pub(crate) fn request_id(rng: &mut SmallRng) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    (0..20).map(|_| char::from(LETTERS[rng.random_range(0..LETTERS.len())])).collect()
}
