"""The emulated AWS: ministack, corrected where a run would notice a difference to AWS, and counted.

Run as a program it is the emulator itself; `start` runs it in a clean environment.
"""

import json
import os
import re
import socket
import socketserver
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path

ACCOUNT = "123456789012"
REGION = "us-east-1"
# The emulator's root credentials. Functions get sessions of their roles instead: AUTH enforces IAM.
ROOT_KEY = "test"
# The file for the calls, written once a second.
CALLS = "calls.json"
# A message with this word kills the function that receives it.
KILLS = "kills its function"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Emulator:
    """A running emulator."""

    def __init__(self, folder, host="127.0.0.1"):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        self.port = free_port()
        self.url = f"http://{host}:{self.port}"
        # A clean environment, because each function inherits it.
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
            "AUTH": "true",
            "AWS_ACCESS_KEY_ID": ROOT_KEY,
            "AWS_SECRET_ACCESS_KEY": ROOT_KEY,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.url,
            "BIND_HOST": host,
            "GATEWAY_PORT": str(self.port),
            "IOT_MTLS_ENABLED": "0",
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "MINISTACK_REGION": REGION,
            "LOG_LEVEL": "INFO",
        }
        self.log = open(self.folder / "emulator.log", "wb")
        self.process = subprocess.Popen(
            [sys.executable, __file__], env=environment, cwd=self.folder, stdout=self.log, stderr=subprocess.STDOUT
        )
        self._await()

    def _await(self):
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{self.url}/_ministack/health", timeout=1).read()
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)
        self.stop()
        raise RuntimeError(f"the emulator does not answer; see {self.log.name}")

    def warnings(self):
        """Returns the last warnings and errors of the functions and the emulator."""
        lines = Path(self.log.name).read_text(errors="replace").splitlines()
        return "\n".join([line for line in lines if re.search(r"WARN|ERROR", line)][-10:])

    def calls(self):
        """Returns the calls so far, by name."""
        time.sleep(1.5)
        return Counter(json.loads((self.folder / CALLS).read_text()))

    def functions(self, name):
        """Returns the processes of the functions whose name contains `name`; only this emulator's
        children."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
                environment = (folder / "environ").read_bytes().split(b"\0")
            except (OSError, ValueError):
                continue
            named = [e for e in environment if e.startswith(b"AWS_LAMBDA_FUNCTION_NAME=") and name.encode() in e]
            if parent == self.process.pid and named:
                found.append(int(folder.name))
        return found

    def cpu_seconds(self, name):
        """Returns the CPU time of the function's living processes."""
        used = 0
        for pid in self.functions(name):
            fields = (Path("/proc") / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()
            used += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return used

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


class Count:
    """Counts calls, units and time, and writes them to the file once a second."""

    def __init__(self):
        self.counter = Counter()
        self.lock = threading.Lock()
        threading.Thread(target=self._write, daemon=True).start()

    def add(self, name, number=1):
        with self.lock:
            self.counter[name] += number

    def _write(self):
        while True:
            with self.lock:
                text = json.dumps(self.counter)
            Path("calls.tmp").write_text(text)
            os.replace("calls.tmp", CALLS)
            time.sleep(1)


def from_function(headers):
    """Returns whether a role's session signed the call, so a function made it: the test calls as
    root, and the command as a user."""
    return "Credential=ASIA" in headers.get("authorization", "")


def count_requests(app, count):
    """Counts the functions' calls, with DynamoDB's units and SQS's chunks of 64 KB."""
    plain = app._dispatch_service_request

    async def dispatch(method, path, headers, body, query, request_id):
        target = headers.get("x-amz-target", "")
        if not target or not from_function(headers):
            return await plain(method, path, headers, body, query, request_id)
        service, _, operation = target.rpartition(".")
        if service.startswith("DynamoDB"):
            asked = json.loads(body)
            asked["ReturnConsumedCapacity"] = "TOTAL"
            body = json.dumps(asked).encode()
        status, answer_headers, answer = await plain(method, path, headers, body, query, request_id)
        count.add(f"{service.split('_')[0]}.{operation}")
        if status == 403 or b"AccessDenied" in (answer if isinstance(answer, bytes) else b""):
            count.add(f"denied.{operation}")
            print(f"DENIED {operation}: {answer!r}", flush=True)
        if service.startswith("DynamoDB"):
            write = operation not in ("GetItem", "Query", "Scan", "BatchGetItem")
            used = json.loads(answer).get("ConsumedCapacity") if status == 200 else None
            used = used if isinstance(used, list) else [used] if used else []
            units = sum(table.get("CapacityUnits", 0) for table in used)
            # A write whose condition fails is charged, too.
            count.add("units.write" if write else "units.read", units or 1)
        elif service == "AmazonSQS":
            count.add("units.sqs", -(-len(body) // 65536))
        return status, answer_headers, answer

    app._dispatch_service_request = dispatch


def count_invocations(functions, count):
    """Counts invocations and their time, and the event source mappings' requests to the queues."""
    plain = functions._execute_function

    def execute(function, event):
        name = (function.get("config") or function).get("FunctionName", "").lower()
        step = next((step for step in ("scroll", "submit", "check", "control") if step in name), name)
        began = time.time()
        result = plain(function, event)
        count.add(f"invocations.{step}")
        count.add(f"seconds.{step}", time.time() - began)
        if isinstance(result, dict) and result.get("error"):
            count.add(f"errors.{step}")
        return result

    batch = functions._run_sqs_batch

    def run_batch(*arguments):
        # One request received the batch, one deletes the finished messages.
        count.add("units.sqs", 2)
        count.add("batches")
        return batch(*arguments)

    functions._execute_function = execute
    functions._run_sqs_batch = run_batch


def schedule_as_aws_does(scheduler, bridge):
    """Inserts the scheduled time into a schedule's input, as EventBridge Scheduler does, without
    delay."""
    plain = bridge._invoke_target
    word = re.compile(r"<aws\.scheduler\.scheduled-time>")

    def invoke(target, event, rule, view=None):
        if event.get("Source") == "aws.scheduler" and "Input" in target:
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(event["Time"]))
            target = {**target, "Input": word.sub(now, target["Input"])}
        return plain(target, event, rule, view)

    bridge._invoke_target = invoke
    scheduler._SCHEDULE_TICK_INTERVAL = 1


def log_as_configured(runtime, functions):
    """Passes the log format and level to a process, as Lambda does; lambda_runtime reads them."""
    plain = runtime.execution_credentials

    def environment(config):
        logging = config.get("LoggingConfig") or {}
        told = {
            "AWS_LAMBDA_LOG_FORMAT": logging.get("LogFormat"),
            "AWS_LAMBDA_LOG_LEVEL": logging.get("ApplicationLogLevel"),
            "AWS_LAMBDA_LOG_GROUP_NAME": logging.get("LogGroup"),
        }
        return plain(config) | {name: value for name, value in told.items() if value}

    runtime.execution_credentials = functions.execution_credentials = environment


class Deadly:
    """Passes events to a function. Its process dies when it receives an event that kills."""

    def __init__(self, events, worker):
        self.events, self.worker = events, worker

    def get(self, timeout):
        item = self.events.get(timeout=timeout)
        if KILLS in json.dumps(item[1]):
            self.worker._proc.kill()
        return item


def die_of_what_kills(runtime):
    """A message may kill its function each time, like a lack of memory on AWS."""
    plain = runtime.ProvidedWorker._build_handler_class

    def build(worker, generation, events):
        return plain(worker, generation, Deadly(events, worker))

    runtime.ProvidedWorker._build_handler_class = build


class Tapped:
    """The output of a function's process, parsed line by line."""

    def __init__(self, stream, measure):
        self.stream, self.measure, self.close = stream, measure, stream.close

    def readline(self):
        line = self.stream.readline()
        if b'"_aws"' in line:
            self.measure(json.loads(line))
        return line


def measure_what_is_logged(runtime, cloudwatch, responses, count):
    """Creates metrics from lines in the embedded metric format, for the alarms, as CloudWatch
    does."""
    plain = runtime.ProvidedWorker._pump_output

    def measure(told):
        responses.set_request_account_id(ACCOUNT)
        responses.set_request_region(REGION)
        for directive in told["_aws"]["CloudWatchMetrics"]:
            dimensions = {name: told[name] for names in directive["Dimensions"] for name in names}
            for metric in directive["Metrics"]:
                name, value = metric["Name"], told[metric["Name"]]
                cloudwatch.record_metric(directive["Namespace"], name, value, metric.get("Unit", "None"), dimensions)
                count.add(f"metric.{name}", value)
        cloudwatch._evaluate_all_alarms()

    def pump(worker, stream, lines):
        return plain(worker, Tapped(stream, measure), lines)

    runtime.ProvidedWorker._pump_output = pump


def finish_before_an_update(runtime, functions):
    """Applies new code or a new configuration to new processes; a busy process finishes first."""
    plain, plain_update = functions.invalidate_worker, functions._update_code
    thread = threading.local()

    def update_code(*arguments):
        thread.updates = True
        try:
            return plain_update(*arguments)
        finally:
            thread.updates = False

    def kill_when_idle(worker):
        while worker.in_use:
            time.sleep(0.2)
        runtime.kill_workers([worker])

    def invalidate(name, qualifier=None, account=None, region=None):
        # Called without an account for a new configuration, and with one for new code, a delete or a crash.
        is_update = account is None or getattr(thread, "updates", False)
        if qualifier is None or not is_update:
            return plain(name, qualifier, account, region)
        with runtime._lock:
            keys = [key for key in runtime._workers if key.split(":")[-2:] == [name, qualifier]]
            workers = [worker for key in keys for worker in runtime._workers.pop(key)]
        for worker in workers:
            threading.Thread(target=kill_when_idle, args=(worker,), daemon=True).start()

    functions.invalidate_worker = invalidate
    functions._update_code = update_code


def batches_need_no_right_of_their_own(actions):
    """Maps SQS batch calls to their single action, because IAM has no action for a batch."""
    plain = actions.extract_iam_action

    def extract(*arguments):
        action = plain(*arguments)
        return action.removesuffix("Batch") if action and action.startswith("sqs:") else action

    actions.extract_iam_action = extract


def conditions_see_the_source_of_an_event(actions):
    """Gives IAM the condition keys of `PutEvents`, without which a role with a condition may put no event."""
    plain = actions.request_tag_context

    def context(service, action, body, params):
        found = plain(service, action, body, params)
        if action != "events:PutEvents":
            return found
        (entry,) = json.loads(body)["Entries"]
        return found | {"events:source": entry["Source"], "events:detail-type": entry["DetailType"]}

    actions.request_tag_context = context


def main():
    # Without it, each small answer waits 40 ms for the function's acknowledgement.
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True
    from ministack import app
    from ministack.core import iam_actions, lambda_runtime, responses
    from ministack.services import cloudwatch, eventbridge, lambda_svc, scheduler

    count = Count()
    count_requests(app, count)
    count_invocations(lambda_svc, count)
    measure_what_is_logged(lambda_runtime, cloudwatch, responses, count)
    log_as_configured(lambda_runtime, lambda_svc)
    schedule_as_aws_does(scheduler, eventbridge)
    finish_before_an_update(lambda_runtime, lambda_svc)
    die_of_what_kills(lambda_runtime)
    batches_need_no_right_of_their_own(iam_actions)
    conditions_see_the_source_of_an_event(iam_actions)
    sys.argv = ["ministack"]
    app.main()


if __name__ == "__main__":
    main()
