//! The quota in use through API 2.x, with the answer times that were recorded in 2021.

use std::collections::BTreeMap;
use std::time::Duration;

use intercom_bulk::runtime::config::Settings;
use intercom_simulator::{ContactOptions, Options};
use serde_json::Value;
use tokio::time::sleep;

use crate::contacts::workspace;
use crate::intercom::Way;
use crate::pipeline::{Pipeline, settings};
use crate::plans::HAS_AVATAR;

/// Intercom's limit of a private app, per window of 10 s.
const LIMIT: u32 = 1_667;
/// Windows of the measurement.
const WINDOWS: usize = 30;

/// Returns the quota in use, in percent, over so many whole windows of writes, and the number of answers
/// with 429.
async fn used_percent(windows: usize, processes: usize, faults: &[&str]) -> (u64, u64) {
    let faults = faults.iter().map(|fault| fault.parse().unwrap()).collect();
    // About half of the users are written.
    let options = workspace(windows * 4_000 + 4_000);
    let contacts = ContactOptions { recorded_times: true, ..options.contacts.clone() };
    let options = Options { rate_limit_per_10s: LIMIT, faults, contacts, ..options };
    let settings = Settings { quota_percent: 100, ..settings() };
    let pipeline = Pipeline::on(Way::of_version("2.17"), HAS_AVATAR, options, settings, Vec::new()).await;
    for _ in 1..processes {
        pipeline.work_beside().await;
    }
    pipeline.start(Value::Null).await;
    pipeline.until(|state| state.contacts.written > 0).await;
    sleep(Duration::from_secs(10 * (windows as u64 + 2))).await;
    let state = pipeline.world.state();
    let used: BTreeMap<i64, u64> = state.used_by_window;
    // The first window is incomplete.
    let whole: Vec<u64> = used.values().skip(2).take(windows).copied().collect();
    assert_eq!(whole.len(), windows, "{used:?}");
    (whole.iter().sum::<u64>() * 100 / (u64::from(LIMIT) * windows as u64), state.given_429)
}

#[tokio::test(start_paused = true)]
async fn quota_is_used_through_contacts() {
    for processes in [1, 2] {
        let (percent, given_429) = used_percent(WINDOWS, processes, &[]).await;
        assert!(percent >= 95, "{processes}: {percent} %");
        assert_eq!(given_429, 0, "{processes}");
    }
}

/// A request that hangs, or whose answer is lost, holds up no others.
#[tokio::test(start_paused = true)]
async fn hanging_requests_hold_up_no_others() {
    for fault in ["lose-call=write", "slow-call=write"] {
        let seconds = if fault.starts_with("slow") { ":40" } else { "" };
        let faults: Vec<String> = (1..60).map(|nth| format!("{fault}:{}{seconds}", nth * 1_000)).collect();
        let faults: Vec<&str> = faults.iter().map(String::as_str).collect();
        let (percent, given_429) = used_percent(10, 1, &faults).await;
        assert!(percent >= 80, "{fault}: {percent} %");
        assert_eq!(given_429, 0, "{fault}");
    }
}
