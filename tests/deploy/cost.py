"""What was called, as money: list prices of us-east-1 in late 2026, without free tiers, the functions on arm64."""

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


def gb_seconds(calls, memory):
    return sum(calls[f"seconds.{function}"] * gb for function, gb in memory.items())


def of_run(calls, users, memory):
    """Dollars of a million users, by service, from the calls of a run of so many users. Ticks are idle cost, not a run's."""
    invocations = calls["invocations.scroll"] + calls["invocations.submit"] + calls["invocations.check"]
    each = {
        "Lambda": invocations * LAMBDA_REQUEST + gb_seconds(calls, memory) * LAMBDA_GB_S,
        "SQS": calls["units.sqs"] * SQS_REQUEST,
        "DynamoDB": calls["units.write"] * DYNAMODB_WRITE + calls["units.read"] * DYNAMODB_READ,
        "logs": invocations * LOG_BYTES / 1e9 * LOGS_GB,
        # At most: X-Ray takes one invocation a second, and a twentieth of the rest.
        "traces": invocations * TRACE,
    }
    return {service: dollars * 1e6 / users for service, dollars in each.items()}


def kept(table_bytes, users):
    """Gigabytes that the ledger keeps of a million users, and the dollars of a month for them."""
    gigabytes = table_bytes / users * 1e6 / 1e9
    return gigabytes, gigabytes * (TABLE_GB + BACKUP_GB)


def idle(tick, memory, alarms):
    """Dollars of a month without a run, by item. `tick` is what a minute of ticks calls; it writes no metric."""
    minute = tick["invocations.scroll"] + tick["invocations.check"]
    return {
        "ticks: Lambda": MINUTES_A_MONTH * (minute * LAMBDA_REQUEST + gb_seconds(tick, memory) * LAMBDA_GB_S),
        "ticks: DynamoDB": MINUTES_A_MONTH * (tick["units.read"] * DYNAMODB_READ + tick["units.write"] * DYNAMODB_WRITE),
        "ticks: Scheduler": MINUTES_A_MONTH * 2 * SCHEDULER_CALL,
        "ticks: logs": MINUTES_A_MONTH * minute * LOG_BYTES / 1e9 * LOGS_GB,
        "ticks: traces": MINUTES_A_MONTH * minute * TRACE,
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
