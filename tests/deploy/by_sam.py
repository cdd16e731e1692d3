"""The procedure of docs/aws.md with the real SAM CLI on the emulated AWS: validate to delete.

`run` deploys without SAM, which saves most of a minute and 340 MB; this proves the equivalence.
tests/deploy/by-sam calls it.
"""

import os
import platform
import shutil
import subprocess
import time
from pathlib import Path

import stack as stacks
from emulator import REGION, ROOT_KEY, Emulator
from intercom import Intercom

SAM = str(Path("target/deploy/sam/bin/sam").absolute())
STATE = Path("target/deploy/state-sam")
# This machine's architecture, because the emulator runs the build.
ARCHITECTURE = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
CONFIG = ["--config-env", "x86_64"] if ARCHITECTURE == "x86_64" else []


def sam(emulator, *arguments):
    """Runs the SAM CLI with access to the emulator only. Shows and returns its output."""
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": ROOT_KEY,
        "AWS_SECRET_ACCESS_KEY": ROOT_KEY,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": emulator.url,
        "SAM_CLI_TELEMETRY": "0",
    }
    began = time.monotonic()
    arguments = [*arguments, *CONFIG]
    print(f"== sam {' '.join(arguments)}", flush=True)
    done = subprocess.run([SAM, *arguments], env=environment, check=True, stdout=subprocess.PIPE, text=True)
    print(done.stdout, end="")
    print(f"-- {time.monotonic() - began:.0f} s", flush=True)
    return done.stdout


def deploy(emulator, parameters):
    """Runs `sam deploy` and returns the stack."""
    stack = stacks.Stack(emulator)
    stack.put_token()
    sam(emulator, "deploy", "--no-confirm-changeset", "--parameter-overrides", *parameters)
    described = stack.aws["cloudformation"].describe_stacks(StackName=stack.name)["Stacks"][0]
    stack.outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}
    return stack


def use_and_delete(emulator, stack):
    """Invokes the functions, updates a parameter, and deletes the stack without its table."""
    for function in ("Scroll", "Check"):
        answer, error = stack.invoke(function, '{"tick": {}}')
        if error:
            raise AssertionError(f"{function}: {answer}")
        print(f"{function}: {answer}")
    starts = stack.outputs["StartSchedule"]
    if starts != "cron(0 3 * * ? *) starts has-avatar":
        raise AssertionError(f"the schedule: {starts}")
    # As OPERATIONS.md stops later runs: parameters without a value stay as they are.
    sam(emulator, "deploy", "--no-confirm-changeset", "--parameter-overrides", 'StartCron=""')
    deployed = stack.aws["cloudformation"].describe_stacks(StackName=stack.name)["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in deployed["Outputs"]}
    parameters = {parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in deployed["Parameters"]}
    if not outputs["StartSchedule"].startswith("never") or parameters["PlanName"] != "has-avatar":
        raise AssertionError(f"the schedule is not off: {outputs['StartSchedule']}; {parameters}")
    # `sam delete` accepts only S3's own address for the nested template, not the emulator's.
    stack.delete()
    tables = stack.aws["dynamodb"].list_tables()["TableNames"]
    if tables != [stack.outputs["LedgerTable"]]:
        raise AssertionError(f"the table did not stay: {tables}")
    print("sam: all good, and the table stayed")


def main():
    shutil.rmtree(STATE, ignore_errors=True)
    emulator = Emulator(STATE)
    intercom = Intercom(100)
    try:
        parameters = [
            f"Architecture={ARCHITECTURE}", f"IntercomBaseUrl={intercom.url}", "IntercomApi=1.4", "ScrollLifeS=22",
            "JobLifeS=30", "PlanName=has-avatar", 'StartCron="cron(0 3 * * ? *)"',
        ]  # fmt: skip
        sam(emulator, "validate")
        sam(emulator, "build")
        stack = deploy(emulator, parameters)
        use_and_delete(emulator, stack)
    finally:
        emulator.stop()
        intercom.stop()


if __name__ == "__main__":
    main()
