"""`sam local` with the emulated AWS of `cargo bulk emulate`, as docs/local-functions.md describes.

Each function runs once by `sam local invoke`, then all by `sam local start-lambda` with the
schedules and mappings. Containers cannot reach Intercom: the simulator listens on loopback, which
is a different address in a container. So a run begins and its turn waits; the test ends there.
tests/deploy/sam-local calls it.
"""

import json
import os
import platform
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

SAM = str(Path("target/deploy/sam/bin/sam").absolute())
COMMAND = "target/debug/intercom-bulk"
STATE = Path("target/deploy/state-sam-local")
ENV_FILE = STATE / "emulate.env"
LAMBDA_PORT = 3001
EVENTS = {"Scroll": "scroll-start-inline", "Submit": "submit-mixed", "Check": "check-tick", "Control": "control-pause"}
CONFIG = ["--config-env", "x86_64"] if platform.machine() == "x86_64" else []


def environment():
    """Returns this environment plus the variables that `emulate` wrote, like `set -a; . FILE`."""
    told = dict(line.split("=", 1) for line in ENV_FILE.read_text().splitlines())
    return {**os.environ, **told, "AWS_DEFAULT_REGION": told["AWS_REGION"], "SAM_CLI_TELEMETRY": "0"}


def emulate(log):
    """Starts the emulated AWS, at the address of the containers' bridge."""
    arguments = [COMMAND, "emulate", "--lambda", f"http://127.0.0.1:{LAMBDA_PORT}", "--listen", os.environ["BRIDGE"]]
    arguments += ["--serve-token", "--env-file", str(ENV_FILE), "--tick-s", "20"]
    settings = {**os.environ, "INTERCOM_TOKEN": "anything"}
    process = subprocess.Popen(arguments, env=settings, stdout=subprocess.PIPE, stderr=log, text=True)
    # It prints the variables once it listens.
    for line in process.stdout:
        if line.startswith("PATCHES_DEAD_LETTERS_URL="):
            return process
    raise RuntimeError(f"emulate ended; see {log.name}")


def invoke(function, event):
    """Runs `sam local invoke` and returns the function's answer."""
    print(f"== sam local invoke {function} --event events/{event}.json", flush=True)
    command = [SAM, "local", "invoke", function, "--event", f"events/{event}.json", "--skip-pull-image", *CONFIG]
    answer = subprocess.run(command, env=environment(), check=True, stdout=subprocess.PIPE, text=True).stdout
    print(answer, flush=True)
    # The CLI succeeds although the function failed.
    if "errorType" in answer:
        raise AssertionError(f"{function}: {answer}")


def start_lambda(log):
    command = [SAM, "local", "start-lambda", "--port", str(LAMBDA_PORT), "--skip-pull-image", "--warm-containers", "LAZY", *CONFIG]
    process = subprocess.Popen(command, env=environment(), stdout=log, stderr=log)
    for _ in range(120):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", LAMBDA_PORT)) == 0:
                return process
        time.sleep(0.5)
    raise RuntimeError(f"start-lambda does not listen; see {log.name}")


def driven(path):
    """Waits until the mappings and schedules have had an answer from scroll and from check."""
    for _ in range(90):
        lines = path.read_text().splitlines()
        found = {step: next((line for line in lines if line.startswith(step) and "{" in line), None) for step in ("scroll", "check")}
        if all(found.values()):
            return found
        time.sleep(1)
    raise AssertionError(f"no function answered; see {path}")


def main():
    STATE.mkdir(parents=True, exist_ok=True)
    ENV_FILE.unlink(missing_ok=True)
    path = STATE / "emulate.log"
    processes = []
    with open(path, "w") as log, open(STATE / "start-lambda.log", "w") as served:
        try:
            processes.append(emulate(log))
            subprocess.run([SAM, "build", *CONFIG], env={**os.environ, "SAM_CLI_TELEMETRY": "0"}, check=True)
            for function, event in EVENTS.items():
                invoke(function, event)
            print("== sam local start-lambda", flush=True)
            processes.append(start_lambda(served))
            for step, line in driven(path).items():
                print(f"{step}: {line}")
        finally:
            for process in reversed(processes):
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
    print("sam local: each function did its work")


if __name__ == "__main__":
    sys.exit(main())
