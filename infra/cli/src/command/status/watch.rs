//! `status --watch`: follows a run until it ends or pauses.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use intercom_bulk::domain::run::State;
use intercom_bulk::ledger::Ledger;
use intercom_bulk::runtime::config::environment;
use tokio::time::{Instant, sleep};

use super::{Found, Look, look};
use crate::command::ledger_options::RunOptions;
use crate::command::{CommandError, INTERRUPTED};
use crate::output;
use crate::stop::Stops;
use crate::summary::exit_code;

/// The interval between two reads of a local ledger, and of a table in the cloud, where each is paid for.
const LOCAL: Duration = Duration::from_secs(1);
const CLOUD: Duration = Duration::from_secs(5);
/// The shortest interval between two lines of one state.
const LINE: Duration = Duration::from_secs(5);
/// Reads in a row that find no process before a local run is taken for stopped. One may end, and another
/// begin, between two reads.
const IDLE_READS: u32 = 3;

/// Follows the run that the options name. Returns the exit code of its end.
pub(super) async fn follow(mut of: RunOptions, ledger: &Ledger, folder: Option<&Path>) -> Result<u8, CommandError> {
    let mut stops = Stops::listen();
    let mut shown = Shown::new(of.from.json);
    let (mut idle, interval) = (0, if folder.is_some() { LOCAL } else { CLOUD });
    loop {
        match look(&of, ledger, folder).await? {
            Found::Waiting(waiting) => shown.note("waiting", waiting.sentence(), || output::json(&waiting.json())),
            Found::Begun(look) => {
                // Another run may begin in the meantime.
                of.name.get_or_insert_with(|| look.run.id.to_string());
                idle = if look.at_work == Some(false) { idle + 1 } else { 0 };
                if let Some(code) = end(&look, idle) {
                    shown.end();
                    look.seen().show(of.from.json);
                    return Ok(code);
                }
                shown.note(look.run.state.as_str(), line(&look), || output::json(&look.seen().json()));
            }
        }
        if !output::has_reader() {
            return Ok(0);
        }
        tokio::select! {
            () = stops.next() => {
                shown.end();
                output::note(false, "Stopped watching. The run goes on.");
                return Ok(INTERRUPTED);
            }
            () = sleep(interval) => {}
        }
    }
}

/// Returns the exit code if the run needs no further look: it ended, it waits for a decision, or no process
/// has worked on it for `idle` reads.
fn end(look: &Look, idle: u32) -> Option<u8> {
    let state = look.run.state;
    (state.ended() || state == State::Paused || idle >= IDLE_READS).then(|| exit_code(state))
}

/// Returns the run on one line, for example `running | 12% | 5000/20000 read | 1000/4000 sent`.
fn line(look: &Look) -> String {
    format!("{} | {}", look.run.state, look.sample.line())
}

/// The lines so far.
struct Shown {
    json: bool,
    /// One line of a terminal is replaced.
    live: bool,
    state: &'static str,
    line: String,
    at: Option<Instant>,
}

impl Shown {
    fn new(json: bool) -> Self {
        let is_terminal = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
        Self { json, live: is_terminal && !json && !is_plain(environment), state: "", line: String::new(), at: None }
    }

    /// Shows a line if it says something new. A line of the same state waits for its interval.
    fn note(&mut self, state: &'static str, line: String, json: impl FnOnce()) {
        if self.live {
            return output::draw(&line);
        }
        let is_due = self.state != state || self.at.is_none_or(|at| at.elapsed() >= LINE);
        if self.line == line || !is_due {
            return;
        }
        if self.json {
            json();
        } else {
            output::line(&line);
        }
        (self.state, self.line, self.at) = (state, line, Some(Instant::now()));
    }

    /// Removes the line that is replaced.
    fn end(&self) {
        if self.live {
            output::draw("");
        }
    }
}

/// Returns whether the terminal is to get no control codes.
fn is_plain(variable: impl Fn(&str) -> Option<String>) -> bool {
    variable("NO_COLOR").is_some_and(|value| !value.is_empty()) || variable("TERM").is_some_and(|term| term == "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_without_control_codes_is_recognised() {
        for (no_color, term, plain) in
            [("", "xterm", false), ("1", "xterm", true), ("", "dumb", true), ("0", "", true), ("", "", false)]
        {
            let variable = |name: &str| Some(if name == "NO_COLOR" { no_color } else { term }.to_owned());
            assert_eq!(is_plain(variable), plain, "{no_color} {term}");
        }
        assert!(!is_plain(|_| None));
    }

    #[tokio::test(start_paused = true)]
    async fn line_is_shown_when_it_says_something_new() {
        let mut printed = Vec::new();
        let mut shown = Shown { json: true, live: false, state: "", line: String::new(), at: None };
        for (after_s, state, line) in [
            (0, "waiting", "a"),
            (1, "running", "b"),
            (1, "running", "c"),
            (4, "running", "c"),
            (9, "running", "c"),
            (1, "draining", "c"),
            (1, "draining", "d"),
        ] {
            tokio::time::advance(Duration::from_secs(after_s)).await;
            shown.note(state, line.to_owned(), || printed.push(format!("{state} {line}")));
        }
        assert_eq!(printed, ["waiting a", "running b", "running c", "draining d"]);
    }
}
