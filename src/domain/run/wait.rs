//! The wait of a cursor.

use super::Cursor;

impl Cursor {
    /// Returns the latest end of the present wait, in Unix milliseconds.
    pub fn waits_until_ms(&self) -> i64 {
        self.waits_until_ms.map_or(self.not_before_ms, |until_ms| until_ms.max(self.not_before_ms))
    }
}
