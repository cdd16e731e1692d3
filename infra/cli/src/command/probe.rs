//! `probe`: checks the access of a token, with reads only.

use clap::Args;
use intercom_bulk::domain::api::{Api, ApiChoice, ApiSetting, Reading, Writing};
use intercom_bulk::domain::job::JobId;
use intercom_bulk::intercom::{CALL_TIMEOUT, Disposition, Error, Intercom, advice, disposition};
use serde::Serialize;

use super::choice::{Chooser, Unknown};
use super::{Access, CommandError, run};
use crate::output;

/// A job id that exists in no workspace.
const NO_JOB: &str = "job_intercom_bulk_probe";

#[derive(Debug, Args)]
#[command(override_usage = "intercom-bulk probe [OPTIONS]")]
#[command(after_help = "Exit codes: 0 everything is reachable · 1 something is not · 64 wrong usage")]
pub(super) struct Probe {
    /// Print JSON on standard output
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

#[derive(Serialize)]
struct Finding {
    what: &'static str,
    ok: bool,
    says: String,
}

impl Probe {
    pub(super) async fn run(self) -> Result<u8, CommandError> {
        let (intercom, _, _) = run::connect(&self.access)?;
        let findings = match Chooser::new(&intercom).choose(None).await {
            Ok(choice) => findings(&intercom.of_version(choice.version), choice).await?,
            Err(Unknown::Api(refusal)) => vec![Finding { what: "api", ok: false, says: refusal.to_string() }],
            Err(Unknown::Intercom { api, error }) => vec![finding(api, of_failure(&error), Err(error))],
        };
        for finding in &findings {
            output::result(self.json, finding, || {
                format!("{:4} {}: {}", if finding.ok { "ok" } else { "NO" }, finding.what, finding.says)
            });
        }
        output::note(
            self.json,
            match intercom.setting() {
                ApiSetting::Auto => {
                    "A plan keeps the API of its last run as long as it is served. No scroll was opened, and nothing was \
                     written."
                }
                ApiSetting::Fixed(version) => match version.api().capabilities().reading {
                    Reading::Exclusive { .. } => {
                        "The scroll was not opened (it would be held for a minute), and nothing was written."
                    }
                    Reading::Repeatable => "Nothing was written.",
                },
            },
        );
        Ok(u8::from(findings.iter().any(|finding| !finding.ok)))
    }
}

/// Names the request that failed. Without a network, each further request fails in the same way.
fn of_failure(error: &Error) -> &'static str {
    if matches!(error, Error::NotSent { .. }) { "network" } else { "workspace" }
}

/// Checks what a token can use of the chosen API.
async fn findings(intercom: &Intercom, choice: ApiChoice) -> Result<Vec<Finding>, CommandError> {
    let api = intercom.api();
    let job = JobId::new(NO_JOB).ok_or_else(|| CommandError::Usage("the probe's job id cannot be one".to_owned()))?;
    let workspace = intercom.workspace().await.map(|reply| reply.value.app_id);
    let chosen = Finding { what: "api", ok: true, says: format!("{}: {}", choice.version, choice.reason) };
    let what = workspace.as_ref().map_or_else(of_failure, |_| "workspace");
    let mut findings = vec![chosen, finding(api, what, workspace)];
    if what == "network" {
        return Ok(findings);
    }
    let count = intercom.count_users(CALL_TIMEOUT).await.map(|reply| reply.value.to_string());
    let users = intercom.first_users().await.map(|reply| format!("{} read", reply.value.users.len()));
    findings.extend([finding(api, "count of users", count), finding(api, "users", users)]);
    findings.push(match api.capabilities().write {
        Writing::Jobs { .. } | Writing::JobsOrAnswers { .. } => bulk(api, intercom.job(&job).await.map(|_| ())),
        Writing::Answers => {
            let listed = intercom.attributes(CALL_TIMEOUT).await;
            let says = |listed: Option<Vec<_>>| match listed {
                Some(listed) => format!("{} custom attributes", listed.len()),
                None => "the list has an unexpected form: a run begins without checking its attributes".to_owned(),
            };
            finding(api, "attributes", listed.map(|reply| says(reply.value)))
        }
    });
    Ok(findings)
}

fn finding(api: Api, what: &'static str, result: Result<String, Error>) -> Finding {
    match result {
        Ok(says) => Finding { what, ok: true, says },
        Err(error) => Finding { what, ok: false, says: format!("{}. {}", error.said(), advice(api, &error)) },
    }
}

/// Requests a job that does not exist, to check that bulk jobs do. Intercom stopped to document them
/// in 2017.
fn bulk(api: Api, result: Result<(), Error>) -> Finding {
    let what = "bulk jobs";
    match result {
        Ok(()) => Finding { what, ok: true, says: "answer".to_owned() },
        Err(error) if disposition(&error) == Disposition::NotFound => {
            let says = "the address answers; whether submissions do shows on the first one".to_owned();
            Finding { what, ok: true, says }
        }
        Err(error) => finding(api, what, Err(error)),
    }
}
