//! The users of a bulk job that does not say whom it refused, as reads by id show them.

use serde::{Deserialize, Serialize};

use crate::domain::kept::Fate;
use crate::domain::patch::{Change, Patch};

/// The finding about one change of a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Found {
    /// The user was not read yet.
    #[default]
    Unread,
    /// The new value is there.
    Written,
    /// The replaced value is there, or the new one in another form.
    Lacking,
    /// Neither is there: something else set another value since then.
    ChangedSince,
    /// Intercom does not have the user any more.
    Gone,
}

/// The finding about a user, over all changes of a patch.
#[derive(Clone, Debug, PartialEq)]
pub enum FoundUser {
    /// The new values are there.
    Written,
    /// Values are missing: these changes are to be written again.
    Lacking(Patch),
    /// Something else set another value since then, which stays.
    ChangedSince,
    /// Intercom does not have the user any more.
    Gone,
}

impl Found {
    const ALL: [Self; 5] = [Self::Unread, Self::Written, Self::Lacking, Self::ChangedSince, Self::Gone];

    const fn letter(self) -> char {
        match self {
            Self::Unread => '.',
            Self::Written => 'w',
            Self::Lacking => 'l',
            Self::ChangedSince => 'c',
            Self::Gone => 'g',
        }
    }
}

impl From<Fate> for Found {
    fn from(fate: Fate) -> Self {
        match fate {
            Fate::Kept => Self::Written,
            Fate::Old | Fate::Altered => Self::Lacking,
            Fate::ChangedSince => Self::ChangedSince,
        }
    }
}

/// The findings about the patches of a job, one for each change in their order. Stored as one letter
/// for each change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FoundUsers(Vec<Found>);

impl FoundUsers {
    /// Returns these findings if they are about so many changes, and otherwise those before any read.
    #[must_use]
    pub fn of(self, patches: &[Patch]) -> Self {
        let changes = changes_before(patches, patches.len());
        if self.0.len() == changes { self } else { Self(vec![Found::Unread; changes]) }
    }

    /// Returns the places of the patches whose users were not read yet.
    pub fn unread(&self, patches: &[Patch]) -> Vec<usize> {
        (0..patches.len()).filter(|place| self.at(patches, *place).contains(&Found::Unread)).collect()
    }

    /// Records the read of a patch's user: the finding about each change.
    pub fn record(&mut self, patches: &[Patch], place: usize, mut found: impl FnMut(&Change) -> Found) {
        let first = changes_before(patches, place);
        for (index, change) in patches[place].changes.iter().enumerate() {
            self.0[first + index] = found(change);
        }
    }

    /// Returns the finding about a patch's user. A user who could not be read counts as lacking: the
    /// answer to another write decides.
    pub fn user(&self, patches: &[Patch], place: usize) -> FoundUser {
        let (patch, found) = (&patches[place], self.at(patches, place));
        let lacks = |found: &Found| matches!(found, Found::Lacking | Found::Unread);
        if found.iter().any(lacks) {
            let changes = patch.changes.iter().zip(found).filter(|(_, found)| lacks(found));
            let changes = changes.map(|(change, _)| change.clone()).collect();
            return FoundUser::Lacking(Patch { user: patch.user.clone(), changes });
        }
        if found.contains(&Found::Gone) {
            FoundUser::Gone
        } else if found.contains(&Found::ChangedSince) {
            FoundUser::ChangedSince
        } else {
            FoundUser::Written
        }
    }

    fn at(&self, patches: &[Patch], place: usize) -> &[Found] {
        let first = changes_before(patches, place);
        &self.0[first..first + patches[place].changes.len()]
    }
}

fn changes_before(patches: &[Patch], place: usize) -> usize {
    patches[..place].iter().map(|patch| patch.changes.len()).sum()
}

impl From<FoundUsers> for String {
    fn from(found: FoundUsers) -> Self {
        found.0.into_iter().map(Found::letter).collect()
    }
}

impl TryFrom<String> for FoundUsers {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let of = |letter: char| Found::ALL.into_iter().find(|found| found.letter() == letter);
        text.chars().map(of).collect::<Option<_>>().map(Self).ok_or("not findings about users")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::patch::Target;
    use crate::domain::user::UserId;

    fn patch(user: &str, attributes: &[&str]) -> Patch {
        let change =
            |name: &&str| Change { target: Target::Attribute((*name).to_owned()), new: json!(1), replaced: None };
        Patch { user: UserId::new(user).unwrap(), changes: attributes.iter().map(change).collect() }
    }

    #[test]
    fn a_user_s_changes_decide_together() {
        let patches = [patch("a", &["x", "y"])];
        let lacking = |names: &[&str]| FoundUser::Lacking(patch("a", names));
        for (letters, expected) in [
            ("ww", FoundUser::Written),
            ("wl", lacking(&["y"])),
            ("ll", lacking(&["x", "y"])),
            ("lc", lacking(&["x"])),
            ("wc", FoundUser::ChangedSince),
            ("cc", FoundUser::ChangedSince),
            ("gg", FoundUser::Gone),
            ("..", lacking(&["x", "y"])),
        ] {
            let found: FoundUsers = serde_json::from_value(letters.into()).unwrap();
            assert_eq!(found.of(&patches).user(&patches, 0), expected, "{letters}");
        }
    }

    #[test]
    fn findings_are_kept_by_the_place_of_a_change() {
        let patches = [patch("a", &["x"]), patch("b", &[]), patch("c", &["x", "y"]), patch("d", &["x"])];
        let mut found = FoundUsers::default().of(&patches);
        assert_eq!(found.unread(&patches), [0, 2, 3], "a patch without changes needs no read");
        found.record(&patches, 2, |change| match &change.target {
            Target::Attribute(name) if name == "y" => Found::Lacking,
            _ => Found::Written,
        });
        found.record(&patches, 0, |_| Found::Gone);
        assert_eq!(serde_json::to_value(&found).unwrap(), "gwl.");
        assert_eq!(found.unread(&patches), [3]);
        assert_eq!(found.clone().of(&patches), found);
        assert_eq!(found.user(&patches, 2), FoundUser::Lacking(patch("c", &["y"])));
        assert_eq!(found.user(&patches, 1), FoundUser::Written);
        let other = [patch("a", &["x"])];
        assert_eq!(found.of(&other).unread(&other), [0], "findings about other patches are not used");
        assert!(serde_json::from_value::<FoundUsers>("wx".into()).is_err());
    }
}
