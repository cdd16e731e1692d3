//! API versions: the one that serves a request, and the resources that it has.

use std::fmt;
use std::str::FromStr;

use axum::http::HeaderMap;
use strum::{EnumString, VariantNames};

use crate::options::Options;
use crate::route::Route;
use crate::wire::Refusal;

/// The header that names the API version, in requests and in answers.
pub(crate) const VERSION_HEADER: &str = "intercom-version";

/// All versions, oldest first.
const NAMES: [&str; 24] = [
    "1.0", "1.1", "1.2", "1.3", "1.4", "2.0", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "2.7", "2.8", "2.9", "2.10",
    "2.11", "2.12", "2.13", "2.14", "2.15", "2.16", "2.17", "Preview",
];
/// The number of versions with users and bulk jobs of 1.x.
const OLD: usize = 5;
/// The name of `Preview` that older clients send.
const UNSTABLE: &str = "Unstable";

/// A version of the API. Later versions are greater, and `Preview` is the greatest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u8);

/// The two forms of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// 1.0 to 1.4: users, and bulk jobs with an error feed.
    Old,
    /// 2.0 to 2.17 and Preview: contacts.
    New,
}

/// The families that a workspace serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString, VariantNames)]
pub enum Families {
    /// Every version.
    #[default]
    #[strum(serialize = "all")]
    All,
    /// 1.0 to 1.4.
    #[strum(serialize = "1.x")]
    Old,
    /// 2.0 to 2.17 and Preview.
    #[strum(serialize = "2.x")]
    New,
}

/// The answer to a request with a version that the workspace does not serve. Intercom does not
/// document it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum Unserved {
    /// 400 `intercom_version_invalid`.
    #[default]
    Refused,
    /// 404 `not_found`.
    Missing,
    /// The app's own version serves it, and the answer says so.
    Other,
}

impl Version {
    /// 1.4, the last version with `/users`.
    pub const V1_4: Self = Self(4);
    /// 2.16: merged contacts are 410, `owner_id` is text.
    pub(crate) const V2_16: Self = Self(21);
    /// 2.17, the newest version.
    pub const V2_17: Self = Self(22);
    /// Preview, with `/contacts/bulk`.
    pub const PREVIEW: Self = Self(23);

    /// Returns the version as in the header.
    pub fn name(self) -> &'static str {
        NAMES[usize::from(self.0)]
    }

    pub(crate) fn family(self) -> Family {
        if usize::from(self.0) < OLD { Family::Old } else { Family::New }
    }

    /// Returns the version that serves a request with these headers.
    pub(crate) fn of(headers: &HeaderMap, options: &Options) -> Result<Self, Refusal> {
        let contacts = &options.contacts;
        let own = contacts.app_version;
        let version = match headers.get(VERSION_HEADER) {
            None => own,
            Some(name) => name.to_str().ok().and_then(|name| name.parse().ok()).ok_or(Refusal::VersionInvalid)?,
        };
        match contacts.unserved {
            _ if contacts.families.serve(version) => Ok(version),
            Unserved::Missing => Err(Refusal::RouteNotFound),
            Unserved::Other if contacts.families.serve(own) => Ok(own),
            Unserved::Other | Unserved::Refused => Err(Refusal::VersionInvalid),
        }
    }

    /// Refuses a resource that this version does not have.
    pub(crate) fn check(self, route: Route<'_>, options: &Options) -> Result<(), Refusal> {
        let bulk = route.is_contact_bulk() && self < options.contacts.bulk_from;
        if bulk || route.family().is_some_and(|family| family != self.family()) {
            return Err(Refusal::VersionInvalid);
        }
        Ok(())
    }
}

impl Families {
    fn serve(self, version: Version) -> bool {
        match self {
            Self::All => true,
            Self::Old => version.family() == Family::Old,
            Self::New => version.family() == Family::New,
        }
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = if text == UNSTABLE { NAMES[NAMES.len() - 1] } else { text };
        let place = NAMES.iter().position(|known| *known == name);
        place.map(|place| Self(place as u8)).ok_or_else(|| "1.0 to 1.4, 2.0 to 2.17 or Preview".to_owned())
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_versions_have_their_names() {
        for (version, name) in
            [(Version::V1_4, "1.4"), (Version::V2_16, "2.16"), (Version::V2_17, "2.17"), (Version::PREVIEW, "Preview")]
        {
            assert_eq!((version.name(), name.parse()), (name, Ok(version)));
        }
        assert_eq!("Unstable".parse(), Ok(Version::PREVIEW));
        assert_eq!(("1.4".parse(), "2.0".parse()), (Ok(Version(4)), Ok(Version(5))));
        assert!("2.18".parse::<Version>().is_err());
    }
}
