//! A part: the patches of one message of the patches queue. Functions here cut pages into parts and
//! pack parts into bulk jobs.

use std::fmt;

use serde::{Deserialize, Serialize};

mod outcomes;
mod pack;
mod size;

pub use outcomes::{Outcomes, UserOutcome};
pub use pack::{Size, pack};
pub use size::{size_for, size_for_pace};

use crate::domain::api::Way;
use crate::domain::job::JobId;
use crate::domain::patch::Patch;
use crate::domain::run::{FORMAT, FORMAT_1, RunId};

/// The most bytes of a part's patches as JSON: well below SQS's 1 MiB per message.
const BYTES_MAX: usize = 128 * 1024;
/// One reading of a page: a request under one lease of a turn. The commit of a page names the
/// reading that won, and parts of other readings are void.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReadingId {
    /// The turn.
    pub turn: u64,
    /// The lease of the turn, from 1.
    pub lease: u32,
}

impl fmt::Display for ReadingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.turn, self.lease)
    }
}

impl From<ReadingId> for String {
    fn from(id: ReadingId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for ReadingId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let read = || text.split_once('.').and_then(|(turn, lease)| Some((turn.parse().ok()?, lease.parse().ok()?)));
        let (turn, lease) = read().ok_or("not the id of a reading")?;
        Ok(Self { turn, lease })
    }
}

/// The source of a part.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Part number `part` of a page.
    Page {
        /// The page in its generation, from 1.
        page: u32,
        /// The part of the page, from 0.
        part: u32,
        /// The reading of the page; `None` in a run of format 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reading: Option<ReadingId>,
    },
    /// A follow-up part: items of a job that Intercom refused temporarily.
    Job {
        /// The job.
        job: JobId,
        /// The attempt at these items, from 2.
        attempt: u32,
    },
}

/// Digits of a page in a written identity.
const PAGE_DIGITS: usize = 7;
/// The fewest digits of a part in a written identity. The attempt of a follow-up part has one.
const PART_DIGITS: usize = 2;

/// A part's identity within its run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PartId {
    /// The generation that made it.
    pub generation: u32,
    /// The source.
    pub origin: Origin,
}

impl PartId {
    /// Returns the attempt at the part's items, from 1.
    pub fn attempt(&self) -> u32 {
        match &self.origin {
            Origin::Page { .. } => 1,
            Origin::Job { attempt, .. } => *attempt,
        }
    }
}

impl PartId {
    /// Parses a written identity.
    pub fn parse(written: &str) -> Option<Self> {
        let mut fields = written.split('#');
        let generation = fields.next()?.parse().ok()?;
        let (first, second, third) = (fields.next()?, fields.next()?, fields.next());
        let is_page = first.len() == PAGE_DIGITS && second.len() >= PART_DIGITS;
        let origin = match first.parse().ok().filter(|_| is_page) {
            Some(page) => {
                let reading = third.map(|reading| ReadingId::try_from(reading.to_owned())).transpose().ok()?;
                Origin::Page { page, part: second.parse().ok()?, reading }
            }
            None => Origin::Job { job: JobId::new(first)?, attempt: second.parse().ok()? },
        };
        fields.next().is_none().then_some(Self { generation, origin })
    }
}

/// The written form sorts by generation, page and part.
impl fmt::Display for PartId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { generation, origin } = self;
        match origin {
            Origin::Page { page, part, reading: None } => write!(f, "{generation:04}#{page:07}#{part:02}"),
            Origin::Page { page, part, reading: Some(reading) } => {
                write!(f, "{generation:04}#{page:07}#{part:02}#{reading}")
            }
            Origin::Job { job, attempt } => write!(f, "{generation:04}#{job}#{attempt}"),
        }
    }
}

/// A part, as sent through the patches queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Format version.
    pub v: u32,
    /// The run.
    pub run: RunId,
    /// The part's identity.
    #[serde(flatten)]
    pub id: PartId,
    /// The patches to submit: at least 1, and at most those of a write.
    pub patches: Vec<Patch>,
}

/// A page of a generation, as a reading brought it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRead {
    /// The generation.
    pub generation: u32,
    /// The page in its generation, from 1.
    pub page: u32,
    /// The reading; `None` in a run of format 1.
    pub reading: Option<ReadingId>,
}

impl PageRead {
    /// Returns the identity of part `part` of the page, from 0.
    pub fn part(self, part: u32) -> PartId {
        let Self { generation, page, reading } = self;
        PartId { generation, origin: Origin::Page { page, part, reading } }
    }
}

/// Cuts the patches of a page into parts of at most `size` patches and a bounded number of bytes. The
/// patches of a part are written in one way.
pub fn cut(
    run: &RunId,
    read: PageRead,
    mut patches: Vec<Patch>,
    size: usize,
    way_of: impl Fn(&Patch) -> Way,
) -> Vec<Part> {
    let v = if read.reading.is_some() { FORMAT } else { FORMAT_1 };
    let mut parts: Vec<Part> = Vec::new();
    let (mut bytes, mut way) = (0, None);
    patches.sort_by_key(&way_of);
    for patch in patches {
        let more = serde_json::to_vec(&patch).map_or(0, |json| json.len());
        bytes += more;
        let is_same = way.replace(way_of(&patch)) == Some(way_of(&patch));
        match parts.last_mut() {
            Some(part) if part.patches.len() < size && bytes <= BYTES_MAX && is_same => {
                part.patches.push(patch);
            }
            _ => {
                let id = read.part(parts.len() as u32);
                parts.push(Part { v, run: run.clone(), id, patches: vec![patch] });
                bytes = more;
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::api::WRITE_USERS_MAX;
    use crate::domain::patch::{Change, Target};
    use crate::domain::user::UserId;
    use proptest::prelude::*;

    const FIRST: PageRead = PageRead { generation: 1, page: 1, reading: None };

    fn patches(count: usize) -> Vec<Patch> {
        (0..count).map(|n| Patch { user: UserId::new(format!("u{n}")).unwrap(), changes: Vec::new() }).collect()
    }

    #[test]
    fn identities_sort_by_page() {
        let read = |page| PageRead { generation: 2, page, reading: Some(ReadingId { turn: 40, lease: 1 }) };
        let name = |page, part| read(page).part(part).to_string();
        assert_eq!(name(9, 1), "0002#0000009#01#40.1");
        assert!(name(9, 1) < name(10, 0) && name(10, 0) < name(10, 1));
    }

    #[test]
    fn a_written_identity_is_parsed() {
        let page = |page, part, reading| Origin::Page { page, part, reading };
        let job = |id, attempt| Origin::Job { job: JobId::new(id).unwrap(), attempt };
        let reading = Some(ReadingId { turn: 7, lease: 2 });
        for origin in [
            page(1, 3, None),
            page(9_999_999, 0, reading),
            page(2, 99, reading),
            page(2, 149, reading),
            job("job_5849", 2),
            job("1234567", 3),
        ] {
            let id = PartId { generation: 12, origin };
            assert_eq!(PartId::parse(&id.to_string()), Some(id));
        }
        for wrong in ["", "0001", "0001#0000001", "0001#0000001#03#x", "0001#0000001#03#7.2#1", "x#0000001#03"] {
            assert_eq!(PartId::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_page_of_large_patches_is_cut_by_its_bytes() {
        let change = |n: usize| Change {
            target: Target::Attribute(format!("attribute {n}")),
            replaced: None,
            new: "x".repeat(255).into(),
        };
        let patch = |n| Patch { user: UserId::new(format!("u{n}")).unwrap(), changes: (0..64).map(change).collect() };
        let parts = cut(&RunId::of("p", 0), FIRST, (0..100).map(patch).collect(), WRITE_USERS_MAX, |_| Way::Job);
        assert!(parts.len() > 10, "{}", parts.len());
        assert!(parts.iter().all(|part| serde_json::to_vec(part).unwrap().len() < BYTES_MAX + 1_000));
        assert_eq!(parts.iter().map(|part| part.patches.len()).sum::<usize>(), 100);
    }

    proptest! {
        #[test]
        fn cutting_keeps_every_patch(count in 0usize..300, size in 1usize..70) {
            let whole = patches(count);
            let way_of = |patch: &Patch| if patch.user.as_str().ends_with('7') { Way::Answer } else { Way::Job };
            let parts = cut(&RunId::of("p", 0), FIRST, whole.clone(), size, way_of);
            prop_assert!(parts.iter().all(|part| (1..=size).contains(&part.patches.len())));
            prop_assert!(parts.iter().all(|part| part.patches.iter().all(|of| way_of(of) == way_of(&part.patches[0]))));
            let back: Vec<_> = parts.into_iter().flat_map(|part| part.patches).collect();
            let (mut expected, other): (Vec<_>, Vec<_>) = whole.into_iter().partition(|of| way_of(of) == Way::Job);
            expected.extend(other);
            prop_assert_eq!(back, expected);
        }
    }
}
