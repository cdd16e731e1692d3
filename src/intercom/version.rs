//! The versions of Intercom's API.

use std::fmt;

use super::v1;
use crate::domain::api::Api;

/// A value of the header `Intercom-Version`. The header is always sent: without it the workspace's
/// own setting decides, and that version may have other paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ApiVersion {
    /// A version of [`Api::V1`].
    V1(v1::V1Version),
}

/// The reason why a version is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiVersionError {
    /// The version exists, but this program does not support it.
    #[error("this version of Intercom's API is not supported yet: use {}", ApiVersion::WORDS)]
    NotBuilt,
    /// The text is not a version.
    #[error("not a version of Intercom's API: use {}", ApiVersion::WORDS)]
    Unknown,
}

impl ApiVersion {
    /// The version that is used unless another one is set.
    pub const DEFAULT: Self = Self::V1(v1::V1Version::V1_4);

    /// The supported versions in words.
    pub const WORDS: &str = v1::VERSIONS;

    /// Parses `1.4` and the like.
    pub fn parse(text: &str) -> Result<Self, ApiVersionError> {
        let text = text.trim().to_ascii_lowercase();
        let mut all = v1::V1Version::ALL.into_iter().map(Self::V1);
        if let Some(version) = all.find(|version| version.as_str() == text) {
            return Ok(version);
        }
        let later = matches!(text.as_str(), "preview" | "unstable" | "auto");
        let second = text.strip_prefix("2.").is_some_and(|minor| minor == "x" || minor.parse::<u16>().is_ok());
        Err(if later || second { ApiVersionError::NotBuilt } else { ApiVersionError::Unknown })
    }

    /// Returns the family of the version.
    pub const fn api(self) -> Api {
        match self {
            Self::V1(_) => Api::V1,
        }
    }

    /// Returns the value of the header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1(version) => version.as_str(),
        }
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn supported_versions_are_parsed_and_others_explained() {
        for version in v1::V1Version::ALL.map(ApiVersion::V1) {
            assert_eq!((ApiVersion::parse(version.as_str()), version.api()), (Ok(version), Api::V1));
        }
        for later in ["2.x", "2.16", "Preview", "auto"] {
            assert_eq!(ApiVersion::parse(later), Err(ApiVersionError::NotBuilt), "{later}");
        }
        for wrong in ["", "1", "1.5", "1.40", "2.", "3.0"] {
            assert_eq!(ApiVersion::parse(wrong), Err(ApiVersionError::Unknown), "{wrong}");
        }
        assert_eq!(ApiVersionError::Unknown.to_string(), "not a version of Intercom's API: use 1.0 to 1.4");
    }
}
