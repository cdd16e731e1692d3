//! The versions of Intercom's API.

use std::fmt;

/// A value of the header `Intercom-Version`. The header is always sent: without it the workspace's
/// own setting decides, and `/users` does not exist if that setting is 2.x.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ApiVersion {
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

/// The reason why a version is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiVersionError {
    /// The version exists, but this program does not support it.
    #[error("this version of Intercom's API is not supported yet: use 1.0 to 1.4")]
    NotBuilt,
    /// The text is not a version.
    #[error("not a version of Intercom's API: use 1.0 to 1.4")]
    Unknown,
}

impl ApiVersion {
    const ALL: [Self; 5] = [Self::V1_0, Self::V1_1, Self::V1_2, Self::V1_3, Self::V1_4];

    /// Parses `1.4` and the like.
    pub fn parse(text: &str) -> Result<Self, ApiVersionError> {
        let text = text.trim().to_ascii_lowercase();
        if let Some(version) = Self::ALL.into_iter().find(|version| version.as_str() == text) {
            return Ok(version);
        }
        let later = matches!(text.as_str(), "preview" | "unstable" | "auto");
        let second = text.strip_prefix("2.").is_some_and(|minor| minor == "x" || minor.parse::<u16>().is_ok());
        Err(if later || second { ApiVersionError::NotBuilt } else { ApiVersionError::Unknown })
    }

    /// Returns the value of the header.
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
        for version in ApiVersion::ALL {
            assert_eq!(ApiVersion::parse(version.as_str()), Ok(version));
        }
        for later in ["2.x", "2.16", "Preview", "auto"] {
            assert_eq!(ApiVersion::parse(later), Err(ApiVersionError::NotBuilt), "{later}");
        }
        for wrong in ["", "1", "1.5", "1.40", "2.", "3.0"] {
            assert_eq!(ApiVersion::parse(wrong), Err(ApiVersionError::Unknown), "{wrong}");
        }
    }
}
