"""The table's content, read without the project's code."""

import time
from datetime import datetime, timezone

from boto3.dynamodb.types import Binary, TypeDeserializer

READ = TypeDeserializer()
# A wait that ends later than this never ends. It is no measurement: a busy machine may stall for a minute.
PATIENCE_S = 900


def size(value):
    return len(value.value) if isinstance(value, Binary) else len(str(value))


class Ledger:
    """The ledger of a stack."""

    def __init__(self, stack):
        self.table = stack.outputs["LedgerTable"]
        self.dynamodb = stack.aws["dynamodb"]

    def items(self):
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=self.table, ConsistentRead=True)
        return [{k: READ.deserialize(v) for k, v in item.items()} for page in pages for item in page["Items"]]

    def bytes(self):
        """Returns the approximate size of all items: names and values as text. Leaves out the sample
        of written users, which does not grow with a run."""
        items = [item for item in self.items() if not item["sk"].startswith("READBACK")]
        return sum(len(name) + size(value) for item in items for name, value in item.items())

    def runs(self):
        return {item["run"]: item for item in self.items() if item["sk"] == "RUN"}

    def row(self, run, name):
        found = self.dynamodb.get_item(
            TableName=self.table, Key={"pk": {"S": f"RUN#{run}"}, "sk": {"S": name}}, ConsistentRead=True
        ).get("Item")
        return found and {k: READ.deserialize(v) for k, v in found.items()}

    def jobs(self, run):
        """Returns the jobs of a run, by id."""
        rows = [i for i in self.items() if i["pk"].startswith("BUCKET#") and i["sk"].startswith("JOB#")]
        return {row["job"]: row for row in rows if row["run"] == run}

    def errors(self, run):
        prefix = f"RUN#{run}"
        return [i for i in self.items() if i["pk"] == prefix and i["sk"].startswith("ERROR#")]

    def parts(self, run):
        prefix = f"RUN#{run}"
        return [i for i in self.items() if i["pk"] == prefix and i["sk"].startswith("PART#")]


def wait_for(what, look, every=1.0):
    """Waits until `look` finds something, and returns it."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        found = look()
        if found:
            return found
        time.sleep(every)
    raise AssertionError(f"after {PATIENCE_S} s still waiting for {what}")


def bucket_of(created_at):
    """Returns the minute of a job, in the ledger's form."""
    return datetime.fromtimestamp(created_at, timezone.utc).strftime("%Y-%m-%dT%H:%MZ")
