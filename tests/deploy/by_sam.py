"""The way that the README describes, by the real SAM CLI on the emulated AWS: validate, build, deploy, use, delete.

`run` deploys without it, which spares most of a minute and 340 MB; this is its proof. Call it by tests/deploy/by-sam.
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


def sam(emulator, *arguments):
    """Runs the SAM CLI in an environment that knows the emulator alone."""
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
    subprocess.run([SAM, *arguments], env=environment, check=True)
    print(f"-- {time.monotonic() - began:.0f} s", flush=True)


def main():
    shutil.rmtree(STATE, ignore_errors=True)
    emulator = Emulator(STATE)
    intercom = Intercom(100)
    try:
        # For the processor of this machine, where the emulator runs what is built.
        processor = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
        parameters = [f"Architecture={processor}", f"IntercomBaseUrl={intercom.url}", "ScrollLifeS=22"]
        sam(emulator, "validate")
        sam(emulator, "build", "--parameter-overrides", *parameters)
        stack = stacks.Stack(emulator)
        stack.put_token()
        sam(emulator, "deploy", "--no-confirm-changeset", "--parameter-overrides", *parameters)
        described = stack.aws["cloudformation"].describe_stacks(StackName=stack.name)["Stacks"][0]
        stack.outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}
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
    finally:
        emulator.stop()
        intercom.stop()


if __name__ == "__main__":
    main()
