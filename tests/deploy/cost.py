"""The cost of the calls: us-east-1 list prices of late 2026, no free tiers, functions on arm64.

The calls are counted locally, where Intercom answers at once and a function has a whole CPU.
The duration on AWS is computed from them and from the assumptions below.
"""

from collections import Counter

from intercom import LATENCY_MS

LAMBDA_GB_S = 0.0000133334
LAMBDA_REQUEST = 0.20 / 1e6
SQS_REQUEST = 0.40 / 1e6
DYNAMODB_WRITE = 0.625 / 1e6
DYNAMODB_READ = 0.125 / 1e6
SCHEDULER_CALL = 1.00 / 1e6
LOGS_GB = 0.50
ALARM = 0.10
DASHBOARD = 3.00
METRIC = 0.30
TRACE = 5.00 / 1e6
TABLE_GB = 0.25
BACKUP_GB = 0.20

MINUTES_A_MONTH = 60 * 730
# Event source mappings poll continuously: five pollers (MaximumConcurrency prevents a reduction to
# two), one request per 20 s.
POLLS_A_MONTH = 5 * 3 * MINUTES_A_MONTH
# Bytes of log per invocation, including its START, END and REPORT lines.
LOG_BYTES = 1200

# The time of a page, a submission or a poll at Intercom. No figure is published; reports say 0.2 to
# 2 s.
INTERCOM_S = 0.6
# The memory that comes with a whole CPU; less memory has that share of one.
PROCESSOR_GB = 1769 / 1024
# Intercom's operations per 10 s: today's default, and in its article of 2016. A user in a job is
# one.
LIMIT_NOW, LIMIT_2016 = 1667, 83
# The stack's share of the limit (QuotaPercent), and submit's concurrency: both wait for the limit.
QUOTA, PLACES = 0.8, 2
# What a run costs once, whatever its size: its start, its end, and written users that are read back. From runs of 2,000
# and of 10,000 users.
ONCE = {"units.write": 150, "units.read": 75}
# X-Ray traces the first invocation of each second, and one in twenty of the others. AWS fixes the
# rule.
TRACED_A_SECOND, TRACED_SHARE = 1, 0.05


def memory_gb(template):
    """Returns the functions' memory in the template: the global value, or the function's own."""
    memory, function = {}, None
    for line in template.splitlines():
        word = line.strip()
        if word.startswith("CodeUri: functions/"):
            function = word.rsplit("/", 1)[1]
        elif word.startswith("MemorySize:"):
            gb = int(word.split(":")[1].split()[0]) / 1024
            memory = memory | {function: gb} if memory else dict.fromkeys(("scroll", "submit", "check"), gb)
    return memory


def traced(invocations, seconds):
    """Returns the invocations of one function that X-Ray traces, spread over this many seconds."""
    at_once = min(invocations, TRACED_A_SECOND * seconds)
    return at_once + (invocations - at_once) * TRACED_SHARE


class Run:
    """A counted run, scaled to a million users."""

    def __init__(self, calls, users, cpu, memory):
        once = Counter({name: number for name, number in ONCE.items() if calls.get(name, 0) > number})
        self.calls = {name: (number - once[name]) * 1e6 / users + once[name] for name, number in calls.items()}
        self.cpu = {function: seconds * 1e6 / users for function, seconds in cpu.items()}
        self.memory = memory

    def _of(self, name):
        return self.calls.get(name, 0)

    def lasts_s(self, limit):
        """Returns the duration: pages are sequential; submissions, reads of pages and polls share
        the limit."""
        operations = self._of("metric.JobItems") + self._of("metric.Pages") + self._of("metric.JobsCompleted")
        return max(self._of("metric.Pages") * INTERCOM_S, operations / (limit * QUOTA) * 10)

    def seconds(self, limit):
        """Returns the billed time of each function: as measured, plus slower answers, CPU share and
        waits."""
        requests = {"scroll": "metric.Pages", "submit": "metric.Jobs", "check": "metric.JobsCompleted"}
        seconds = {}
        for function, gb in self.memory.items():
            slower = self._of(requests[function]) * (INTERCOM_S - LATENCY_MS / 1000)
            throttled = self.cpu[function] * (PROCESSOR_GB / gb - 1)
            seconds[function] = self._of(f"seconds.{function}") + slower + throttled
        # While patches wait during a run, both instances of submit work or wait for the window.
        seconds["submit"] = max(seconds["submit"], PLACES * self._of("metric.JobItems") / (limit * QUOTA) * 10)
        return seconds

    def dollars(self, limit):
        """Returns dollars by service. Ticks are idle cost, except for those of the counted run."""
        functions = list(self.memory)
        invocations = sum(self._of(f"invocations.{function}") for function in functions)
        gb_seconds = sum(seconds * self.memory[function] for function, seconds in self.seconds(limit).items())
        lasts_s = self.lasts_s(limit)
        return {
            "Lambda": invocations * LAMBDA_REQUEST + gb_seconds * LAMBDA_GB_S,
            "SQS": self._of("units.sqs") * SQS_REQUEST,
            "DynamoDB": self._of("units.write") * DYNAMODB_WRITE + self._of("units.read") * DYNAMODB_READ,
            "logs": invocations * LOG_BYTES / 1e9 * LOGS_GB,
            "traces": sum(traced(self._of(f"invocations.{function}"), lasts_s) for function in functions) * TRACE,
        }

    def assumptions(self, limit):
        hours = self.lasts_s(limit) / 3600
        return f"{INTERCOM_S} s an answer, {limit} operations in 10 s of which {QUOTA:.0%} are used, {hours:.1f} hours"


def kept(table_bytes, users):
    """Returns the ledger's gigabytes for a million users, and their price per month."""
    gigabytes = table_bytes / users * 1e6 / 1e9
    return gigabytes, gigabytes * (TABLE_GB + BACKUP_GB)


def idle(tick, memory, alarms):
    """Returns the monthly dollars without a run, by item. `tick` has the calls of a minute of
    ticks."""
    minute = tick["invocations.scroll"] + tick["invocations.check"]
    gb_seconds = sum(tick[f"seconds.{function}"] * gb for function, gb in memory.items())
    return {
        "ticks: Lambda": MINUTES_A_MONTH * (minute * LAMBDA_REQUEST + gb_seconds * LAMBDA_GB_S),
        "ticks: DynamoDB": MINUTES_A_MONTH * (tick["units.read"] * DYNAMODB_READ + tick["units.write"] * DYNAMODB_WRITE),
        "ticks: Scheduler": MINUTES_A_MONTH * 2 * SCHEDULER_CALL,
        "ticks: logs": MINUTES_A_MONTH * minute * LOG_BYTES / 1e9 * LOGS_GB,
        # One in half a minute is always the first of its second.
        "ticks: traces": MINUTES_A_MONTH * traced(minute, 60) * TRACE,
        "polling of two queues": 2 * POLLS_A_MONTH * SQS_REQUEST,
        f"{alarms} alarms": alarms * ALARM,
        "the dashboard": DASHBOARD,
    }


def metrics_of_an_hour(metrics):
    """Custom metrics are charged for the hours in which they are written."""
    return metrics * METRIC * 60 / MINUTES_A_MONTH


def table(title, items):
    lines = [title]
    lines += [f"  {name:<28} ${dollars:8.4f}" for name, dollars in items.items()]
    lines.append(f"  {'in all':<28} ${sum(items.values()):8.4f}")
    return "\n".join(lines)
