//! What a person reads: results on standard output, everything else on standard error.
//!
//! Whoever reads may go away (`jobs | head`): what cannot be written any more is dropped, and the command goes on to its
//! own end. `println!` would panic.

use std::io::Write;
use std::time::Duration;

use serde::Serialize;

/// A line of a result.
pub fn line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// A result as one JSON object on a line of its own.
pub fn json<T: Serialize>(value: &T) {
    line(&serde_json::to_string(value).unwrap_or_default());
}

/// A line beside the result.
pub fn note(quiet: bool, text: &str) {
    if !quiet {
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }
}

/// A line that the next one is drawn over. The terminal cuts it at its edge: one that wraps could not be drawn over.
pub fn draw(text: &str) {
    part(&format!("\r\x1b[2K\x1b[?7l{text}\x1b[?7h"));
}

/// Text without the end of its line, shown at once.
fn part(text: &str) {
    let mut stream = std::io::stderr().lock();
    let _ = write!(stream, "{text}").and_then(|()| stream.flush());
}

/// An error, and what to do.
pub fn error(text: &str) {
    note(false, &format!("error: {text}"));
}

/// Asks a question; anything but yes is no.
pub fn confirm(question: &str) -> bool {
    part(&format!("{question} [y/N] "));
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

/// A run's reason, with the rails named as the command's flags: the steps name them as an event does.
pub fn flags(reason: &str) -> String {
    const RAILS: [(&str, &str); 3] =
        [("accept_unseen", "--accept-unseen"), ("max_changes", "--max-changes"), ("max_errors", "--max-errors")];
    RAILS.iter().fold(reason.to_owned(), |words, (rail, flag)| words.replace(rail, flag))
}

/// A duration in the two largest units.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_names_the_flags() {
        assert_eq!(flags("or start it with accept_unseen"), "or start it with --accept-unseen");
        assert_eq!(flags("more than 5 users (max_changes)"), "more than 5 users (--max-changes)");
    }
}
