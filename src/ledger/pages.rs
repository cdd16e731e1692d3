//! Committed pages: which reading of a page won, and the parts that it made.

use serde::{Deserialize, Serialize};

use super::attributes::{self, key, run_pk};
use super::expiry::expires_at_s;
use super::{Key, Ledger, LedgerError, Write};
use crate::domain::part::{Origin, Part, PartId, ReadingId};
use crate::domain::run::{RunId, Sampler, lowest_rank};

/// A committed page with parts. A page without parts has no such item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageRow {
    /// Format version.
    pub v: u32,
    /// The generation.
    pub generation: u32,
    /// The page in its generation, from 1.
    pub page: u32,
    /// The reading that won. Parts of other readings are void.
    pub reading: ReadingId,
    /// Number of parts.
    pub parts: u32,
    /// Number of users in the parts.
    pub users: u64,
    /// The lowest rank of each part's users in the order of samples.
    #[serde(default)]
    pub ranks: Vec<u64>,
    /// Time to live, in Unix seconds.
    pub expires_at: i64,
}

impl PageRow {
    /// Returns the item of the page that these parts were cut from; `None` without parts, or if
    /// their run keeps none.
    pub fn of(parts: &[Part], now_ms: i64) -> Option<Self> {
        let Origin::Page { page, reading: Some(reading), .. } = parts.first()?.id.origin else { return None };
        let users = parts.iter().map(|part| part.patches.len() as u64).sum();
        let ranks = parts.iter().map(|part| lowest_rank(&part.patches)).collect();
        let (v, generation, parts) = (parts[0].v, parts[0].id.generation, parts.len() as u32);
        Some(Self { v, generation, page, reading, parts, users, ranks, expires_at: expires_at_s(now_ms) })
    }

    /// Returns the parts that may have users of a sample.
    pub(super) fn parts_for<'a>(&'a self, sampler: &'a Sampler) -> impl Iterator<Item = PartId> + 'a {
        // A part whose rank is missing may have any users.
        let ranks = self.ranks.iter().copied().chain(std::iter::repeat(0));
        self.part_ids().zip(ranks).filter(|(_, rank)| sampler.wants(*rank)).map(|(id, _)| id)
    }

    /// Returns the identities of the page's parts.
    pub fn part_ids(&self) -> impl Iterator<Item = PartId> + '_ {
        let Self { generation, page, reading, .. } = *self;
        (0..self.parts)
            .map(move |part| PartId { generation, origin: Origin::Page { page, part, reading: Some(reading) } })
    }
}

/// Returns the beginning of the sort keys of a generation's pages.
pub(super) fn pages_prefix(generation: u32) -> String {
    format!("PAGE#{generation:04}#")
}

/// Returns the sort key of a page.
pub(super) fn page_sk(generation: u32, page: u32) -> String {
    format!("{}{page:07}", pages_prefix(generation))
}

fn page_key(run: &RunId, generation: u32, page: u32) -> Key {
    key(run_pk(run), page_sk(generation, page))
}

impl Ledger {
    /// Returns a committed page, if it made parts.
    pub async fn committed_page(
        &self,
        run: &RunId,
        generation: u32,
        page: u32,
    ) -> Result<Option<PageRow>, LedgerError> {
        self.get(&page_key(run, generation, page)).await
    }

    /// Returns the write of a committed page, for the transaction that commits its turn.
    pub(super) fn page_write(run: &RunId, row: &PageRow) -> Result<Write, LedgerError> {
        Ok(Write::put(attributes::item(&page_key(run, row.generation, row.page), row)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_without_a_rank_may_be_of_the_sample() {
        let reading = ReadingId { turn: 3, lease: 1 };
        let row = |ranks| PageRow { v: 2, generation: 1, page: 1, reading, parts: 3, users: 9, ranks, expires_at: 0 };
        let sampler = Sampler::of(1 << 40);
        for (ranks, parts) in [(vec![0, u64::MAX, 0], 2), (vec![u64::MAX], 2), (vec![], 3)] {
            assert_eq!(row(ranks.clone()).parts_for(&sampler).count(), parts, "{ranks:?}");
        }
    }
}
