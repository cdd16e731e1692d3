//! Preview: bulk jobs that say late, in part or never how they ended.

use intercom_bulk::domain::api::BulkCharge;
use intercom_bulk::domain::run::State;
use intercom_bulk::ledger::End;
use intercom_bulk::runtime::config::Settings;
use intercom_simulator::{BulkErrors, ContactOptions, Options};
use serde_json::Value;

use crate::intercom::Way;
use crate::pipeline::{Pipeline, settings};
use crate::plans::{HAS_AVATAR, faults};
use crate::preview::{jobs, pipeline, workspace};

/// A job that Intercom lost, never ends or fails as a whole: reads show who has the value.
#[tokio::test(start_paused = true)]
async fn users_of_a_lost_job_are_read() {
    for (text, again) in [("lose-job=2", false), ("job-never-ends=2", true), ("job-fails=2", true)] {
        let pipeline = pipeline(Options { faults: faults(&[text]), ..workspace(500) }).await;
        let report = pipeline.run(Value::Null).await;
        report.assert_complete();
        let (bulk, answered) = jobs(&report);
        let lost: Vec<_> = bulk.iter().filter(|job| job.end != Some(End::Completed)).collect();
        assert_eq!((lost.len(), lost[0].users_read, answered.is_empty()), (1, true, !again), "{text}");
        assert_eq!(report.accounts.totals.unknown, 0);
        assert_eq!(report.accounts.totals.written, report.cursor.tally.patches);
    }
}

/// The state of a job is the signal that users were refused. It may follow long after its tasks.
#[tokio::test(start_paused = true)]
async fn errors_that_only_the_job_states_are_found() {
    for (delay_s, job_says_it) in [(45, true), (7_200, false)] {
        let options = workspace(600);
        let contacts =
            ContactOptions { bulk_errors: BulkErrors::Job, bulk_job_delay_s: delay_s, ..options.contacts.clone() };
        let texts = &["item-error=3%:parameter_invalid:name is invalid"];
        let pipeline = pipeline(Options { contacts, faults: faults(texts), ..options }).await;
        let report = pipeline.run(Value::Null).await;
        assert_eq!(report.state(), State::CompleteWithErrors, "{delay_s}: {}", report.reason());
        report.assert_nobody_lost();
        assert!(report.errors.len() > 3 && report.errors.iter().all(|row| row.code == "parameter_invalid"));
        let bulk = jobs(&report).0;
        let ends = |end: End| bulk.iter().filter(|job| job.end == Some(end)).count();
        assert_eq!((ends(End::Unknown), ends(End::CompletedWithErrors) > 0), (0, true), "{delay_s}");
        let mut well = bulk.iter().filter(|job| job.end == Some(End::Completed));
        assert!(well.all(|job| job.users_read != job_says_it), "{delay_s}");
        assert!(job_says_it || report.seconds < 3_600, "{delay_s}: {}", report.seconds);
    }
}

/// If all users of a job that does not say its end have their values, it ended well.
#[tokio::test(start_paused = true)]
async fn job_that_never_states_its_end_is_completed() {
    let options = workspace(300);
    let contacts = ContactOptions { bulk_job_delay_s: 100_000, ..options.contacts.clone() };
    let report = pipeline(Options { contacts, ..options }).await.run(Value::Null).await;
    report.assert_complete();
    let (bulk, answered) = jobs(&report);
    assert!(answered.is_empty() && bulk.iter().all(|job| job.end == Some(End::Completed) && job.users_read));
    assert_eq!((report.run.no_jobs, report.accounts.totals.written), (None, report.cursor.tally.patches));
}

/// A bulk request that is charged as one may wait for its permit until the run sends no more of them.
#[tokio::test(start_paused = true)]
async fn permit_of_a_job_pays_for_no_other_requests() {
    let settings = Settings { bulk_charge: BulkCharge::Request, ..settings() };
    let texts = &["item-error=10%:parameter_invalid:name is invalid"];
    let options = Options { faults: faults(texts), items_counted: false, ..workspace(12_000) };
    let options = Options { rate_limit_per_10s: 83, ..options };
    let pipeline = Pipeline::on(Way::of_version("preview"), HAS_AVATAR, options, settings, Vec::new()).await;
    let report = pipeline.run(Value::Null).await;
    report.assert_nobody_lost();
    assert!(report.run.no_jobs.is_some() && jobs(&report).0.len() > 20);
    assert_eq!(report.world.given_429, 0);
}
