//! The log as Lambda's logging controls ask for it. The runtime's own set-up would do the same and link an engine of
//! regular expressions for filters that the controls do not have.

use lambda_runtime::Error;
use tracing::level_filters::LevelFilter;

/// Logs to standard output from now on: lines of JSON where Lambda's log format is `JSON`, without a time, which Lambda
/// adds. `RUST_LOG` gives the level where Lambda gives none.
pub(crate) fn init(get: impl Fn(&str) -> Option<String>) -> Result<(), Error> {
    let log = tracing_subscriber::fmt().with_target(false).without_time().with_max_level(level(&get));
    match get("AWS_LAMBDA_LOG_FORMAT") {
        Some(format) if format.eq_ignore_ascii_case("json") => log.json().try_init(),
        _ => log.try_init(),
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
