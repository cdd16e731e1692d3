//! One owner per decision to start or stop a run: `src/control`.

use crate::source::{files, none, read};

/// The ledger's writes that change a run's state from outside a turn.
const WRITES: [&str; 7] = ["begin", "drain_again", "end", "pause", "unpause", "resettle", "verify"];
/// The ledger itself, its only caller, the ledger's own tests, and the bench that fills a ledger.
const EXCUSED: [&str; 4] = ["src/ledger/", "src/control/", "infra/emulator/tests/ledger/", "benches/accounts.rs"];

/// Returns the writes that a source text calls. Calls may be broken over lines.
fn calls(text: &str) -> Vec<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code: String = code.flat_map(str::chars).filter(|letter| !letter.is_whitespace()).collect();
    let forms = WRITES.into_iter().flat_map(|name| [format!("ledger.{name}("), format!("Ledger::{name}(")]);
    forms.filter(|form| code.contains(form)).collect()
}

#[test]
fn only_control_starts_and_stops_runs() {
    let mut offences = Vec::new();
    let mut excused = 0;
    for path in ["src", "functions", "infra", "tests", "benches"].into_iter().flat_map(|folder| files(folder, "rs")) {
        let found = calls(&read(&path));
        if EXCUSED.iter().any(|prefix| path.starts_with(prefix)) {
            excused += found.len();
        } else {
            offences.extend(found.into_iter().map(|call| format!("{path}: {call}")));
        }
    }
    assert!(excused > WRITES.len(), "control no longer calls the ledger as this test expects: {excused}");
    none("only src/control calls the ledger to start or stop a run (ARCHITECTURE.md)", &offences);
}

#[test]
fn calls_are_found_over_lines_and_not_in_comments() {
    let lines = |name: &str| format!("clients\n    .ledger\n    .{name}(&run)\n// ledger.{name}(&run)");
    assert_eq!(calls(&lines(WRITES[1])), [format!("ledger.{}(", WRITES[1])]);
    assert_eq!(calls(&format!("// ledger.{}(&run)\nledger.ending(&run)", WRITES[2])), Vec::<String>::new());
}
