//! Counts beside rows: one item per run, bucket and generation. A write that makes or closes a job, or
//! ends a part, changes it in the same transaction.

use std::collections::BTreeMap;

use super::attributes::{self, Item, key, n, number, run_pk, s, text};
use super::expiry::expires_at_s;
use super::select::Select;
use super::{Closing, End, JobRow, Key, Ledger, LedgerError, ReadUsers, Write};
use crate::domain::bucket::{Bucket, Width};
use crate::domain::run::{BucketCounts, Counts, RunId};

/// Length of a window of the rate limit, in milliseconds.
const WINDOW_MS: i64 = 10_000;
/// Windows of a minute. A bucket of several minutes counts its users by minute after the first one.
const WINDOWS_OF_MINUTE: i64 = 6;

/// The attributes of [`Counts`], with those that name the item.
const OF_COUNTS: &str = "v, #bucket, generation, #jobs, #items, #sent, #completed, #completed_with_errors, #unknown, \
                         #written, #gone, #changed_since, #unattributed, #users_unknown, #failed_unnamed, \
                         #parts_ended, #follow_ups, #lost";

/// The consistency of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// Eventually consistent, at half the price: to be shown.
    Eventual,
    /// Strongly consistent: to decide.
    Strong,
}

/// A change of the counts of one bucket and generation.
#[derive(Clone, Debug)]
pub(super) struct Change<'a> {
    pub(super) run: &'a RunId,
    pub(super) bucket: Bucket,
    pub(super) generation: u32,
    pub(super) counts: Counts,
    /// Users that are added to the window of a job's creation.
    pub(super) sends: Option<Sends>,
    pub(super) now_ms: i64,
}

/// A number of users, and the creation of their job in Unix milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sends {
    made_ms: i64,
    users: i64,
}

impl<'a> Change<'a> {
    /// Returns the change for something that belongs to no job.
    pub(super) fn without_job(run: &'a RunId, generation: u32, counts: Counts, now_ms: i64) -> Self {
        Self { run, bucket: Bucket::of(now_ms, Width::MINUTE), generation, counts, sends: None, now_ms }
    }

    /// Returns the change for a new job that ends so many parts. Only its own users count, not those who are
    /// in another job, or will be. A job of requests whose answers are the results is closed at once.
    pub(super) fn made(row: &'a JobRow, parts_ended: usize) -> Self {
        let (items, sent) = (row.users as i64, row.own_users() as i64);
        let mut counts = Counts { jobs: 1, items, sent, parts_ended: parts_ended as i64, ..Counts::default() };
        if let Some(end) = row.end {
            add_end(&mut counts, end);
            counts.gone = if sent > 0 { row.gone as i64 } else { 0 };
            counts.written = (sent - (row.failed + row.gone) as i64).max(0);
        }
        Self::of_job(row, counts, sent)
    }

    /// Returns the change for a job that is closed.
    pub(super) fn closed(row: &'a JobRow, closing: &Closing) -> Self {
        let items = row.users as i64;
        let again = closing.again.as_ref().map_or(0, |(_, users)| *users as i64);
        let own = row.own_users() as i64;
        let again_of_sent = again.min(own);
        let sent = own - again_of_sent;
        let ReadUsers { gone, changed_since } = closing.read.filter(|_| own > 0).unwrap_or_default();
        let refused = (closing.failed + closing.unattributed + gone + changed_since) as i64;
        let mut counts = Counts {
            sent: -again_of_sent,
            gone: gone as i64,
            changed_since: changed_since as i64,
            unattributed: if own > 0 { closing.unattributed as i64 } else { 0 },
            follow_ups: i64::from(closing.again.is_some()),
            ..Counts::default()
        };
        add_end(&mut counts, closing.end);
        match closing.end {
            End::Unknown if closing.failed_unnamed => counts.failed_unnamed = items,
            End::Unknown if closing.read.is_none() => counts.users_unknown = items,
            End::Unknown | End::Completed | End::CompletedWithErrors => counts.written = (sent - refused).max(0),
        }
        Self::of_job(row, counts, -again_of_sent)
    }

    fn of_job(row: &'a JobRow, counts: Counts, users: i64) -> Self {
        let JobRow { run, bucket, generation, made_ms, .. } = row;
        let sends = (users != 0).then_some(Sends { made_ms: *made_ms, users });
        Self { run, bucket: bucket.clone(), generation: *generation, counts, sends, now_ms: *made_ms }
    }

    /// Returns the write of the change, for the transaction of its row.
    pub(super) fn write(&self) -> Result<Write, LedgerError> {
        let Self { run, bucket, generation, counts, sends, now_ms } = self;
        let at = counts_key(run, bucket, *generation);
        let made: Result<Item, _> = serde_dynamo::to_item(counts);
        let made = made.map_err(|source| LedgerError::Encode { key: at.sk.clone(), source })?;
        let mut added: Vec<(String, i64)> =
            made.keys().filter_map(|name| Some((name.clone(), number(&made, name)?))).collect();
        added.extend(sends.map(|sends| (window_name(bucket, sends.made_ms), sends.users)));
        added.retain(|(_, count)| *count != 0);
        added.sort_unstable();
        let terms: Vec<String> = added.iter().map(|(name, _)| format!("#{name} :{name}")).collect();
        let update =
            format!("SET #bucket = :bucket, generation = :generation, expires_at = :expires ADD {}", terms.join(", "));
        let write = Write::update(&at, update)
            .with(":bucket", s(bucket))
            .with(":generation", n(generation))
            .with(":expires", n(expires_at_s(*now_ms)));
        Ok(added.iter().fold(write, |write, (name, count)| write.with(&format!(":{name}"), n(count))))
    }
}

fn add_end(counts: &mut Counts, end: End) {
    match end {
        End::Completed => counts.completed += 1,
        End::CompletedWithErrors => counts.completed_with_errors += 1,
        End::Unknown => counts.unknown += 1,
    }
}

fn counts_key(run: &RunId, bucket: &Bucket, generation: u32) -> Key {
    key(run_pk(run), format!("BUCKETS#{bucket}#{generation:04}"))
}

/// Returns the attribute of the window in which a job of the bucket was created.
fn window_name(bucket: &Bucket, made_ms: i64) -> String {
    let window = ((made_ms - bucket.begins_ms()) / WINDOW_MS).max(0);
    let by_minute = window / WINDOWS_OF_MINUTE * WINDOWS_OF_MINUTE;
    format!("w{}", if window < WINDOWS_OF_MINUTE { window } else { by_minute })
}

/// Returns the bucket and the generation that an item counts. `None` for a bucket of a run of format 1,
/// which has no counts.
fn counted_by(item: &Item) -> Option<(Bucket, u32)> {
    Some((Bucket::parse(text(item, "bucket"))?, number(item, "generation")?))
}

/// Returns the counts of an item, with the windows of its users.
fn bucket_counts(item: Item) -> Result<Option<BucketCounts>, LedgerError> {
    let Some((bucket, generation)) = counted_by(&item) else { return Ok(None) };
    let begin = bucket.begins_ms().div_euclid(WINDOW_MS);
    let mut sends: BTreeMap<i64, u64> = BTreeMap::new();
    for name in item.keys() {
        let Some(window) = name.strip_prefix('w').and_then(|window| window.parse::<i64>().ok()) else { continue };
        let users = number::<i64>(&item, name).unwrap_or_default().max(0).unsigned_abs();
        let windows = if window < WINDOWS_OF_MINUTE { 1 } else { WINDOWS_OF_MINUTE };
        for part in 0..windows.unsigned_abs() {
            let share = users * (part + 1) / windows.unsigned_abs() - users * part / windows.unsigned_abs();
            *sends.entry(begin + window + part as i64).or_default() += share;
        }
    }
    sends.retain(|_, users| *users > 0);
    let counts: Counts = attributes::read(item, "BUCKETS")?;
    Ok(Some(BucketCounts { bucket, generation, counts, sends }))
}

impl Ledger {
    /// Returns the counts of a run, by bucket and generation.
    pub async fn counts(&self, run: &RunId, consistency: Consistency) -> Result<Vec<BucketCounts>, LedgerError> {
        let mut found = Vec::new();
        let select = Select { consistent: consistency == Consistency::Strong, ..Select::new(run_pk(run), "BUCKETS#") };
        self.select(&select, |items| {
            for item in items {
                found.extend(bucket_counts(item)?);
            }
            Ok(true)
        })
        .await?;
        Ok(found)
    }

    /// Reads the counts of a run one after the other: a run of weeks has tens of thousands. Returns
    /// `false` if the rows of some bucket are not counted.
    pub(super) async fn each_count(
        &self,
        run: &RunId,
        consistency: Consistency,
        mut each: impl FnMut(Bucket, u32, Counts),
    ) -> Result<bool, LedgerError> {
        let mut all_counted = true;
        let consistent = consistency == Consistency::Strong;
        let select = Select { consistent, attributes: Some(OF_COUNTS), ..Select::new(run_pk(run), "BUCKETS#") };
        self.select(&select, |items| {
            for item in items {
                match counted_by(&item) {
                    Some((bucket, generation)) => each(bucket, generation, attributes::read(item, "BUCKETS")?),
                    None => all_counted = false,
                }
            }
            Ok(true)
        })
        .await?;
        Ok(all_counted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_counted_by_window_and_after_a_minute_by_minute() {
        let bucket = Bucket::parse("2016-11-24T10:05Z").unwrap();
        let begin = bucket.begins_ms();
        let names = [0, 9_999, 10_000, 59_999, 60_000, 119_999, 185_000].map(|ms| window_name(&bucket, begin + ms));
        assert_eq!(names, ["w0", "w0", "w1", "w5", "w6", "w6", "w18"]);
        let item = Item::from([
            ("bucket".to_owned(), s(&bucket)),
            ("generation".to_owned(), n(1)),
            ("w0".to_owned(), n(100)),
            ("w6".to_owned(), n(20)),
            ("jobs".to_owned(), n(2)),
            ("written".to_owned(), n(7)),
        ]);
        let read = bucket_counts(item).unwrap().unwrap();
        let window = begin / WINDOW_MS;
        let sends: Vec<(i64, u64)> = read.sends.iter().map(|(at, users)| (at - window, *users)).collect();
        assert_eq!(sends, [(0, 100), (6, 3), (7, 3), (8, 4), (9, 3), (10, 3), (11, 4)]);
        assert_eq!((read.counts.jobs, read.counts.written, read.counts.sent), (2, 7, 0));
    }

    #[test]
    fn each_count_is_read() {
        let counts: Item = serde_dynamo::to_item(Counts::default()).unwrap();
        let read: Vec<&str> = OF_COUNTS.split(", ").filter_map(|name| name.strip_prefix('#')).collect();
        assert_eq!(counts.keys().filter(|name| !read.contains(&name.as_str())).count(), 0, "{read:?}");
        assert_eq!(read.len(), counts.len() + 1, "and the bucket");
    }

    #[test]
    fn bucket_of_format_1_has_no_counts() {
        let item = Item::from([("bucket".to_owned(), s("2016-11-24T10:05Z"))]);
        assert_eq!(bucket_counts(item).unwrap(), None);
    }
}
