"""Builds, packages and deploys template.yaml like `sam build` and `sam deploy`, but much faster."""

import json
import platform
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, WaiterError

from emulator import ACCOUNT, REGION, ROOT_KEY
from intercom import COMMAND, TOKEN

FUNCTIONS = ("scroll", "submit", "check", "control")
# By architecture, so that zips for another CPU never replace those that run here.
ZIPS = Path("target/deploy/zips-" + platform.machine())
BUCKET = "artefacts"
TOKEN_PARAMETER = "/intercom-bulk/token"
# The commands that only look.
LOOKS = {"status", "jobs", "errors", "changes", "history"}


@dataclass(frozen=True)
class Release:
    """A version of the project: the folder of its source, its zips, and its functions."""

    name: str
    source: Path
    zips: Path
    functions: tuple

    def build(self, *more):
        """Builds the zips for this machine's CPU, with the compiler and linker of `sam build`."""
        packages = [word for function in self.functions for word in ("--package", function)]
        command = ["cargo", "lambda", "build", "--release", "--output-format", "zip", "--lambda-dir", str(self.zips.absolute())]
        for built in (packages, *more):
            # The target folder is that of the source: Cargo names crates of two versions alike.
            subprocess.run(command + built, check=True, cwd=self.source)


THIS = Release("this", Path("."), ZIPS, FUNCTIONS)


def build():
    """Builds the zips of this version, and the baseline of tests/wake in the same way."""
    THIS.build(["--package", "intercom-bulk-function", "--example", "hello"])
    return sizes()


def sizes():
    """Returns the bytes of each zip."""
    return {function: (ZIPS / function / "bootstrap.zip").stat().st_size for function in FUNCTIONS}


class Stack:
    """The stack on an emulator."""

    def __init__(self, emulator, name="intercom-bulk"):
        self.name = name
        self.emulator = emulator
        session = boto3.Session(ROOT_KEY, ROOT_KEY, region_name=REGION)
        settings = Config(retries={"mode": "standard", "max_attempts": 5})
        self.aws = {
            service: session.client(service, endpoint_url=emulator.url, config=settings)
            for service in ("cloudformation", "cloudwatch", "dynamodb", "events", "iam", "lambda", "logs", "s3", "scheduler", "sqs", "ssm")
        }

    def _package(self, release):
        """Uploads the zips and the nested template, and returns the template that refers to
        them."""
        s3 = self.aws["s3"]
        s3.create_bucket(Bucket=BUCKET)
        text = (release.source / "template.yaml").read_text()

        def replace(old, new):
            nonlocal text
            if text.count(old) != 1:
                raise RuntimeError(f"template.yaml has {old!r} {text.count(old)} times")
            text = text.replace(old, new)

        for function in release.functions:
            zipped = release.zips / function / "bootstrap.zip"
            key = f"{function}-{release.name}-{zipped.stat().st_mtime_ns}.zip"
            s3.upload_file(str(zipped), BUCKET, key)
            replace(f"CodeUri: functions/{function}\n", f"CodeUri: s3://{BUCKET}/{key}\n")
        watch = f"watch-{release.name}.yaml"
        s3.upload_file(str(release.source / "infra" / "watch.yaml"), BUCKET, watch)
        replace("TemplateURL: infra/watch.yaml", f"TemplateURL: {self.emulator.url}/{BUCKET}/{watch}")
        return text

    def put_token(self, token=TOKEN):
        self.aws["ssm"].put_parameter(Name=TOKEN_PARAMETER, Value=token, Type="SecureString", Overwrite=True)

    def deploy(self, release=THIS, **parameters):
        """Creates the stack; returns the seconds."""
        began = time.monotonic()
        self.put_token()
        self.template = self._package(release)
        self.release, self.parameters = release, parameters
        self._apply("create")
        self.viewer, self.operator = self._viewer(), self._operator()
        return time.monotonic() - began

    def _table(self):
        return f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{self.outputs['LedgerTable']}"

    def _to_look(self):
        """Returns the permissions that docs/aws.md names for looking."""
        stack = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{self.name}/*"
        table = self._table()
        return {"cloudformation:DescribeStacks": stack, "dynamodb:GetItem": table, "dynamodb:Query": table}

    def _viewer(self):
        """Creates a user who may only look, and returns its key."""
        return self._user("viewer", self._to_look())

    def _operator(self):
        """Creates a user with all permissions that docs/aws.md names for the command, and returns its key."""
        queue = self.outputs["PagesQueueUrl"].rsplit("/", 1)[1]
        allowed = self._to_look() | {
            "dynamodb:PutItem": self._table(),
            "sqs:SendMessage": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}",
        }
        # An earlier version has no such function.
        if control := self.outputs.get("ControlFunction"):
            allowed["lambda:InvokeFunction"] = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{control}"
        return self._user("operator", allowed)

    def _user(self, name, allowed):
        statements = [{"Effect": "Allow", "Action": action, "Resource": arn} for action, arn in allowed.items()]
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        self.aws["iam"].create_user(UserName=name)
        self.aws["iam"].put_user_policy(UserName=name, PolicyName="command", PolicyDocument=policy)
        return self.aws["iam"].create_access_key(UserName=name)["AccessKey"]

    def update(self, release=None, **parameters):
        """Deploys again, with other parameters or another version."""
        if release:
            self.template, self.release = self._package(release), release
        self.parameters.update(parameters)
        self._apply("update")

    def _apply(self, verb):
        cloudformation = self.aws["cloudformation"]
        getattr(cloudformation, f"{verb}_stack")(
            StackName=self.name,
            TemplateBody=self.template,
            Parameters=[{"ParameterKey": k, "ParameterValue": str(v)} for k, v in self.parameters.items()],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
        try:
            waiter = cloudformation.get_waiter(f"stack_{verb}_complete")
            waiter.wait(StackName=self.name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
        except WaiterError as error:
            events = cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]
            failed = [e for e in events if e["ResourceStatus"].endswith("FAILED")]
            told = "\n".join(f"{e['LogicalResourceId']}: {e.get('ResourceStatusReason')}" for e in failed)
            raise RuntimeError(f"the stack was not deployed:\n{told}") from error
        described = cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}

    def delete(self):
        self.aws["cloudformation"].delete_stack(StackName=self.name)
        waiter = self.aws["cloudformation"].get_waiter("stack_delete_complete")
        waiter.wait(StackName=self.name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})

    def resources(self):
        listed = self.aws["cloudformation"].list_stack_resources(StackName=self.name)
        return {r["LogicalResourceId"]: r for r in listed["StackResourceSummaries"]}

    def invoke(self, function, event):
        """Invokes a function by the name of its output and returns its answer."""
        answer = self.aws["lambda"].invoke(FunctionName=self.outputs[f"{function}Function"], Payload=event)
        return answer["Payload"].read().decode(), answer.get("FunctionError")

    def command(self, *arguments, code=0):
        """Runs the project's command on this stack, which must exit with this code, and returns its output."""
        ran = self._ran(arguments, stderr=None)
        if ran.returncode != code:
            raise subprocess.CalledProcessError(ran.returncode, ran.args)
        return ran.stdout

    def refused(self, *arguments):
        """Runs a command that fails, and returns its exit code and its message."""
        ran = self._ran(arguments, stderr=subprocess.PIPE)
        return ran.returncode, ran.stderr

    def _ran(self, arguments, stderr):
        key = self.viewer if arguments[0] in LOOKS else self.operator
        environment = {
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": self.emulator.url,
        }
        arguments = [str(COMMAND), *arguments, "--stack", self.name]
        return subprocess.run(arguments, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True, timeout=120)

    def send(self, queue, body):
        return self.aws["sqs"].send_message(QueueUrl=self.outputs[f"{queue}QueueUrl"], MessageBody=body)["MessageId"]

    def receives(self, queue, most):
        """Sets the number of receives after which a queue's message becomes a dead letter."""
        attributes = {"QueueUrl": self.outputs[f"{queue}QueueUrl"]}
        found = self.aws["sqs"].get_queue_attributes(**attributes, AttributeNames=["RedrivePolicy"])
        policy = json.loads(found["Attributes"]["RedrivePolicy"]) | {"maxReceiveCount": most}
        self.aws["sqs"].set_queue_attributes(**attributes, Attributes={"RedrivePolicy": json.dumps(policy)})

    def control(self, verb, run=True):
        """Invokes control with one verb, and returns its answer."""
        answer, error = self.invoke("Control", json.dumps({verb: run}))
        if error:
            raise RuntimeError(f"{verb} failed: {answer}")
        return json.loads(answer)

    def depth(self, output):
        """Returns the number of messages in a queue, including delayed ones and those in flight."""
        names = ["", "NotVisible", "Delayed"]
        names = [f"ApproximateNumberOfMessages{name}" for name in names]
        found = self.aws["sqs"].get_queue_attributes(QueueUrl=self.outputs[output], AttributeNames=names)
        return sum(int(found["Attributes"][name]) for name in names)

    def dead_letters(self, queue, take=True):
        """Returns a dead-letter queue's messages and reasons. Deletes them if `take` is set."""
        url = self.outputs[f"{queue}DeadLettersUrl"]
        found = []
        while True:
            got = self.aws["sqs"].receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], VisibilityTimeout=1
            ).get("Messages", [])
            if not got:
                return found
            for message in got:
                reason = message.get("MessageAttributes", {}).get("reason", {}).get("StringValue")
                found.append((message["Body"], reason))
                if take:
                    self.aws["sqs"].delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            if not take:
                return found

    def logs(self, function):
        """Returns the lines that a function logged."""
        lines = []
        for group in self.aws["logs"].describe_log_groups()["logGroups"]:
            if function.lower() in group["logGroupName"].lower():
                try:
                    pages = self.aws["logs"].get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"])
                    lines += [event["message"] for page in pages for event in page["events"]]
                except ClientError:
                    continue
        return lines
