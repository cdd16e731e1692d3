//! FNV-1a of 64 bits: the same in every build, unlike the standard library's hasher. Stored digests and
//! samples contain it.

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0100_0000_01b3;

/// A digest that bytes are added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fnv(pub u64);

impl Fnv {
    /// The digest of nothing.
    pub const EMPTY: Self = Self(OFFSET);

    /// Returns the digest of a text.
    pub fn of(text: &str) -> u64 {
        Self::EMPTY.and(text.bytes()).0
    }

    /// Returns the digest with these bytes added.
    #[must_use]
    pub fn and(self, bytes: impl IntoIterator<Item = u8>) -> Self {
        Self(bytes.into_iter().fold(self.0, |digest, byte| (digest ^ u64::from(byte)).wrapping_mul(PRIME)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors of the authors of FNV.
    #[test]
    fn digests_are_those_of_the_published_vectors() {
        for (text, digest) in
            [("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
        {
            assert_eq!(Fnv::of(text), digest, "{text}");
        }
    }
}
