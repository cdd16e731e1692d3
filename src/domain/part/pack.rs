//! Packs parts into bulk jobs.

/// The most bytes of a bulk job's patches, as received in messages. Compressed they must fit a
/// DynamoDB item, 400 KB; text without repetition compresses to three quarters.
const JOB_BYTES_MAX: usize = 384 * 1024;
/// The most parts of a bulk job. The transaction that records a job writes one item for each, and
/// DynamoDB allows 100.
const JOB_PARTS_MAX: usize = 90;

/// The size of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Number of patches.
    pub items: usize,
    /// Bytes of its message.
    pub bytes: usize,
}

/// Chooses parts by their sizes for the next bulk job, and returns their indices in the order of
/// `sizes`. The parts have at most `room` items. The largest parts that fit come first, so that the
/// job uses the whole limit.
pub fn pack(sizes: &[Size], room: usize) -> Vec<usize> {
    let mut by_size: Vec<usize> = (0..sizes.len()).collect();
    by_size.sort_by_key(|&index| std::cmp::Reverse(sizes[index].items));
    let (mut items, mut bytes) = (room, JOB_BYTES_MAX);
    let mut chosen = Vec::new();
    for index in by_size {
        let size = sizes[index];
        // A single part is chosen whatever its bytes; this program makes no part above the bound.
        if size.items <= items && (size.bytes <= bytes || chosen.is_empty()) && chosen.len() < JOB_PARTS_MAX {
            items -= size.items;
            bytes = bytes.saturating_sub(size.bytes);
            chosen.push(index);
        }
    }
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::api::WRITE_USERS_MAX;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packing_never_exceeds_the_room(
            sizes in prop::collection::vec((1usize..=WRITE_USERS_MAX, 1usize..200_000), 0..12),
            room in 0usize..200,
        ) {
            let sizes: Vec<Size> = sizes.into_iter().map(|(items, bytes)| Size { items, bytes }).collect();
            let chosen = pack(&sizes, room);
            let items: usize = chosen.iter().map(|&index| sizes[index].items).sum();
            let bytes: usize = chosen.iter().map(|&index| sizes[index].bytes).sum();
            prop_assert!(items <= room && bytes <= JOB_BYTES_MAX);
            prop_assert!(chosen.len() <= JOB_PARTS_MAX);
            // No part that still fits is left out.
            let left = (room - items, JOB_BYTES_MAX - bytes);
            let fits = |index: &usize| sizes[*index].items <= left.0 && sizes[*index].bytes <= left.1;
            prop_assert!(!(0..sizes.len()).filter(|index| !chosen.contains(index)).any(|index| fits(&index)));
        }
    }
}
