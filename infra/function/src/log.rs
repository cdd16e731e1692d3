//! The log according to Lambda's logging controls. The runtime's own set-up does the same, but
//! links a regular expression engine for filters that the controls do not have.

use std::fmt;

use intercom_bulk::domain::clock::Clock;
use jiff::Timestamp;
use lambda_runtime::Error;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

/// Starts the log on standard output. `RUST_LOG` gives the level if Lambda gives none.
///
/// If Lambda's log format is `JSON`, a line has `timestamp` and `level` at its top, as Lambda
/// requires: without a valid timestamp it assigns the level `INFO` ("Log-level filtering" in its
/// developer guide). Otherwise a line has no time, because Lambda adds one.
pub(crate) fn init(get: impl Fn(&str) -> Option<String>) -> Result<(), Error> {
    let log = tracing_subscriber::fmt().with_target(false).with_max_level(level(&get));
    match get("AWS_LAMBDA_LOG_FORMAT") {
        Some(format) if format.eq_ignore_ascii_case("json") => log.json().with_timer(Rfc3339).try_init(),
        _ => log.without_time().try_init(),
    }
}

/// Formats the time of a line as RFC 3339 in UTC, with milliseconds.
struct Rfc3339;

impl FormatTime for Rfc3339 {
    fn format_time(&self, line: &mut Writer<'_>) -> fmt::Result {
        let now = Timestamp::from_millisecond(Clock::of_the_machine().now_ms()).map_err(|_| fmt::Error)?;
        write!(line, "{now:.3}")
    }
}

/// Returns the level. Lambda's `FATAL` maps to `ERROR`. An unknown level maps to the default.
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
    fn level_is_lambda_s_then_rust_log_then_info() {
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
