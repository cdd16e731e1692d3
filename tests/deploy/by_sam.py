"""The way that docs/aws.md describes, by the real SAM CLI on the emulated AWS: validate, build, deploy, use, delete.

`run` deploys without it, which spares most of a minute and 340 MB; this is its proof. Called by tests/deploy/by-sam.
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
# Of this machine, where the emulator runs what is built.
ARCHITECTURE = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
CONFIG = ["--config-env", "x86_64"] if ARCHITECTURE == "x86_64" else []


def sam(emulator, *arguments):
    """Runs the SAM CLI in an environment that knows the emulator alone; returns what it prints, and shows it."""
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
    """`sam deploy`; returns the stack."""
    stack = stacks.Stack(emulator)
    stack.put_token()
    sam(emulator, "deploy", "--no-confirm-changeset", "--parameter-overrides", *parameters)
    described = stack.aws["cloudformation"].describe_stacks(StackName=stack.name)["Stacks"][0]
    stack.outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}
    return stack


def use_and_delete(emulator, stack):
    """The functions answer; the stack takes another parameter, and goes without its table."""
    for function in ("Scroll", "Check"):
        answer, error = stack.invoke(function, '{"tick": {}}')
        if error:
            raise AssertionError(f"{function}: {answer}")
        print(f"{function}: {answer}")
    starts = stack.outputs["StartSchedule"]
    if starts != "cron(0 3 * * ? *) starts has-avatar":
        raise AssertionError(f"the schedule: {starts}")
    # As OPERATIONS.md stops later runs: what is not named stays as it is.
    sam(emulator, "deploy", "--no-confirm-changeset", "--parameter-overrides", 'StartCron=""')
    deployed = stack.aws["cloudformation"].describe_stacks(StackName=stack.name)["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in deployed["Outputs"]}
    parameters = {parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in deployed["Parameters"]}
    if not outputs["StartSchedule"].startswith("never") or parameters["PlanName"] != "has-avatar":
        raise AssertionError(f"the schedule is not off: {outputs['StartSchedule']}; {parameters}")
    # `sam delete` refuses the address that the emulator gives the nested template: it takes S3's own alone.
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
            f"Architecture={ARCHITECTURE}", f"IntercomBaseUrl={intercom.url}", "ScrollLifeS=22", "JobLifeS=30",
            "PlanName=has-avatar", 'StartCron="cron(0 3 * * ? *)"',
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
