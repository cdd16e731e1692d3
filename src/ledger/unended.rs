//! Parts of a generation that have no end: those of committed pages, and the follow-up parts that
//! closed jobs name.

use std::collections::BTreeSet;

use super::attributes::{self, run_pk};
use super::jobs::Which;
use super::pages::page_sk;
use super::parts::part_sk;
use super::select::{Keys, Select};
use super::{Consistency, Ledger, LedgerError, PageRow, PartEnd, PartRow};
use crate::domain::part::{Origin, PartId};
use crate::domain::run::Run;

/// Pages whose parts are read at once. A run of millions of users has too many for one invocation.
const PAGES_AT_ONCE: usize = 50;

/// Some consecutive parts of a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unended {
    /// Those without end, in order.
    pub parts: Vec<PartId>,
    /// The last of them all.
    pub to: PartId,
}

impl Ledger {
    /// Returns the parts without end that follow `after`, some at a time: first those of pages, then
    /// the follow-up parts. Returns `None` after the last one.
    pub async fn unended_parts(
        &self,
        run: &Run,
        generation: u32,
        after: Option<&PartId>,
    ) -> Result<Option<Unended>, LedgerError> {
        self.parts_without(run, generation, after, |row| row.end.is_some()).await
    }

    /// The same for the parts that have no end or were dropped: not all of their users have an outcome.
    pub(super) async fn parts_not_done(
        &self,
        run: &Run,
        generation: u32,
        after: Option<&PartId>,
    ) -> Result<Option<Unended>, LedgerError> {
        self.parts_without(run, generation, after, |row| row.end.is_some_and(|end| end != PartEnd::Dropped)).await
    }

    /// The same for the parts without a row that satisfies `is_ended`.
    pub(super) async fn parts_without(
        &self,
        run: &Run,
        generation: u32,
        after: Option<&PartId>,
        is_ended: impl Fn(&PartRow) -> bool,
    ) -> Result<Option<Unended>, LedgerError> {
        let first_page = match after.map(|after| &after.origin) {
            None => Some(0),
            Some(Origin::Page { page, .. }) => Some(*page),
            Some(Origin::Job { .. }) => None,
        };
        let follows = |id: &PartId| after.is_none_or(|after| id > after);
        let mut parts = BTreeSet::new();
        if let Some(page) = first_page {
            let ids = self.parts_of_pages(run, generation, page).await?;
            parts.extend(ids.into_iter().filter(follows));
        }
        if parts.is_empty() {
            parts.extend(self.follow_ups(run, generation).await?.into_iter().filter(follows));
        }
        let Some(to) = parts.last().cloned() else { return Ok(None) };
        // By text, part 100 of a page is before part 99.
        let names: BTreeSet<String> = parts.iter().map(part_sk).collect();
        let (Some(first), Some(last)) = (names.first(), names.last()) else { return Ok(None) };
        // Read the ends last: a part that ends in the meantime is left out.
        let select = Select::of(run_pk(&run.id), Keys::Between(first.clone(), last.clone()));
        self.select(&select, |items| {
            for item in items {
                let row: PartRow = attributes::read(item, "PART")?;
                let is_ended = is_ended(&row);
                if let (Some(origin), true) = (row.origin, is_ended) {
                    parts.remove(&PartId { generation, origin });
                }
            }
            Ok(true)
        })
        .await?;
        Ok(Some(Unended { parts: parts.into_iter().collect(), to }))
    }

    /// Returns the number of users without an outcome in these parts of a generation: those that were
    /// leased and have no end. `parts` is the number of all its parts without end; if some were never
    /// leased, the result is `None`.
    pub async fn users_left(&self, run: &Run, generation: u32, parts: u64) -> Result<Option<u64>, LedgerError> {
        let select = Select {
            attributes: Some("generation, #users, outcomes"),
            only: Some(("attribute_not_exists(#end)", Vec::new())),
            ..Select::new(run_pk(&run.id), "PART#")
        };
        let (mut leased, mut users) = (0, 0);
        self.select(&select, |items| {
            for item in items {
                let row: PartRow = attributes::read(item, "PART")?;
                if row.generation == generation {
                    leased += 1;
                    users += row.outcomes.map_or(row.users, |outcomes| outcomes.left() as u64);
                }
            }
            Ok(true)
        })
        .await?;
        Ok((leased >= parts).then_some(users))
    }

    /// Returns the parts of the committed pages from this one on, at most [`PAGES_AT_ONCE`] pages
    /// and one.
    pub(super) async fn parts_of_pages(
        &self,
        run: &Run,
        generation: u32,
        page: u32,
    ) -> Result<Vec<PartId>, LedgerError> {
        let keys = Keys::Between(page_sk(generation, page), page_sk(generation, 9_999_999));
        let mut rows = Vec::new();
        let select = Select { items: PAGES_AT_ONCE + 1, ..Select::of(run_pk(&run.id), keys) };
        self.select(&select, |items| {
            for item in items {
                rows.push(attributes::read::<PageRow>(item, "PAGE")?);
            }
            Ok(rows.len() <= PAGES_AT_ONCE)
        })
        .await?;
        // The parts of the first page may all be sent.
        rows.truncate(PAGES_AT_ONCE + 1);
        Ok(rows.iter().flat_map(PageRow::part_ids).collect())
    }

    /// Returns the follow-up parts of a generation. Only the buckets that count some are read.
    async fn follow_ups(&self, run: &Run, generation: u32) -> Result<Vec<PartId>, LedgerError> {
        let mut buckets = Vec::new();
        let all_counted = self
            .each_count(&run.id, Consistency::Strong, |bucket, of, counts| {
                buckets.extend((of == generation && counts.follow_ups > 0).then_some(bucket));
            })
            .await?;
        if !all_counted {
            buckets = self.buckets_of(&run.id).await?;
        }
        let mut found = Vec::new();
        self.jobs_seen(&run.id, &buckets, Which::All, |_, job| {
            found.extend(job.again.filter(|_| job.generation == generation));
        })
        .await?;
        Ok(found)
    }
}
