//! The common ground of Intercom's API families, in the program's own words.

/// The possible reaction to a page whose request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageFailure {
    /// The request was not carried out: repeat it later.
    Repeat {
        /// True if Intercom answered; otherwise the request was not sent.
        answered: bool,
    },
    /// Intercom may have carried the request out. With exclusive reading the page may be consumed.
    MaybeConsumed,
    /// The position is not valid any more: begin with the first page.
    Expired,
    /// Another reading of the workspace is open: wait until it expires.
    Busy,
    /// The request was not carried out because of the rate limit: repeat it later.
    RateLimited,
    /// Every such request will fail: the run cannot continue.
    Fatal,
}
