//! A simulated workspace and an emulated AWS, each a process of the command, and the functions.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout, Command};

use crate::functions::Functions;

const COMMAND: &str = env!("CARGO_BIN_EXE_intercom-bulk");
/// The number of variables that `emulate` prints.
const VARIABLES: usize = 9;

/// The world; its processes end when it is dropped.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    environment: HashMap<String, String>,
    functions: Functions,
    asked: Arc<Mutex<String>>,
    _processes: [Child; 2],
}

/// Returns the path of a shipped plan.
pub(crate) fn plan(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plans").join(name).to_str().unwrap().to_owned()
}

fn spawn(arguments: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let mut command = Command::new(COMMAND);
    let child = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = child.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap());
    (child, lines)
}

impl World {
    /// Creates a workspace with this number of users.
    pub(crate) async fn new(users: &str) -> Self {
        Self::with(users, &[]).await
    }

    /// Creates a workspace with this number of users. The environment has more settings.
    pub(crate) async fn with(users: &str, settings: &[(&str, &str)]) -> Self {
        let simulate = ["simulate", "--port", "0", "--latency-ms", "1", "--job-delay-s", "1", "--users", users];
        let (simulated, mut lines) = spawn(&simulate);
        let mut line = String::new();
        lines.read_line(&mut line).await.unwrap();
        let intercom = line.trim().strip_prefix("listening on ").unwrap().to_owned();

        let functions = Functions::default();
        let lambda = functions.serve().await;
        let mut environment = HashMap::from([("AWS_ENDPOINT_URL_LAMBDA".to_owned(), lambda.clone())]);
        let (emulated, mut lines) = spawn(&["emulate", "--port", "0", "--tick-s", "1", "--lambda", &lambda]);
        for _ in 0..VARIABLES {
            let mut line = String::new();
            lines.read_line(&mut line).await.unwrap();
            let (name, value) = line.trim().split_once('=').unwrap();
            environment.insert(name.to_owned(), value.to_owned());
        }
        environment.insert("INTERCOM_BASE_URL".to_owned(), intercom);
        environment.insert("INTERCOM_TOKEN".to_owned(), "test-token-that-is-never-printed".to_owned());
        environment.insert("INTERCOM_API".to_owned(), "1.4".to_owned());
        environment.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        functions.wake(&environment);

        let asked = Arc::default();
        let formation = cloudformation(&asked, &environment).await;
        environment.insert("AWS_ENDPOINT_URL_CLOUDFORMATION".to_owned(), formation);
        let folder = tempfile::tempdir().unwrap();
        Self { folder, environment, functions, asked, _processes: [simulated, emulated] }
    }

    /// Runs the command in this world's environment.
    pub(crate) async fn call(&self, arguments: &[&str]) -> Output {
        self.call_with(arguments, &[]).await
    }

    /// Runs the command with some variables changed or removed.
    pub(crate) async fn call_with(&self, arguments: &[&str], otherwise: &[(&str, Option<&str>)]) -> Output {
        let mut command = Command::new(COMMAND);
        command.args(arguments).envs(&self.environment).env_remove("RUST_LOG").current_dir(self.folder.path());
        for (name, value) in otherwise {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let output = command.output().await.unwrap();
        let shown = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(!shown.contains("never-printed"), "the token was printed");
        output
    }

    /// Returns the object that a command prints.
    pub(crate) async fn object(&self, arguments: &[&str], code: i32) -> Value {
        let output = self.call(arguments).await;
        let (out, error) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {out}{error}");
        serde_json::from_str(out.lines().last().unwrap()).unwrap()
    }

    /// Returns the number of a function's invocations.
    pub(crate) fn invoked(&self, name: &str) -> u64 {
        self.functions.invoked.lock().unwrap().get(name).copied().unwrap_or_default()
    }

    /// Returns the last request to CloudFormation: the signature and the form.
    pub(crate) fn asked(&self) -> String {
        self.asked.lock().unwrap().clone()
    }
}

type Formation = (Arc<Mutex<String>>, String);

/// Serves CloudFormation, with one stack.
async fn cloudformation(asked: &Arc<Mutex<String>>, environment: &HashMap<String, String>) -> String {
    let output = |key: &str, variable: &str| {
        let value = &environment[variable];
        format!("<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>")
    };
    let control = "<member><OutputKey>ControlFunction</OutputKey><OutputValue>control</OutputValue></member>";
    let outputs = output("LedgerTable", "LEDGER_TABLE") + &output("PagesQueueUrl", "PAGES_QUEUE_URL") + control;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(describe).with_state((Arc::clone(asked), outputs));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn describe(State((asked, outputs)): State<Formation>, headers: HeaderMap, body: String) -> (StatusCode, String) {
    *asked.lock().unwrap() = format!("{} {body}", headers["authorization"].to_str().unwrap());
    if body.ends_with("StackName=bulk-eu") {
        let stack = format!("<Stacks><member><Outputs>{outputs}</Outputs></member></Stacks>");
        return (StatusCode::OK, format!("<DescribeStacksResponse>{stack}</DescribeStacksResponse>"));
    }
    let words = "<Code>ValidationError</Code><Message>Stack with id another does not exist</Message>";
    (StatusCode::BAD_REQUEST, format!("<ErrorResponse><Error>{words}</Error></ErrorResponse>"))
}
