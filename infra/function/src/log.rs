//! The log as Lambda's logging controls ask for it. The runtime's own set-up would do the same and link an engine of
//! regular expressions for filters that the controls do not have.

use std::fmt;

use intercom_bulk::domain::clock::Clock;
use jiff::Timestamp;
use lambda_runtime::Error;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

/// Logs to standard output from now on. `RUST_LOG` gives the level where Lambda gives none.
///
/// Where Lambda's log format is `JSON`, a line has `timestamp` and `level` at its top, as Lambda asks for: without a valid
/// timestamp it takes each line for one of level `INFO` ("Log-level filtering" in its developer guide). Elsewhere a line
/// has no time, because Lambda adds one.
pub(crate) fn init(get: impl Fn(&str) -> Option<String>) -> Result<(), Error> {
    let log = tracing_subscriber::fmt().with_target(false).with_max_level(level(&get));
    match get("AWS_LAMBDA_LOG_FORMAT") {
        Some(format) if format.eq_ignore_ascii_case("json") => log.json().with_timer(Rfc3339).try_init(),
        _ => log.without_time().try_init(),
    }
}

/// The time of a line as RFC 3339 in UTC, with milliseconds.
struct Rfc3339;

impl FormatTime for Rfc3339 {
    fn format_time(&self, line: &mut Writer<'_>) -> fmt::Result {
        let now = Timestamp::from_millisecond(Clock::of_the_machine().now_ms()).map_err(|_| fmt::Error)?;
        write!(line, "{now:.3}")
    }
}

/// The level; Lambda's most severe, `FATAL`, is our `ERROR`, and what is no level is its default.
fn level(get: impl Fn(&str) -> Option<String>) -> LevelFilter {
    match get("AWS_LAMBDA_LOG_LEVEL").or_else(|| get("RUST_LOG")) {
        Some(level) if level.eq_ignore_ascii_case("fatal") => LevelFilter::ERROR,
        Some(level) => level.parse().unwrap_or(LevelFilter::INFO),
        None => LevelFilter::INFO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_lambda_s_then_the_environment_s_then_info() {
        let of = |lambda: Option<&'static str>, rust: Option<&'static str>| {
            level(move |name| if name == "RUST_LOG" { rust } else { lambda }.map(ToOwned::to_owned))
        };
        assert_eq!(of(None, None), LevelFilter::INFO);
        assert_eq!(of(Some("WARN"), Some("trace")), LevelFilter::WARN);
        assert_eq!(of(None, Some("debug")), LevelFilter::DEBUG);
        assert_eq!(of(Some("FATAL"), None), LevelFilter::ERROR);
        assert_eq!(of(None, Some("intercom_bulk=debug")), LevelFilter::INFO);
    }
}
