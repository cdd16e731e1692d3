//! The active run, and the runs before it that are not settled. A run begins and ends in the
//! transaction that changes its state.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

use super::attributes::{self, attribute, key, n, run_pk, s};
use super::pauses::PauseChange;
use super::{Key, Ledger, LedgerError, Write};
use crate::domain::run::decide::earlier_runs;
use crate::domain::run::{Cursor, Run, RunId, Start, State, Totals, UNSETTLED_MAX, Unsettled};

/// The item `ACTIVE`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Active {
    /// The active run, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// No exclusive reading may begin before this time (Unix milliseconds).
    #[serde(default)]
    pub free_at_ms: i64,
    /// No list of users is read before this time (Unix milliseconds): it may not show the latest
    /// writes of the ended runs.
    #[serde(default)]
    pub visible_at_ms: i64,
    /// The previous active run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<RunId>,
    /// The previous active run, if its end was written together with its entry in `unsettled`. The
    /// version before this one writes `last` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<RunId>,
    /// The ended runs that may still change values, each an item of its own.
    #[serde(skip)]
    pub unsettled: Vec<Unsettled>,
}

impl Active {
    /// Returns why no further run may begin while no run is active: too many runs are not settled.
    pub fn is_full(&self) -> Option<String> {
        let runs = self.unsettled.len();
        let waits = (runs >= UNSETTLED_MAX).then(|| earlier_runs(&self.unsettled))??;
        Some(format!("{runs} ended runs may still change values: {}", waits.why))
    }
}

/// The outcome of an attempt to begin a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begin {
    /// The run is now active.
    Begun,
    /// A run of this name exists: the schedule fired twice.
    Known,
    /// Another run is active, or was active since `ACTIVE` was read.
    Busy,
}

/// Tries to end a run while its cursor moves. A turn takes much longer than one try.
const END_TRIES: u32 = 10;

pub(super) const ACTIVE: &str = "ACTIVE";

pub(super) fn active_key() -> Key {
    key(ACTIVE, ACTIVE)
}

/// The effect of a run's end on `ACTIVE`.
#[derive(Clone, Debug)]
pub(super) struct EndEffect {
    /// No exclusive reading may begin before this time (Unix milliseconds).
    free_at_ms: i64,
    /// No list of users is read before this time (Unix milliseconds), if the run may have written.
    visible_at_ms: Option<i64>,
    /// The run, if it may still change values.
    unsettled: Option<Unsettled>,
}

impl EndEffect {
    /// Returns the effect of the end of `run`, whose cursor was at `cursor`.
    pub(super) fn of(run: &Run, cursor: &Cursor) -> Self {
        let visible_at_ms = run.ended_ms.and_then(|ended_ms| run.visible_at_ms(cursor, ended_ms));
        Self { free_at_ms: cursor.reading_free_at_ms(), visible_at_ms, unsettled: Unsettled::at_end(run, cursor) }
    }
}

impl Ledger {
    /// Returns the item `ACTIVE`, with the runs that are not settled.
    pub async fn active(&self) -> Result<Active, LedgerError> {
        let (mut active, mut unsettled) = (Active::default(), Vec::new());
        for item in self.query(ACTIVE, "", usize::MAX).await? {
            if item.get("sk").is_some_and(|sk| *sk == s(ACTIVE)) {
                active = attributes::read(item, ACTIVE)?;
            } else {
                unsettled.push(attributes::read(item, ACTIVE)?);
            }
        }
        active.unsettled = unsettled;
        Ok(active)
    }

    /// Begins a run. One transaction writes the run, plan, cursor, `ACTIVE` and the entry in the
    /// list of runs. A list of users is written before it, because no step reads the list unless
    /// the run begins. An undo that writes holds the stored plan from then on: a start of the plan by
    /// its name would set the values again, unless it ends the hold.
    ///
    /// `cursor` must be based on `seen`. If another run was active since then, the cursor does not
    /// know that run's reading and jobs, so the result is [`Begin::Busy`].
    pub async fn begin(
        &self,
        run: &Run,
        plan: &serde_json::Value,
        start: &Start,
        cursor: &Cursor,
        seen: &Active,
    ) -> Result<Begin, LedgerError> {
        let pk = run_pk(&run.id);
        self.put_list(&run.id, &start.source, run.started_ms).await?;
        let plan = PlanRow::of(plan);
        let free = Write::update(&active_key(), "SET #run = :run").with(":run", s(&run.id));
        let free = match &seen.last {
            None => free.when("attribute_not_exists(#run) AND attribute_not_exists(#last)"),
            Some(last) => free.when("attribute_not_exists(#run) AND #last = :last").with(":last", s(last)),
        };
        let mut writes = vec![
            Write::put(attributes::item(&key(&pk, "RUN"), run)?).when("attribute_not_exists(pk)"),
            free,
            Write::put(attributes::item(&key(&pk, "PLAN"), &plan)?),
            Write::put(attributes::item(&key(&pk, "CURSOR"), cursor)?),
            Write::put(super::runs::among_the_runs(run)),
        ];
        let hold = match &run.undo {
            _ if run.limits.dry_run => None,
            Some(_) => Some(Self::hold_write(&run.plan, &run.id)),
            None => start.unhold.then(|| Self::unhold_write(&run.plan)),
        };
        if hold.is_some() && self.stored_plan(&run.plan).await?.is_some() {
            writes.extend(hold);
        }
        if self.transact(writes).await? {
            return Ok(Begin::Begun);
        }
        Ok(if self.run(&run.id).await?.is_some() { Begin::Known } else { Begin::Busy })
    }

    /// Ends a run that was read as `run`: closes its cursor to leases and releases `ACTIVE`, with
    /// the time at which its reading has expired. Returns `false` if another writer changed the
    /// state first.
    pub async fn end(
        &self,
        run: &Run,
        state: State,
        reason: Option<&str>,
        totals: Option<&Totals>,
        now_ms: i64,
    ) -> Result<bool, LedgerError> {
        let ended = Run {
            state,
            reason: reason.map(ToOwned::to_owned),
            ended_ms: Some(now_ms),
            totals: totals.cloned(),
            ..run.clone()
        };
        for _ in 0..END_TRIES {
            let Some(cursor) = self.cursor(&run.id).await? else { return Ok(false) };
            let writes = vec![Self::close(&cursor), Self::report_write(&run.id, now_ms)?];
            if self.change_run(run, &ended, writes, Some(EndEffect::of(&ended, &cursor))).await? {
                return Ok(true);
            }
            // Either the run changed, or a turn was leased or committed in between.
            let there = self.run(&run.id).await?;
            if there.is_none_or(|there| (there.state, there.generation) != (run.state, run.generation)) {
                break;
            }
        }
        Ok(false)
    }

    /// Replaces run `was` by `now`, together with other writes, in one transaction. Returns `false`
    /// if the transition is not allowed or if state or generation changed since the read. `release`
    /// clears `ACTIVE`, and sets the time from which an exclusive reading may begin.
    pub(super) async fn change_run(
        &self,
        was: &Run,
        now: &Run,
        mut writes: Vec<Write>,
        release: Option<EndEffect>,
    ) -> Result<bool, LedgerError> {
        // The caller may have read `ACTIVE` before the run ended. No transition leaves a final
        // state.
        let stays = was.state == now.state && !was.state.ended();
        if !stays && !was.state.may_become(now.state) {
            return Ok(false);
        }
        // Update and do not put: other writers add to the item's count of errors.
        let mut set = "SET #state = :to, generation = :next".to_owned();
        let mut values = vec![(":to", s(now.state)), (":next", n(now.generation))];
        if now.generation > was.generation {
            // A new generation evaluates all users again, including those with errors.
            set.push_str(", #errors = :none");
            values.push((":none", n(0)));
        }
        if let Some(ended_ms) = now.ended_ms {
            set.push_str(", ended_ms = :ended");
            values.push((":ended", n(ended_ms)));
        }
        if let Some(totals) = &now.totals {
            set.push_str(", totals = :totals");
            values.push((":totals", attribute(totals, "RUN")?));
        }
        let PauseChange { set: sets, mut remove, conditions, values: of_pause } = PauseChange::of(was, now)?;
        set.extend(sets.into_iter().flat_map(|clause| [", ", clause]));
        values.extend(of_pause);
        if now.held_back != was.held_back {
            set.push_str(", held_back = :held");
            values.push((":held", AttributeValue::Bool(now.held_back)));
        }
        if let Some(generation) = now.canary_ended {
            set.push_str(", canary_ended = :canary");
            values.push((":canary", n(generation)));
        }
        match &now.reason {
            Some(reason) => {
                set.push_str(", #reason = :reason");
                values.push((":reason", s(reason)));
            }
            None => remove.push("#reason"),
        }
        if !remove.is_empty() {
            set = format!("{set} REMOVE {}", remove.join(", "));
        }
        let mut condition = "#state = :state AND generation = :generation".to_owned();
        condition.extend(conditions.into_iter().flat_map(|clause| [" AND ", clause]));
        let update = Write::update(&key(run_pk(&was.id), "RUN"), set)
            .when(condition)
            .with(":state", s(was.state))
            .with(":generation", n(was.generation));
        writes.push(values.into_iter().fold(update, |update, (name, value)| update.with(name, value)));
        if let Some(EndEffect { free_at_ms, visible_at_ms, unsettled }) = release {
            writes.extend(Self::queue_expiry(was, now.ended_ms.unwrap_or(free_at_ms))?);
            writes.extend(unsettled.as_ref().map(Self::unsettled_run).transpose()?);
            let mut update = "REMOVE #run SET free_at_ms = :free, #last = :run, recorded = :run".to_owned();
            // An earlier run wrote before this one.
            update.push_str(if visible_at_ms.is_some() { ", visible_at_ms = :visible" } else { "" });
            let release = Write::update(&active_key(), update)
                .when("#run = :run")
                .with(":run", s(&was.id))
                .with(":free", n(free_at_ms));
            writes.push(visible_at_ms.into_iter().fold(release, |write, at_ms| write.with(":visible", n(at_ms))));
        }
        self.transact(writes).await
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct PlanRow {
    pub(super) plan: String,
    /// The undo that holds a plan that is stored under its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) held: Option<RunId>,
}

impl PlanRow {
    pub(super) fn of(plan: &serde_json::Value) -> Self {
        Self { plan: plan.to_string(), held: None }
    }
}
