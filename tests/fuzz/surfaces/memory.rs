//! The memory that a piece of work uses.

use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Does the work, and panics if it uses more bytes at a time. No other work may run at the same
/// time.
pub(crate) fn within<T>(bytes_max: usize, work: impl FnOnce() -> T) -> T {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let done = work();
    let taken = MEMORY.peak_usage().saturating_sub(before);
    assert!(taken <= bytes_max, "it took {taken} bytes, more than {bytes_max}");
    done
}
