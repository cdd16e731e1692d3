//! A simulated workspace in another process, and commands that work on it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use intercom_bulk::domain::user::User;
use intercom_bulk::plan::Plan;
use intercom_simulator::State;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::task::JoinSet;

pub(crate) const COMMAND: &str = env!("CARGO_BIN_EXE_intercom-bulk");

/// A simulated workspace, stopped on drop, and a folder for the command's state.
pub(crate) struct World {
    process: Child,
    address: String,
    pub(crate) folder: tempfile::TempDir,
    /// Seconds after which the command takes an unused scroll as expired.
    scroll_life_s: &'static str,
    api: &'static str,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the path of a shipped plan.
pub(crate) fn plan(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plans").join(name)
}

impl World {
    /// Starts a quick workspace with these arguments of `simulate`.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        Self::started(&[&["--latency-ms", "1", "--job-delay-s", "1"], arguments].concat(), "2")
    }

    /// Starts a workspace with these arguments and this wait for a scroll to expire.
    pub(crate) fn started(arguments: &[&str], scroll_life_s: &'static str) -> Self {
        let mut process = Command::new(COMMAND)
            .args(["simulate", "--port", "0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        let folder = tempfile::tempdir().unwrap();
        // Otherwise the command would use the state of a parent folder.
        std::fs::create_dir(folder.path().join(".bulk")).unwrap();
        // The tests are about bulk jobs; those of another API name it.
        Self { process, address, folder, scroll_life_s, api: "1.4" }
    }

    /// Returns the world with commands that use this version of the API.
    pub(crate) fn on(mut self, api: &'static str) -> Self {
        self.api = api;
        self
    }

    /// Returns the command on this workspace, not started yet.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(COMMAND);
        command
            .args(arguments)
            .env("INTERCOM_BASE_URL", &self.address)
            .env("INTERCOM_TOKEN", "test-token-that-is-never-printed")
            .env("INTERCOM_API", self.api)
            .env("INTERCOM_SCROLL_LIFE_S", self.scroll_life_s)
            // Its jobs take a second.
            .env("INTERCOM_JOB_LIFE_S", "2")
            // Its reads do not lag.
            .env("INTERCOM_READ_AGAIN_S", "1")
            .env_remove("RUST_LOG")
            .current_dir(self.folder.path());
        command
    }

    /// Runs the command to its end.
    pub(crate) fn call(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().unwrap();
        let shown = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(!shown.contains("never-printed"), "the token was printed");
        output
    }

    /// Returns the object on the last line of the command's output. Checks the exit code.
    pub(crate) fn object(&self, arguments: &[&str], code: i32) -> Value {
        let output = self.call(arguments);
        let out = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {out}{error}");
        serde_json::from_str(out.lines().last().unwrap()).unwrap()
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        let url = format!("{}/_simulator/{path}", self.address);
        let body = wait_for(async { reqwest::get(url).await.unwrap().bytes().await.unwrap() });
        serde_json::from_slice(&body).unwrap()
    }

    /// Returns the state that the workspace reports.
    pub(crate) fn state(&self) -> State {
        self.get("state")
    }

    /// Returns the workspace's address.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Returns the number of requests of this route.
    pub(crate) fn requests(&self, route: &str) -> u64 {
        self.state().requests.get(route).copied().unwrap_or_default()
    }

    /// Returns all users of the workspace.
    pub(crate) fn users(&self) -> Vec<Value> {
        self.get("users?limit=1000000")
    }

    /// Returns the ids of the users that the plan would still change.
    pub(crate) fn lacking(&self, plan: &Path) -> BTreeSet<String> {
        let text = std::fs::read_to_string(plan).unwrap();
        let plan = Plan::from_toml("plan", &text).unwrap();
        let users = self.users().into_iter().map(|body| User::new(body).unwrap());
        users.filter(|user| plan.evaluate(user).patch.is_some()).map(|user| user.id().to_string()).collect()
    }

    /// Clears a custom attribute of these users, as another integration would, with a request each.
    pub(crate) fn clear(&self, users: &[&str], attribute: &str) {
        self.set(users, attribute, &Value::Null);
    }

    /// Sets a custom attribute of these users, as another integration would, with a request each.
    pub(crate) fn set(&self, users: &[&str], attribute: &str, value: &Value) {
        wait_for(async {
            let client = reqwest::Client::new();
            let mut requests = JoinSet::new();
            for user in users {
                let body = json!({"id": user, "custom_attributes": {attribute: value}}).to_string();
                requests.spawn(another(client.post(format!("{}/users", self.address)), body).send());
            }
            for answer in requests.join_all().await {
                assert!(answer.unwrap().status().is_success());
            }
        });
    }

    /// Sends a PUT of API 2.17 to this path, as another integration would.
    pub(crate) fn put(&self, path: &str, body: String) {
        let request = reqwest::Client::new().put(format!("{}{path}", self.address)).header("intercom-version", "2.17");
        let answer = wait_for(async { another(request, body).send().await.unwrap() });
        assert!(answer.status().is_success(), "{answer:?}");
    }
}

/// Returns the request with what another integration sends.
fn another(request: reqwest::RequestBuilder, body: String) -> reqwest::RequestBuilder {
    let request = request.header("content-type", "application/json").header("accept", "application/json");
    request.header("authorization", "Bearer another").body(body)
}

fn wait_for<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
