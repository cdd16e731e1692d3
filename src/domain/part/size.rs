//! The size of parts, in users.

use std::num::NonZeroU32;

/// A window of this many writes is large, and parts need not fit it.
const LARGE_WINDOW_WRITES: u32 = 4;
/// A part size that packs well into a small window: just more than this part of a write.
const SMALL_PART_OF: u32 = 4;

/// The least size of a slow run's parts. Each part costs two items and a message.
const PACED_PART_LEAST: usize = 10;

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
