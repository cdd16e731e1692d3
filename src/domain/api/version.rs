//! The versions of Intercom's API.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Api;

/// A value of the header `Intercom-Version`. The header is always sent: without it the workspace's
/// own setting decides, and that version may have other paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ApiVersion {
    /// A version of [`Api::V1`].
    V1(V1Version),
    /// A version of [`Api::V2`].
    V2(V2Version),
    /// [`Api::Preview`], which has no number.
    Preview,
}

/// The minor number of a version of API 1.x.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct V1Version(u8);

/// The minor number of a version of API 2.x.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct V2Version(u8);

/// The values of the header, oldest first.
const V1: [&str; 5] = ["1.0", "1.1", "1.2", "1.3", "1.4"];
const V2: [&str; 18] = [
    "2.0", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "2.7", "2.8", "2.9", "2.10", "2.11", "2.12", "2.13", "2.14",
    "2.15", "2.16", "2.17",
];

/// The value of the header for Preview.
const PREVIEW: &str = "Preview";

/// The version from which on `owner_id` is a text.
const OWNER_IS_TEXT_FROM: u8 = 16;

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
    /// The supported versions in words.
    pub const WORDS: &str = "1.0 to 1.4, 2.0 to 2.17, or preview";

    /// Returns the newest version of a family.
    pub const fn newest(api: Api) -> Self {
        match api {
            Api::V1 => Self::V1(V1Version(V1.len() as u8 - 1)),
            Api::V2 => Self::V2(V2Version(V2.len() as u8 - 1)),
            Api::Preview => Self::Preview,
        }
    }

    /// Returns all supported versions, oldest first.
    pub fn all() -> impl Iterator<Item = Self> {
        let first = (0..V1.len()).map(|minor| Self::V1(V1Version(minor as u8)));
        let second = (0..V2.len()).map(|minor| Self::V2(V2Version(minor as u8)));
        first.chain(second).chain([Self::Preview])
    }

    /// Parses `1.4`, `2.17`, `preview` and the like.
    pub fn parse(text: &str) -> Result<Self, ApiVersionError> {
        let text = text.trim().to_ascii_lowercase();
        if let Some(version) = Self::all().find(|version| version.as_str().eq_ignore_ascii_case(&text)) {
            return Ok(version);
        }
        let later = text == "unstable";
        let second = text.strip_prefix("2.").is_some_and(|minor| minor == "x" || minor.parse::<u16>().is_ok());
        Err(if later || second { ApiVersionError::NotBuilt } else { ApiVersionError::Unknown })
    }

    /// Returns the family of the version.
    pub const fn api(self) -> Api {
        match self {
            Self::V1(_) => Api::V1,
            Self::V2(_) => Api::V2,
            Self::Preview => Api::Preview,
        }
    }

    /// Returns the value of the header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1(V1Version(minor)) => V1[minor as usize],
            Self::V2(V2Version(minor)) => V2[minor as usize],
            Self::Preview => PREVIEW,
        }
    }

    /// Returns whether `owner_id` of a contact is a text. It is a number in older versions.
    pub const fn owner_is_text(self) -> bool {
        match self {
            Self::V1(_) => false,
            Self::V2(V2Version(minor)) => minor >= OWNER_IS_TEXT_FROM,
            Self::Preview => true,
        }
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ApiVersion {
    type Err = ApiVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl From<ApiVersion> for String {
    fn from(version: ApiVersion) -> Self {
        version.as_str().to_owned()
    }
}

impl TryFrom<String> for ApiVersion {
    type Error = ApiVersionError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn supported_versions_are_parsed_and_others_explained() {
        assert_eq!(ApiVersion::all().count(), 24);
        for version in ApiVersion::all() {
            assert_eq!(ApiVersion::parse(version.as_str()), Ok(version));
            assert_eq!(version.as_str().starts_with("1."), version.api() == Api::V1, "{version}");
            let stored = serde_json::to_value(version).unwrap();
            assert_eq!(serde_json::from_value::<ApiVersion>(stored).unwrap(), version);
        }
        for spelled in ["preview", "Preview", " PREVIEW "] {
            assert_eq!(ApiVersion::parse(spelled), Ok(ApiVersion::Preview), "{spelled}");
        }
        for later in ["2.x", "2.18", "unstable"] {
            assert_eq!(ApiVersion::parse(later), Err(ApiVersionError::NotBuilt), "{later}");
        }
        for wrong in ["", "1", "1.5", "1.40", "2.", "3.0", "auto"] {
            assert_eq!(ApiVersion::parse(wrong), Err(ApiVersionError::Unknown), "{wrong}");
        }
        let newest = Api::ALL.map(|api| ApiVersion::newest(api).as_str());
        assert_eq!(newest, ["1.4", "2.17", "Preview"]);
    }

    #[test]
    fn owner_is_a_text_in_new_versions() {
        let is_text = |text: &str| ApiVersion::parse(text).unwrap().owner_is_text();
        assert_eq!(["1.4", "2.3", "2.15", "2.16", "Preview"].map(is_text), [false, false, false, true, true]);
    }
}
