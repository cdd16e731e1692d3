//! Receives the events of the seams, and calls the promises that check them.

use aws_smithy_runtime_api::client::http::HttpConnectorFuture;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::{Request, StatusCode};
use intercom_bulk::domain::run::RunId;

use super::Submission;
use super::answers::Begun;
use super::scroll::InFlight;
use crate::accident::Accident;
use crate::asked::{Asked, Kind};
use crate::seams::names::AwsCall;
use crate::storm::{Storm, Who};

/// Facts about a request before its answer.
#[derive(Debug, Default)]
pub(crate) struct Reached {
    /// The run and the generation that a submission is for.
    pub(super) submits: Option<Submission>,
}

impl Storm {
    /// A poller of Lambda calls SQS.
    pub(crate) async fn polled(
        &self,
        call: &AwsCall,
        answer: HttpConnectorFuture,
    ) -> Result<HttpResponse, ConnectorError> {
        let queue = call.name.strip_prefix("DeleteMessageBatch ").unwrap_or_default();
        let before = self.sqs.bodies(queue);
        let answer = answer.await?;
        self.weather.step();
        match queue {
            "patches" => self.parts_are_kept(&before).await,
            "pages" => self.chain_is_kept(&before).await,
            _ => {}
        }
        Ok(answer)
    }

    /// A step calls AWS.
    pub(crate) fn sends_to_aws(&self, call: &AwsCall) {
        self.no_secret_in(&call.name, &call.body);
        let reads = matches!(call.operation.as_str(), "GetItem" | "Query");
        if reads && !call.body.contains("\"IndexName\"") && !call.body.contains("\"ConsistentRead\":true") {
            self.weather.bug(format!("{} is not read consistently", call.name));
        }
    }

    /// AWS carried out or refused a call, before which the invocation had received so many rate limit headers.
    pub(crate) async fn done_by_aws(
        &self,
        who: Option<Who>,
        call: &AwsCall,
        headers: u32,
        answer: HttpResponse,
    ) -> HttpResponse {
        self.weather.step();
        let is_before_header = who.is_some_and(|who| self.headers_received(who) > headers);
        if !answer.status().is_success() {
            if call.number(":others") > 0 {
                self.limit_is_unknown(who);
            }
            return answer;
        }
        if let Some(token) = call.token()
            && !self.promises.memory().transactions.insert(token.to_owned())
        {
            // After a lost answer, the SDK repeats a transaction, which is carried out once.
            return answer;
        }
        let now_ms = self.now_ms();
        if call.operation == "Query" && call.body.contains("\"IndexName\"") {
            if self.weather.strikes(Accident::IndexLag) {
                let nothing = SdkBody::from(r#"{"Items":[],"Count":0,"ScannedCount":0}"#);
                return HttpResponse::new(answer.status(), nothing);
            }
        } else if !call.is_write() {
            if call.names("RUN")
                && let (Some(who), Some(run)) = (who, call.run())
            {
                self.promises.memory().by.entry(who).or_default().runs_read.insert(run.to_owned(), now_ms);
            }
        } else if call.body.contains("\"TableName\"") {
            self.promises.remember_write(who, call);
            if call.names("WINDOW") || call.names("LIMIT") {
                self.budget_was_written(who, call, is_before_header);
            }
            if call.names("BUCKETS") && !call.names("JOB") && !call.names("PART") {
                self.weather.bug("3: counts change without the row that they count".to_owned());
            }
            if call.names("MINUTE") {
                self.minute_was_written(call);
            }
            if let Some(run) = call.run().and_then(RunId::parse) {
                if call.commits_cursor() {
                    self.cursor_is_in_bounds(&run, call);
                    self.parts_are_in_the_ledger(&run, call);
                    self.page_was_committed(who, &run, call);
                }
                // The run is read while its turn is leased. A run of a newer format has messages of that
                // format, but an invocation before the rollback may have sent this turn's.
                if call.names("RUN") || call.names("CURSOR") && !call.leases_cursor() {
                    self.leaves_a_newer_run(who, run.as_str(), &call.name);
                }
                if call.names("PART") {
                    self.parts_may_have_ended(who, &run, call).await;
                }
                if call.names("BODY") {
                    self.body_holds_no_secret(who, &run, call).await;
                }
                if call.names("RUN") {
                    self.may_write_over_a_newer_run(who, run.as_str());
                    self.promises.memory().active_ms = now_ms;
                    self.run_may_have_changed(&run).await;
                }
            }
            if call.names("JOB") {
                self.again_is_in_the_ledger(call);
            }
        }
        answer
    }

    /// A step sends a request to Intercom.
    pub(crate) fn asks_intercom(&self, who: Option<Who>, asked: &Asked, request: &Request<Bytes>) -> InFlight<'_> {
        self.no_secret_in(&asked.name, std::str::from_utf8(request.body()).unwrap_or("@ (no text)"));
        if matches!(asked.kind, Kind::Page | Kind::User) {
            self.earlier_runs_are_over(who);
            self.list_shows_writes(who, asked);
        }
        if asked.kind == Kind::Page || asked.is_write() {
            self.promises.memory().active_ms = self.now_ms();
        }
        let page = if asked.kind == Kind::Page { who } else { None };
        if let Some(who) = page {
            self.promises.memory().by.entry(who).or_default().asked_for_page = true;
        }
        if page.is_some_and(|who| !self.promises.memory().pages_asked.insert(who)) {
            self.weather.bug("an invocation asks for two pages at once".to_owned());
        }
        if asked.kind == Kind::Page && self.pages_at_once(who) > 1 {
            self.weather.bug("2: two pages are requested at the same time".to_owned());
        }
        InFlight { promises: &self.promises, page }
    }

    /// Returns the number of pages that are requested at the same time as the one of this invocation, with
    /// it, and that must not be.
    fn pages_at_once(&self, who: Option<Who>) -> usize {
        let asking: Vec<Who> = self.promises.memory().pages_asked.iter().copied().collect();
        if !self.story.has_contacts() {
            return asking.len();
        }
        // After a resume, an invocation may read a page of contacts that it no longer commits.
        if self.story.is_resumed() {
            return 1;
        }
        // A list does not wait for the page of a run that has ended.
        let run_of = |who: Option<Who>| self.invoked(who).map(|invoked| invoked.run);
        let run = run_of(who);
        asking.into_iter().filter(|other| run_of(Some(*other)) == run).count()
    }

    /// A request reaches Intercom.
    pub(crate) async fn reaches_intercom(&self, who: Option<Who>, asked: &Asked, begun: Begun) -> Reached {
        self.weather.step();
        self.counts_request(who, asked);
        let mut reached = Reached::default();
        match asked.kind {
            Kind::Page => {
                self.page_is_leased(who).await;
                self.page_is_not_read_again(who, asked);
            }
            Kind::Bulk | Kind::Put => {
                let submission = who.and_then(|who| self.promises.submission(who, asked));
                if let Some(of) = &submission {
                    self.parts_have_won(of);
                    self.again_writes_its_users(of, asked).await;
                }
                match &submission {
                    Some(of) if asked.kind == Kind::Put => {
                        self.run_writes(who, of, begun).await;
                        self.is_written_once(who, of, asked).await;
                    }
                    Some(of) => {
                        self.run_submits(who, &of.run, of.generation).await;
                        self.sends_nobody_again(of, asked).await;
                    }
                    None => self.weather.bug("users are sent that are in no part under lease".to_owned()),
                }
                if let Some(who) = who {
                    self.promises.memory().by.entry(who).or_default().submission.clone_from(&submission);
                }
                reached.submits = submission;
            }
            Kind::User | Kind::Other => {}
        }
        reached
    }

    /// Intercom answered. Returns the id of the job that it created.
    pub(crate) fn answered_by_intercom(
        &self,
        asked: &Asked,
        status: StatusCode,
        answer: Option<&Bytes>,
        reached: &Reached,
    ) -> Option<String> {
        if asked.kind == Kind::Page {
            self.opens_one_scroll(status);
        }
        if asked.is_write()
            && let Some(of) = &reached.submits
        {
            let in_vain = status.is_server_error() || answer.is_none();
            self.submits_a_few_times((&of.run, of.generation), asked.digest, in_vain);
        }
        if asked.kind != Kind::Bulk || !status.is_success() || reached.submits.is_none() {
            return None;
        }
        let answer: serde_json::Value = serde_json::from_slice(answer?).ok()?;
        Some(answer.get("id")?.as_str()?.to_owned())
    }

    /// An invocation received a job's id.
    pub(crate) fn gave(&self, who: Option<Who>, id: Option<String>) {
        if let (Some(who), Some(id)) = (who, id) {
            let mut memory = self.promises.memory();
            let did = memory.by.entry(who).or_default();
            did.given.push((id, did.submission.clone()));
        }
    }
}
