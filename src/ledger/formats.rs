//! The newest format that each step reads, as its own function reported it.

use serde::{Deserialize, Serialize};

use super::attributes::key;
use super::{Ledger, LedgerError};

/// The partition of these items.
const PARTITION: &str = "FORMATS";
/// Age up to which a report holds, in milliseconds. An older version of the function, after a rollback,
/// does not report what it reads.
const HOLDS_MS: i64 = 2 * 3600 * 1000;
/// Age from which a report is renewed, in milliseconds.
const OLD_MS: i64 = 30 * 60 * 1000;

/// The newest format that a step reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormatReport {
    format: u32,
    /// Time of the report, in Unix milliseconds; 0 if an earlier version of the function made it.
    #[serde(default)]
    at_ms: i64,
}

impl FormatReport {
    /// Returns the newest format that the step reads, as far as is known at `now_ms`.
    pub fn reads(&self, now_ms: i64) -> u32 {
        if now_ms - self.at_ms < HOLDS_MS { self.format } else { 1 }
    }

    /// Returns whether a step that reads `format` has not reported it for half an hour.
    pub fn is_old(&self, format: u32, now_ms: i64) -> bool {
        self.format < format || now_ms - self.at_ms >= OLD_MS
    }
}

impl Ledger {
    /// Records the newest format that a step reads.
    pub async fn note_format(&self, step: &str, format: u32, now_ms: i64) -> Result<(), LedgerError> {
        self.put(&key(PARTITION, step), &FormatReport { format, at_ms: now_ms }).await
    }

    /// Returns what the function of a step last reported. Without a report, it reads format 1.
    pub async fn format_of(&self, step: &str) -> Result<FormatReport, LedgerError> {
        let found = self.get(&key(PARTITION, step)).await?;
        Ok(found.unwrap_or(FormatReport { format: 1, at_ms: 0 }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_holds_for_two_hours() {
        const MINUTE_MS: i64 = 60_000;
        const NOW_MS: i64 = 1_000 * MINUTE_MS;
        for (stored, reads, is_old) in [
            (serde_json::json!({"format": 2}), 1, true),
            (serde_json::json!({"format": 2, "at_ms": NOW_MS}), 2, true),
            (serde_json::json!({"format": 3, "at_ms": NOW_MS - 29 * MINUTE_MS}), 3, false),
            (serde_json::json!({"format": 3, "at_ms": NOW_MS - 30 * MINUTE_MS}), 3, true),
            (serde_json::json!({"format": 3, "at_ms": NOW_MS - 119 * MINUTE_MS}), 3, true),
            (serde_json::json!({"format": 3, "at_ms": NOW_MS - 120 * MINUTE_MS}), 1, true),
        ] {
            let report: FormatReport = serde_json::from_value(stored.clone()).unwrap();
            assert_eq!((report.reads(NOW_MS), report.is_old(3, NOW_MS)), (reads, is_old), "{stored}");
        }
    }
}
