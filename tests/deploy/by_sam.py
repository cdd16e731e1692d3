"""The way that the README describes, by the real SAM CLI on the emulated AWS: validate, build, deploy, use, delete.

`run` deploys without it, which spares most of a minute and 340 MB; this is its proof. Call it by tests/deploy/by-sam, or by
tests/deploy/sam-local for each function in a container instead.
"""

import json
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


def use_and_delete(emulator, stack, parameters):
    """The functions answer; the stack takes another parameter, and goes without its table."""
    for function in ("Scroll", "Check"):
        answer, error = stack.invoke(function, '{"tick": {}}')
        if error:
            raise AssertionError(f"{function}: {answer}")
        print(f"{function}: {answer}")
    sam(emulator, "deploy", "--no-confirm-changeset", "--parameter-overrides", *parameters, "QuotaPercent=50")
    # `sam delete` refuses the address that the emulator gives the nested template: it takes S3's own alone.
    stack.delete()
    tables = stack.aws["dynamodb"].list_tables()["TableNames"]
    if tables != [stack.outputs["LedgerTable"]]:
        raise AssertionError(f"the table did not stay: {tables}")
    print("sam: all good, and the table stayed")


def invoke_locally(emulator, stack, parameters):
    """Each function once, in a container, on the deployed stack's table and queues.

    Intercom is out of their reach: its address is a loopback, which in a container is another. A start needs none.
    """
    deployed = stack.aws["lambda"].get_function_configuration(FunctionName=stack.outputs["ScrollFunction"])
    variables = {**deployed["Environment"]["Variables"], "AWS_ENDPOINT_URL": emulator.url}
    # SAM passes on only what the template declares.
    built = Path(".aws-sam/build/template.yaml")
    told = built.read_text().replace("        STACK_NAME:", "        AWS_ENDPOINT_URL: ''\n        STACK_NAME:", 1)
    template = built.with_name("template-local.yaml")
    template.write_text(told)
    names = STATE / "variables.json"
    names.write_text(json.dumps({"Parameters": variables}))
    events = {"Scroll": "scroll-start-inline", "Submit": "submit-mixed", "Check": "check-tick"}
    for function, event in events.items():
        answer = sam(
            emulator, "local", "invoke", function, "--event", f"events/{event}.json", "--template", str(template),
            "--env-vars", str(names), "--skip-pull-image", "--parameter-overrides", *parameters,
        )  # fmt: skip
        # The CLI is content with a function that failed.
        if "errorType" in answer:
            raise AssertionError(f"{function}: {answer}")
    if len(stack.dead_letters("Patches")) != 1:
        raise AssertionError("submit did not bury the message that is cut off")
    print("sam local: each function did its work")


def main():
    shutil.rmtree(STATE, ignore_errors=True)
    # Containers reach this machine by the address of their bridge.
    emulator = Emulator(STATE, host=os.environ.get("BRIDGE", "127.0.0.1"))
    intercom = Intercom(100)
    try:
        # For the processor of this machine, where the emulator runs what is built.
        processor = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
        parameters = [f"Architecture={processor}", f"IntercomBaseUrl={intercom.url}", "ScrollLifeS=22", "JobLifeS=30"]
        sam(emulator, "validate")
        sam(emulator, "build", "--parameter-overrides", *parameters)
        stack = deploy(emulator, parameters)
        if "BRIDGE" in os.environ:
            invoke_locally(emulator, stack, parameters)
        else:
            use_and_delete(emulator, stack, parameters)
    finally:
        emulator.stop()
        intercom.stop()


if __name__ == "__main__":
    main()
