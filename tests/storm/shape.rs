//! The size of a story.

use rand::Rng;
use rand::rngs::SmallRng;

/// The size of a story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A few pages, a few faults.
    Short,
    /// Pages of several parts, and a strict rate limit.
    Wide,
    /// Endless faults.
    Long,
}

impl Shape {
    pub(crate) fn draw(rng: &mut SmallRng) -> Self {
        match rng.random_range(0..100) {
            0..94 => Self::Short,
            94..97 => Self::Wide,
            _ => Self::Long,
        }
    }

    pub(crate) fn users(self, rng: &mut SmallRng) -> usize {
        match self {
            Self::Short => rng.random_range(0..48),
            Self::Wide => rng.random_range(100..320),
            Self::Long => rng.random_range(5..60),
        }
    }

    pub(crate) fn page_size(self, rng: &mut SmallRng) -> usize {
        match self {
            Self::Short | Self::Long => rng.random_range(4..13),
            Self::Wide => rng.random_range(30..=100),
        }
    }
}
