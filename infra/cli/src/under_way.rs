//! The requests that were under way when the process before this one ended. Their outcome is unknown.

use std::time::Duration;

use intercom_bulk::domain::run::{Cursor, Phase, Run};
use intercom_bulk::ledger::{Ledger, LedgerError};
use jiff::Timestamp;

use crate::output;

/// The requests of a process that did not finish them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UnderWay {
    /// The page of an exclusive reading. Nothing can read it again.
    page: bool,
    /// A write, and the time from which it, or its job, sets no more values, in Unix milliseconds.
    write_until_ms: Option<i64>,
    /// True if a write makes a bulk job.
    has_jobs: bool,
}

impl UnderWay {
    /// Reads the leases that a process did not return. A request with an unknown outcome, or its job, may
    /// set values for `unknown_life_ms`. No process works on the run now.
    pub(crate) async fn read(
        ledger: &Ledger,
        run: &Run,
        unknown_life_ms: i64,
        now_ms: i64,
    ) -> Result<Self, LedgerError> {
        let Some(cursor) = ledger.cursor(&run.id).await?.filter(|_| run.keeps_parts()) else {
            return Ok(Self::default());
        };
        let leases_until_ms = ledger.accounts(run, &cursor).await?.leases_until_ms;
        Ok(Self { has_jobs: run.writes_jobs(), ..Self::of(&cursor, &leases_until_ms, unknown_life_ms, now_ms) })
    }

    fn of(cursor: &Cursor, leases_until_ms: &[i64], unknown_life_ms: i64, now_ms: i64) -> Self {
        let page = cursor.lease.is_some() && cursor.phase == Phase::Turning && cursor.position.is_exclusive();
        // The process ended before now, and it sent its last request before.
        let sent_ms = leases_until_ms.iter().max().map(|until_ms| (*until_ms).min(now_ms));
        let write_until_ms = sent_ms.map(|sent_ms| sent_ms + unknown_life_ms).filter(|until_ms| *until_ms > now_ms);
        Self { page, write_until_ms, has_jobs: true }
    }

    /// Returns the consequences, one in each line.
    pub(crate) fn words(&self, now_ms: i64) -> Vec<String> {
        let mut lines = Vec::new();
        if self.page {
            lines.push(
                "A page was requested when the process before this one ended. Its users may be missed, so a further pass \
                 reads all users again."
                    .to_owned(),
            );
        }
        if let Some((until_ms, until)) =
            self.write_until_ms.and_then(|until_ms| Some((until_ms, Timestamp::from_millisecond(until_ms).ok()?)))
        {
            let left = output::duration(Duration::from_millis((until_ms - now_ms).max(0).unsigned_abs()));
            let pass = if self.page { "That pass" } else { "A further pass, if one is needed," };
            let write = if self.has_jobs {
                "A bulk request was under way when the process before this one ended, and whether Intercom took it is not \
                 known. Its users"
            } else {
                "Requests were under way when the process before this one ended, and whether Intercom carried them out is \
                 not known. Their users"
            };
            lines.push(format!(
                "{write} are sent again now. {pass} waits until {} UTC ({left}), so that an older value cannot \
                 overwrite a newer one.",
                until.strftime("%H:%M:%S")
            ));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use intercom_bulk::domain::run::{EXCLUSIVE_LIFE_MS, Lease, Position, RunId};

    use super::*;

    const NOW_MS: i64 = 100_000;
    const LIFE_MS: i64 = 900_000;

    fn cursor(leased: bool, position: Position) -> Cursor {
        let lease = Lease { owner: "o".to_owned(), message: "m".to_owned(), until_ms: 120_000 };
        let first = Cursor::first(RunId::of("p", 0), 0, EXCLUSIVE_LIFE_MS);
        Cursor { lease: leased.then_some(lease), position, ..first }
    }

    #[test]
    fn page_of_an_open_scroll_may_be_lost() {
        let scroll = || Position::Scroll { param: "s".to_owned() };
        for (leased, position, page) in [
            (true, scroll(), true),
            (false, scroll(), false),
            // The first page is requested again when its scroll has expired.
            (true, Position::First, false),
            (true, Position::Ids { pages: 0, users: 20 }, false),
        ] {
            let cursor = cursor(leased, position);
            assert_eq!(UnderWay::of(&cursor, &[], LIFE_MS, NOW_MS).page, page, "{:?}", cursor.position);
        }
        let settling = Cursor { phase: Phase::Settling, ..cursor(true, scroll()) };
        assert!(!UnderWay::of(&settling, &[], LIFE_MS, NOW_MS).page, "it requested no page");
    }

    #[test]
    fn request_was_sent_before_its_lease_and_its_process_ended() {
        let cursor = cursor(false, Position::First);
        for (leases_until_ms, write_until_ms) in [
            (vec![], None),
            (vec![70_000, 300_000], Some(NOW_MS + LIFE_MS)),
            (vec![70_000, 60_000], Some(70_000 + LIFE_MS)),
            (vec![NOW_MS - LIFE_MS], None),
        ] {
            let found = UnderWay::of(&cursor, &leases_until_ms, LIFE_MS, NOW_MS).write_until_ms;
            assert_eq!(found, write_until_ms, "{leases_until_ms:?}");
        }
    }

    #[test]
    fn consequences_name_a_time_of_day() {
        let both = UnderWay { page: true, write_until_ms: Some(NOW_MS + LIFE_MS), has_jobs: true };
        let lines = both.words(NOW_MS);
        assert!(lines[0].contains("a further pass reads all users again"), "{lines:?}");
        assert!(lines[1].contains("That pass waits until 00:16:40 UTC (15 min 0 s)"), "{lines:?}");
        let lines = UnderWay { page: false, ..both.clone() }.words(NOW_MS);
        assert!(lines.len() == 1 && lines[0].contains("A further pass, if one is needed, waits until"), "{lines:?}");
        let lines = UnderWay { page: false, has_jobs: false, ..both }.words(NOW_MS);
        assert!(lines[0].starts_with("Requests were under way") && !lines[0].contains("bulk"), "{lines:?}");
        assert_eq!(UnderWay::default().words(NOW_MS), Vec::<String>::new());
    }
}
