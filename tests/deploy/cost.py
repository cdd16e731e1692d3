"""What was called, as money: list prices of us-east-1 in late 2026, without free tiers, the functions on arm64.

The calls are counted on this machine, where Intercom answers at once and a function has a whole processor. What a run on AWS
would last is computed from them and from the assumptions below.
"""

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
# Event source mappings poll without pause: five pollers (MaximumConcurrency keeps AWS from going down to two), a request
# each 20 s.
POLLS_A_MONTH = 5 * 3 * MINUTES_A_MONTH
# Bytes of a line of the log per invocation, its START, END and REPORT lines included.
LOG_BYTES = 1200

# A page, a submission or a look at Intercom takes so long. No figure is published; design and reports say 0.2 to 2 s.
INTERCOM_S = 0.6
# The memory that comes with a whole processor; less memory has that share of one.
PROCESSOR_GB = 1769 / 1024
# Operations that Intercom allows in 10 s: by today's default, and as its article of 2016 said. A user in a bulk job is one.
LIMIT_NOW, LIMIT_2016 = 1667, 83
# What a stack uses of it (QuotaPercent), and submit's places, which wait for the limit at once.
QUOTA, PLACES = 0.8, 2
# X-Ray takes the first invocation of each second, and one in twenty of the others; the rule is AWS's and not to be changed.
TRACED_A_SECOND, TRACED_SHARE = 1, 0.05


def memory_gb(template):
    """What the template gives the functions: its first figure to all, and another to a function that says so."""
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
    """Invocations that X-Ray takes of one function, when they are spread over so many seconds."""
    at_once = min(invocations, TRACED_A_SECOND * seconds)
    return at_once + (invocations - at_once) * TRACED_SHARE


class Run:
    """A run that was counted, scaled to a million users."""

    def __init__(self, calls, users, cpu, memory):
        self.calls = {name: number * 1e6 / users for name, number in calls.items()}
        self.cpu = {function: seconds * 1e6 / users for function, seconds in cpu.items()}
        self.memory = memory

    def _of(self, name):
        return self.calls.get(name, 0)

    def lasts_s(self, limit):
        """Pages come one after the other; submissions, and reads of pages and jobs, within the limit."""
        operations = self._of("metric.JobItems") + self._of("metric.Pages") + self._of("metric.JobsCompleted")
        return max(self._of("metric.Pages") * INTERCOM_S, operations / (limit * QUOTA) * 10)

    def seconds(self, limit):
        """What each function is billed for: as here, with slower answers, with its share of a processor, and waiting."""
        requests = {"scroll": "metric.Pages", "submit": "metric.Jobs", "check": "metric.JobsCompleted"}
        seconds = {}
        for function, gb in self.memory.items():
            slower = self._of(requests[function]) * (INTERCOM_S - LATENCY_MS / 1000)
            throttled = self.cpu[function] * (PROCESSOR_GB / gb - 1)
            seconds[function] = self._of(f"seconds.{function}") + slower + throttled
        # While a run lasts and patches wait, both of submit's places work or wait for the window.
        seconds["submit"] = max(seconds["submit"], PLACES * self._of("metric.JobItems") / (limit * QUOTA) * 10)
        return seconds

    def dollars(self, limit):
        """Dollars by service. Ticks are idle cost and not a run's, but for those of the counted run."""
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
    """Gigabytes that the ledger keeps of a million users, and the dollars of a month for them."""
    gigabytes = table_bytes / users * 1e6 / 1e9
    return gigabytes, gigabytes * (TABLE_GB + BACKUP_GB)


def idle(tick, memory, alarms):
    """Dollars of a month without a run, by item. `tick` is what a minute of ticks calls; it writes no metric."""
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
