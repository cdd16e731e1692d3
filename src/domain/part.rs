//! A part: the patches of one message of the patches queue. Functions here cut pages into parts and
//! pack parts into bulk jobs.

use std::fmt;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

mod outcomes;
mod pack;

pub use outcomes::{Outcomes, UserOutcome};
pub use pack::{Size, pack};

use crate::domain::job::JobId;
use crate::domain::patch::Patch;
use crate::domain::run::{FORMAT, FORMAT_1, RunId};

/// The most bytes of a part's patches as JSON: well below SQS's 1 MiB per message.
const BYTES_MAX: usize = 128 * 1024;
/// A window of this many writes is large, and parts need not fit it.
const LARGE_WINDOW_WRITES: u32 = 4;
/// A part size that packs well into a small window: just more than this part of a write.
const SMALL_PART_OF: u32 = 4;

/// The least size of a slow run's parts. Each part costs two items and a message.
const PACED_PART_LEAST: usize = 10;

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

/// Digits of a page and of a part in a written identity.
const PAGE_DIGITS: usize = 7;
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
        let is_page = first.len() == PAGE_DIGITS && second.len() == PART_DIGITS;
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

/// Returns the size of parts for writes of at most `most` users and a window that leaves `usable`
/// operations to submit. Whole parts should fill the window. Each part costs a lease and a done mark.
pub fn size_for(usable: u32, most: usize) -> usize {
    let most = most as u32;
    if usable >= LARGE_WINDOW_WRITES * most {
        return most as usize;
    }
    let small = most / SMALL_PART_OF + 1;
    let parts = ((usable + small / 2) / small).max(1);
    (usable / parts).clamp(1, most) as usize
}

/// Returns the size of parts for a pace in users per minute. Whole parts should fill a minute. A
/// slow run's part is submitted over several minutes, under one lease.
pub fn size_for_pace(max_per_minute: Option<NonZeroU32>, most: usize) -> usize {
    max_per_minute.map_or(most, |pace| size_for(pace.get(), most).max(PACED_PART_LEAST).min(most))
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

/// Cuts the patches of a page into parts of at most `size` patches and a bounded number of bytes.
pub fn cut(run: &RunId, read: PageRead, patches: Vec<Patch>, size: usize) -> Vec<Part> {
    let v = if read.reading.is_some() { FORMAT } else { FORMAT_1 };
    let mut parts: Vec<Part> = Vec::new();
    let mut bytes = 0;
    for patch in patches {
        let more = serde_json::to_vec(&patch).map_or(0, |json| json.len());
        bytes += more;
        match parts.last_mut() {
            Some(part) if part.patches.len() < size && bytes <= BYTES_MAX => {
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
    fn parts_fill_small_windows() {
        for usable in [62, 79, 127, 160, 399] {
            let size = size_for(usable, 100) as u32;
            assert!(usable % size < usable / 10, "{usable} is cut in {size}");
        }
        assert_eq!([399, 400, 1300].map(|usable| size_for(usable, 100)), [26, 100, 100]);
        assert_eq!([0, 3, 4, 1300].map(|usable| size_for(usable, 1)), [1; 4]);
        assert_eq!(size_for(0, 100), 1);
    }

    #[test]
    fn parts_fill_a_minute_of_a_pace() {
        let size = |pace| size_for_pace(NonZeroU32::new(pace), 100);
        assert_eq!([0, 1, 10, 60, 100, 150, 1_000].map(size), [100, 10, 10, 30, 25, 25, 100]);
        assert_eq!(size_for_pace(NonZeroU32::new(60), 1), 1);
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
        let page = |page, reading| Origin::Page { page, part: 3, reading };
        let job = Origin::Job { job: JobId::new("job_5849").unwrap(), attempt: 2 };
        for origin in [page(1, None), page(9_999_999, Some(ReadingId { turn: 7, lease: 2 })), job] {
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
        let parts = cut(&RunId::of("p", 0), FIRST, (0..100).map(patch).collect(), WRITE_USERS_MAX);
        assert!(parts.len() > 10, "{}", parts.len());
        assert!(parts.iter().all(|part| serde_json::to_vec(part).unwrap().len() < BYTES_MAX + 1_000));
        assert_eq!(parts.iter().map(|part| part.patches.len()).sum::<usize>(), 100);
    }

    proptest! {
        #[test]
        fn cutting_keeps_every_patch(count in 0usize..300, size in 1usize..70) {
            let whole = patches(count);
            let parts = cut(&RunId::of("p", 0), FIRST, whole.clone(), size);
            prop_assert!(parts.iter().all(|part| (1..=size).contains(&part.patches.len())));
            let back: Vec<_> = parts.into_iter().flat_map(|part| part.patches).collect();
            prop_assert_eq!(back, whole);
        }
    }
}
