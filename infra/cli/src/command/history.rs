//! `history`: the runs in a ledger.

use std::time::Duration;

use clap::Args;
use intercom_bulk::domain::api::ApiVersion;
use intercom_bulk::domain::run::{Counted, Retry, Run, SavedPreview, State, Undo};
use jiff::Timestamp;
use serde::Serialize;

use super::CommandError;
use super::ledger_options::LedgerOptions;
use crate::output;
use crate::state_dir::Place;
use intercom_bulk_emulator::engine::machine_wall;

/// The default number of listed runs. Each is a read of the ledger.
const SHOWN: u16 = 20;

#[derive(Debug, Args)]
#[command(override_usage = "intercom-bulk history [OPTIONS]")]
#[command(
    after_help = "Exit codes: 0 done, also without a run · 1 there is no state yet, or the ledger cannot be read · \
    64 wrong usage\n\
    Each line: the start, the run (it begins with the plan's name), the state, the API, the duration, and the users by \
    outcome. `status --run ID`, `errors --run ID` and `changes ID` show one of them"
)]
pub(super) struct History {
    /// Maximum number of runs
    #[arg(long, value_name = "N", default_value_t = SHOWN, value_parser = clap::value_parser!(u16).range(1..))]
    most: u16,
    #[command(flatten)]
    from: LedgerOptions,
}

/// A listed run.
#[derive(Serialize)]
struct Listed<'a> {
    run: &'a str,
    plan: &'a str,
    state: &'static str,
    /// A process of this machine works on it; `None` if unknown, or if the run has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    at_work: Option<bool>,
    started: String,
    seconds: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    api: Option<ApiVersion>,
    users: u64,
    errors: u64,
    /// The users of an earlier run that it retries.
    #[serde(skip_serializing_if = "Option::is_none")]
    retries: Option<&'a Retry>,
    /// The saved preview whose changes it writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    saved: Option<&'a SavedPreview>,
    /// The run that it undoes.
    #[serde(skip_serializing_if = "Option::is_none")]
    undoes: Option<&'a Undo>,
    /// It writes nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    preview: bool,
    /// The users by outcome, after the end of a run with totals.
    #[serde(flatten)]
    counted: Option<Counted>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl History {
    pub(super) async fn run(self) -> Result<u8, CommandError> {
        let (ledger, folder) = self.from.ledger_and_folder().await?;
        let now_ms = machine_wall()();
        for id in ledger.runs(usize::from(self.most)).await? {
            // The list contains an expired run for a while.
            let Some(run) = ledger.run(&id).await? else { continue };
            let tally = ledger.cursor(&id).await?.map(|cursor| cursor.tally).unwrap_or_default();
            let counted = run.totals.as_ref().map(|totals| Counted::of(&tally, totals));
            let users = run.totals.as_ref().map_or(tally.users, |totals| totals.users);
            let at_work = Place::works_on(folder.as_deref(), &run);
            let listed = Listed { counted, ..listed(&run, users, at_work, now_ms) };
            output::result(self.from.json, &listed, || words(&listed));
        }
        Ok(0)
    }
}

fn listed(run: &Run, users: u64, at_work: Option<bool>, now_ms: i64) -> Listed<'_> {
    let started = Timestamp::from_millisecond(run.started_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    let took_ms = run.ended_ms.unwrap_or(now_ms) - run.started_ms;
    Listed {
        run: run.id.as_str(),
        plan: &run.plan,
        state: run.state.as_str(),
        at_work,
        started: started.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        seconds: Duration::from_millis(took_ms.max(0).unsigned_abs()).as_secs(),
        api: run.version,
        users,
        counted: None,
        errors: run.totals.as_ref().map_or(run.errors, |totals| totals.errors),
        retries: run.retry.as_ref(),
        saved: run.saved.as_ref(),
        undoes: run.undo.as_ref(),
        preview: run.limits.dry_run,
        reason: run.reason.as_deref().map(output::flags),
    }
}

fn words(listed: &Listed<'_>) -> String {
    let took = output::duration(Duration::from_secs(listed.seconds));
    let (users, errors) = (output::count(listed.users, "user"), listed.errors);
    let is_stopped = listed.at_work == Some(false) && listed.state != State::Paused.as_str();
    let state = if is_stopped { "stopped" } else { listed.state };
    let retries = listed.retries.map(|retry| format!("  retries {}", retry.words())).unwrap_or_default();
    let saved = listed.saved.map(|saved| format!("  writes {}", saved.words())).unwrap_or_default();
    let undo = if listed.preview { "previews the undo of" } else { "undoes" };
    let undoes = listed.undoes.map(|of| format!("  {undo} {}", of.run)).unwrap_or_default();
    let api = listed.api.map(|api| format!("  API {api}")).unwrap_or_default();
    let outcomes = match &listed.counted {
        Some(Counted { written, unchanged, skipped, failed, .. }) => {
            format!("{users}: {written} written, {unchanged} unchanged, {skipped} skipped, {failed} failed")
        }
        None => format!("{users}, {errors} failed"),
    };
    format!("{}  {}  {state}{api}  {took}  {outcomes}{retries}{saved}{undoes}", listed.started, listed.run)
}

#[cfg(test)]
mod tests {
    use intercom_bulk::domain::api::Api;
    use intercom_bulk::domain::run::{FORMAT, Limits, RunId};

    use super::*;

    #[test]
    fn run_is_listed_on_one_line() {
        let run = Run {
            v: FORMAT,
            id: RunId::of("seats", 0),
            plan: "seats".to_owned(),
            version: None,
            version_reason: None,
            api: Api::V1,
            state: State::Incomplete,
            reason: Some("past its deadline".to_owned()),
            paused: None,
            paused_ms: 0,
            resumed_ms: 0,
            generation: 1,
            started_ms: 1_000,
            scheduled_at_s: None,
            ended_ms: Some(76_000),
            deadline_ms: 0,
            count: Some(1),
            listed: None,
            retry: None,
            saved: None,
            undo: None,
            workspace: None,
            limits: Limits::default(),
            held_back: false,
            no_jobs: None,
            jobs_not_served: false,
            bulk_charge_seen: None,
            canary_ended: None,
            errors: 0,
            totals: None,
        };
        let running = Run { state: State::Running, ended_ms: None, ..run.clone() };
        let stopped = listed(&running, 1, Some(false), 2_000);
        assert!(words(&stopped).contains("  stopped  "), "{}", words(&stopped));
        assert_eq!(serde_json::to_value(&stopped).unwrap()["state"], "running");
        let counted = Counted { written: 3, unchanged: 2, skipped: 1, ..Counted::default() };
        let counted =
            Listed { counted: Some(counted), api: Some(ApiVersion::newest(Api::V2)), ..listed(&run, 6, None, 0) };
        let line = words(&counted);
        assert!(
            line.ends_with("  API 2.17  1 min 15 s  6 users: 3 written, 2 unchanged, 1 skipped, 0 failed"),
            "{line}"
        );
        assert_eq!(serde_json::to_value(&counted).unwrap()["written"], 3);
        let listed = listed(&run, 1, None, 0);
        let line = words(&listed);
        assert_eq!(line, format!("1970-01-01T00:00:01Z  {}  incomplete  1 min 15 s  1 user, 0 failed", run.id));
        assert_eq!(serde_json::to_value(&listed).unwrap()["reason"], "past its deadline");
    }
}
