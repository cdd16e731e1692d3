//! The versions of API 1.x.

/// The versions in words.
pub(in crate::intercom) const VERSIONS: &str = "1.0 to 1.4";

/// A version of API 1.x.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum V1Version {
    /// 1.0.
    V1_0,
    /// 1.1.
    V1_1,
    /// 1.2.
    V1_2,
    /// 1.3.
    V1_3,
    /// 1.4, the last version with users and bulk jobs.
    V1_4,
}

impl V1Version {
    /// All versions, oldest first.
    pub const ALL: [Self; 5] = [Self::V1_0, Self::V1_1, Self::V1_2, Self::V1_3, Self::V1_4];

    /// Returns the value of the header `Intercom-Version`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
            Self::V1_4 => "1.4",
        }
    }
}
