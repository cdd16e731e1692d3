//! Text for the user: results on standard output, everything else on standard error.
//!
//! If the reader closes its end (`jobs | head`), output is dropped and the command continues.
//! `println!` would panic.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use intercom_bulk::domain::api::{ApiVersion, BulkCharge, Writing};
use intercom_bulk::domain::redact::is_invisible;
use intercom_bulk::domain::run::{Counted, Run, State};

use serde::Serialize;

/// The last line on the terminal is a progress line, which the next line replaces.
static DRAWN: AtomicBool = AtomicBool::new(false);
/// Standard output cannot be written: its reader closed it.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// Escapes the characters that move a terminal's cursor or hide and reorder text.
///
/// Names, keys and messages come from end users. JSON strings use the same escapes.
pub(crate) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_invisible(c) { shown.push_str(&format!("\\u{:04x}", u32::from(c))) } else { shown.push(c) }
    }
    shown
}

/// Prints a line of a result.
pub(crate) fn line(text: &str) {
    if writeln!(std::io::stdout().lock(), "{}", plain(text)).is_err() {
        CLOSED.store(true, Ordering::Relaxed);
    }
}

/// Returns whether the lines of a result have a reader. A long list ends when it has none.
pub(crate) fn has_reader() -> bool {
    !CLOSED.load(Ordering::Relaxed)
}

/// Prints a result as one JSON object on one line.
pub(crate) fn json<T: Serialize>(value: &T) {
    line(&serde_json::to_string(value).unwrap_or_default());
}

/// Prints a result as JSON, or as text.
pub(crate) fn result<T: Serialize>(as_json: bool, value: &T, text: impl FnOnce() -> String) {
    if as_json { json(value) } else { line(&text()) }
}

/// Prints a line that is not part of the result.
pub(crate) fn note(quiet: bool, text: &str) {
    if !quiet {
        DRAWN.store(false, Ordering::Relaxed);
        let _ = writeln!(std::io::stderr().lock(), "{}", plain(text));
    }
}

/// Draws a progress line. Cuts it to the terminal's width, because a wrapped line cannot be
/// replaced.
pub(crate) fn draw(text: &str) {
    let width = terminal_size::terminal_size().map_or(usize::MAX, |(width, _)| usize::from(width.0));
    DRAWN.store(true, Ordering::Relaxed);
    part(&format!("\r\x1b[2K\x1b[?7l{}\x1b[?7h", fit(&plain(text), width)));
}

/// Cuts text to this many columns, with `…` at its end if it was longer.
pub(crate) fn fit(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let kept: String = text.chars().take(columns.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// Returns the log's writer: standard error. It removes a progress line first.
pub(crate) fn log() -> impl Write {
    let mut stream = std::io::stderr().lock();
    if DRAWN.swap(false, Ordering::Relaxed) {
        let _ = write!(stream, "\r\x1b[2K");
    }
    stream
}

/// Prints text without a line end, and flushes.
fn part(text: &str) {
    let mut stream = std::io::stderr().lock();
    let _ = write!(stream, "{text}").and_then(|()| stream.flush());
}

/// Prints an error and its remedy. Further lines are indented, so that no text can imitate a line
/// of the command.
pub(crate) fn error(text: &str) {
    for (index, line) in text.lines().enumerate() {
        note(false, &if index == 0 { format!("error: {line}") } else { format!("  {line}") });
    }
}

/// Asks a question. Returns true only for yes.
pub(crate) fn confirm(question: &str) -> bool {
    part(&format!("{} [y/N] ", plain(question)));
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

/// Replaces the limits' names in a run's reason with the command's flags.
pub(crate) fn flags(reason: &str) -> String {
    const LIMITS: [(&str, &str); 6] = [
        ("accept_unseen", "--accept-unseen"),
        ("create_attributes", "--create-attributes"),
        ("max_changes", "--max-changes"),
        ("max_errors", "--max-errors"),
        ("no_wait", "--no-wait"),
        ("then_pause", "--then-pause"),
    ];
    LIMITS.iter().fold(reason.to_owned(), |words, (limit, flag)| words.replace(limit, flag))
}

/// Returns a number of things: `1 user`, `2 users`.
pub(crate) fn count(number: u64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// Returns the way in which a run sends its users: ` in 2 bulk jobs`, ` one by one (API 2.17)`.
pub(crate) fn sent_in(run: &Run, jobs: u64) -> String {
    match run.api.capabilities().write {
        Writing::Jobs { .. } => format!(" in {}", count(jobs, "bulk job")),
        Writing::JobsOrAnswers { .. } => {
            let why = run.no_jobs.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
            format!(" in {} and sets of single requests{why}", count(jobs, "bulk job"))
        }
        Writing::Answers => {
            let version = run.version.map(|version| format!(" (API {version})")).unwrap_or_default();
            format!(" one by one{version}")
        }
    }
}

/// Returns a version of the API with the reason for it.
pub(crate) fn api_line(version: ApiVersion, reason: &str) -> String {
    format!("API {version}: {reason}")
}

/// Returns the indented line of a run's API, if the run stored the reason for it.
pub(crate) fn api(version: Option<ApiVersion>, reason: Option<&str>) -> Option<String> {
    version.zip(reason).map(|(version, reason)| format!("  {}", api_line(version, reason)))
}

/// Returns the indented line of the cost of a bulk request that a run saw, with what to do.
pub(crate) fn bulk_charge(seen: BulkCharge) -> String {
    match seen {
        BulkCharge::Item => "  Intercom seems to charge a bulk request for each user: keep INTERCOM_BULK_CHARGE=item.",
        BulkCharge::Request => {
            "  Intercom charges a bulk request as one: INTERCOM_BULK_CHARGE=request makes a run up to 100 times as fast."
        }
    }
    .to_owned()
}

/// Returns the command that finishes a run that was stopped, and what it does. Of a retry and an undo, the command
/// that began it means another run.
pub(crate) fn finishes(run: Option<&Run>) -> String {
    let of_earlier = run.and_then(of_earlier).is_some();
    let command = if of_earlier { "`intercom-bulk resume`" } else { "The same command, or `intercom-bulk resume`," };
    let verifies = run.is_some_and(|run| run.state == State::Verifying);
    let what = if verifies { "it checks the written values" } else { "it sends what is missing, and reads on" };
    format!("{command} finishes it: {what}.")
}

/// Returns what a retry or an undo does to its earlier run, in words.
pub(crate) fn of_earlier(run: &Run) -> Option<String> {
    let restores = if run.limits.dry_run { "is a preview: it would restore" } else { "restores" };
    let undoes = || run.undo.as_ref().map(|undo| format!("{restores} the values from before {}", undo.run));
    run.retry.as_ref().map(|retry| format!("retries {}", retry.words())).or_else(undoes)
}

/// Returns the indented line of the earlier run of a retry or an undo, or of the preview that a run writes.
pub(crate) fn written_for(run: &Run) -> Option<String> {
    let saved = || run.saved.as_ref().map(|saved| format!("writes {}", saved.words()));
    of_earlier(run).or_else(saved).map(|does| format!("  It {does}."))
}

/// Returns the users that are gone, and those that something else changed in between, as further
/// outcomes.
pub(crate) fn rare(counted: &Counted) -> String {
    let outcomes = [(counted.gone, "gone"), (counted.changed_since, "changed since they were read")];
    let words = outcomes.into_iter().filter(|(users, _)| *users > 0).map(|(users, what)| format!(", {users} {what}"));
    words.collect()
}

/// Returns a duration in its two largest units.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// Returns an estimated duration: seconds below ten minutes, minutes below ten hours.
pub(crate) fn about(estimate: Duration) -> String {
    let minutes = (estimate.as_secs() + 30) / 60;
    match (minutes / 60, minutes % 60) {
        (0, ..10) => duration(estimate),
        (0, minutes) => format!("{minutes} min"),
        (hours @ ..10, minutes) => format!("{hours} h {minutes} min"),
        (hours, _) => format!("{hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(plain("seats[\u{1b}[2Jx\u{9b}31m\r\n]"), "seats[\\u001b[2Jx\\u009b31m\\u000d\\u000a]");
        assert_eq!(plain("Zoë → 5 %…"), "Zoë → 5 %…");
        let json = serde_json::to_string("a\u{9b}b\u{202e}c").unwrap();
        assert_eq!(serde_json::from_str::<String>(&plain(&json)).unwrap(), "a\u{9b}b\u{202e}c", "JSON means the same");
    }

    #[test]
    fn count_of_one_is_singular() {
        assert_eq!((count(1, "user").as_str(), count(0, "job").as_str()), ("1 user", "0 jobs"));
    }

    #[test]
    fn cut_text_ends_with_an_ellipsis() {
        assert_eq!(fit("63 % | waits", 12), "63 % | waits");
        assert_eq!(fit("63 % | waits", 11), "63 % | wai…");
        assert_eq!(fit("", 0), "");
    }

    #[test]
    fn estimate_is_rounded() {
        let about = |seconds| about(Duration::from_secs(seconds));
        assert_eq!((about(45), about(238)), ("45 s".to_owned(), "3 min 58 s".to_owned()));
        assert_eq!((about(2_467), about(7_805)), ("41 min".to_owned(), "2 h 10 min".to_owned()));
        assert_eq!(about(129_600), "36 h");
    }

    #[test]
    fn reason_names_the_flags() {
        assert_eq!(flags("or start it with accept_unseen"), "or start it with --accept-unseen");
        assert_eq!(flags("more than 5 users (max_changes)"), "more than 5 users (--max-changes)");
    }
}
