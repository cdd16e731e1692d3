//! `validate`: checks a plan and runs its test cases, without a workspace.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use intercom_bulk::plan::{CaseResult, Plan};
use serde::Serialize;

use super::CommandError;
use super::run::read_plan;
use crate::output::{self, count};

/// The exit code of a test case that fails.
const TEST_FAILED: u8 = 1;

#[derive(Debug, Args)]
#[command(override_usage = "intercom-bulk validate [OPTIONS] <PLAN>...")]
#[command(long_about = "Check a plan and run its test cases.\n\n\
    Reads only the plan: no token and no network are needed. Every mistake is shown with its line, and the nearest \
    known name. A test case is a user and the result that the plan must have for it:\n\n\
    [[test]]\n\
    name = \"a paying user\"\n\
    user = { custom_attributes = { plan = \"starter\" } }\n\
    expect = { custom_attributes = { plan_price = 49 } }\n\n\
    `expect` names all values that the plan sets for this user. `expect = { nothing = true }` stands for none, \
    `expect = { skip = \"where_is_false\" }` for a reason to skip, and `expect = { error = \"wrong_type\" }` for an error. \
    A plan that reads `today` needs `today = \"2016-11-24\"` beside them.")]
#[command(
    after_help = "Exit codes: 0 every plan is valid and its test cases pass · 1 a test case fails · 64 a plan is refused, or \
    cannot be read\n\
    Examples: `validate plans/*.toml`; `validate plan.toml --json`, an object on each line"
)]
pub(super) struct Validate {
    /// The plans, TOML or JSON files
    #[arg(required = true, value_name = "PLAN")]
    plans: Vec<PathBuf>,
    /// Print a JSON object for each plan that is accepted, on standard output
    #[arg(long)]
    json: bool,
}

/// An accepted plan, as JSON.
#[derive(Serialize)]
struct Checked<'p> {
    file: String,
    plan: &'p str,
    targets: Vec<String>,
    /// The paths that the plan reads, without its targets.
    reads: Vec<&'p str>,
    warnings: &'p [String],
    passed: usize,
    failed: usize,
    tests: Vec<Case>,
}

/// A test case, as JSON.
#[derive(Serialize)]
struct Case {
    number: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    passed: bool,
    expected: String,
    got: String,
}

impl Validate {
    pub(super) fn run(self) -> u8 {
        let mut code = 0;
        for path in &self.plans {
            match read_plan(path) {
                Ok(plan) => code = code.max(self.show(path, &plan)),
                Err(error) => {
                    output::error(&error.to_string());
                    code = code.max(error.exit_code());
                }
            }
        }
        code
    }

    /// Shows an accepted plan and its test cases. Returns the exit code.
    fn show(&self, path: &Path, plan: &Plan) -> u8 {
        let results = plan.check_cases();
        let failed = results.iter().filter(|result| !result.passed).count();
        let code = if failed == 0 { 0 } else { TEST_FAILED };
        if self.json {
            let tests: Vec<Case> = results.into_iter().map(Case::from).collect();
            output::json(&Checked {
                file: path.display().to_string(),
                plan: plan.name(),
                targets: plan.targets(),
                reads: plan.unseen(0),
                warnings: plan.warnings(),
                passed: tests.len() - failed,
                failed,
                tests,
            });
            return code;
        }
        output::line(&format!("Plan {} is valid. It sets {}.", plan.name(), plan.targets().join(", ")));
        let reads = plan.unseen(0);
        if !reads.is_empty() {
            output::line(&format!("  It reads {}.", reads.join(", ")));
        }
        plan.warnings().iter().for_each(|warning| output::line(&format!("  Warning: {warning}")));
        results.iter().filter(|result| !result.passed).for_each(|result| output::line(&words(path, result)));
        output::line(&match (results.len(), failed) {
            (0, _) => "  It has no test cases: `validate --help` shows one.".to_owned(),
            (all, 0) => format!("  {} passed.", count(all as u64, "test case")),
            (all, failed) => format!("  {failed} of {} failed.", count(all as u64, "test case")),
        });
        code
    }
}

impl From<CaseResult> for Case {
    fn from(CaseResult { name, number, line, passed, expected, got }: CaseResult) -> Self {
        Self { number, name, line, passed, expected, got }
    }
}

/// Returns a failed test case with its place.
fn words(path: &Path, result: &CaseResult) -> String {
    let line = result.line.map(|line| format!(":{line}")).unwrap_or_default();
    let name = result.name.as_ref().map_or_else(|| result.number.to_string(), |name| format!("{name:?}"));
    let CaseResult { expected, got, .. } = result;
    format!("{}{line}: test {name}: expected {expected}; got {got}", path.display())
}

/// The failed test cases of a plan, a line each.
#[derive(Debug)]
pub(crate) struct FailedTests(Vec<String>);

impl fmt::Display for FailedTests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = count(self.0.len() as u64, "test case");
        write!(
            f,
            "{failed} of the plan failed, so nothing was read: correct the plan, or the test\n{}",
            self.0.join("\n")
        )
    }
}

/// Fails if a test case of the plan fails.
pub(super) fn check_cases(path: &Path, plan: &Plan) -> Result<(), CommandError> {
    let results = plan.check_cases();
    let failed: Vec<String> =
        results.iter().filter(|result| !result.passed).map(|result| words(path, result)).collect();
    if failed.is_empty() { Ok(()) } else { Err(CommandError::PlanTests(FailedTests(failed))) }
}
