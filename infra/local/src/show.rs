//! What a person reads: results on standard output, everything else on standard error.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the one place of the command that writes to a terminal"
)]

use std::io::Write;
use std::time::Duration;

use serde::Serialize;

/// A line of a result.
pub fn line(text: &str) {
    println!("{text}");
}

/// A result as one JSON object on a line of its own.
pub fn json<T: Serialize>(value: &T) {
    println!("{}", serde_json::to_string(value).unwrap_or_default());
}

/// A line beside the result.
pub fn note(quiet: bool, text: &str) {
    if !quiet {
        eprintln!("{text}");
    }
}

/// A line that the next one is drawn over.
pub fn draw(text: &str) {
    eprint!("\r\x1b[2K{text}");
    let _ = std::io::stderr().flush();
}

/// An error, and what to do.
pub fn error(text: &str) {
    eprintln!("error: {text}");
}

/// Asks a question; anything but yes is no.
pub fn confirm(question: &str) -> bool {
    eprint!("{question} [y/N] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
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
