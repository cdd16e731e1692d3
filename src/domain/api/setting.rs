//! The setting `INTERCOM_API`: a version of Intercom's API, or `auto`.

use std::fmt;
use std::str::FromStr;

use super::{Api, ApiVersion, ApiVersionError};

/// The API of runs that begin from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ApiSetting {
    /// Chosen when a run begins, by [`super::decide_api`].
    #[default]
    Auto,
    /// This version.
    Fixed(ApiVersion),
}

impl ApiSetting {
    /// The word for [`Self::Auto`], the default of the setting.
    pub const AUTO: &str = "auto";

    /// The accepted values in words.
    pub const WORDS: &str = "auto, 1.0 to 1.4, 2.0 to 2.17, or preview";

    /// Parses `auto` or a version.
    pub fn parse(text: &str) -> Result<Self, ApiVersionError> {
        if text.trim().eq_ignore_ascii_case(Self::AUTO) {
            return Ok(Self::Auto);
        }
        ApiVersion::parse(text).map(Self::Fixed)
    }

    /// Returns the version of requests that are for no run: with `auto`, the newest one.
    pub const fn version(self) -> ApiVersion {
        match self {
            Self::Auto => ApiVersion::newest(Api::V2),
            Self::Fixed(version) => version,
        }
    }
}

impl fmt::Display for ApiSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str(Self::AUTO),
            Self::Fixed(version) => version.fmt(f),
        }
    }
}

impl FromStr for ApiSetting {
    type Err = ApiVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl From<ApiVersion> for ApiSetting {
    fn from(version: ApiVersion) -> Self {
        Self::Fixed(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_and_versions_are_parsed() {
        for text in ["auto", " AUTO "] {
            assert_eq!(ApiSetting::parse(text), Ok(ApiSetting::Auto));
        }
        for version in ApiVersion::all() {
            let setting = ApiSetting::parse(version.as_str()).unwrap();
            assert_eq!((setting, setting.version()), (ApiSetting::Fixed(version), version));
            assert_eq!(setting.to_string(), version.as_str());
        }
        assert_eq!((ApiSetting::Auto.to_string().as_str(), ApiSetting::Auto.version().as_str()), ("auto", "2.17"));
        assert!(ApiSetting::parse("automatic").is_err());
    }
}
