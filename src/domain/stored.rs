//! Stored items.

/// Returns whether a number is 0. An item leaves it out then.
pub(crate) fn is_zero<N: Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
}
