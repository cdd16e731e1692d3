//! How long a cursor waits.

use super::Cursor;

impl Cursor {
    /// When the present wait is over at the latest, in Unix milliseconds.
    pub fn waits_until_ms(&self) -> i64 {
        self.waits_until_ms.map_or(self.not_before_ms, |until_ms| until_ms.max(self.not_before_ms))
    }
}
