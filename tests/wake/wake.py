#!/usr/bin/env python3
"""Measures the functions' size and start time against a hello-world function of the same build.

Uses the zips that tests/deploy builds with cargo-lambda, as `sam build` does. Starts each binary
many times, in turns, with a Runtime API of its own. Takes the median of: the time from the
process's start to its first poll, the CPU time until then (nearly independent of a machine's
load), and the memory at that moment. `init` is without warming. `awake` is with it: TLS handshakes
with everything that an invocation calls, here a local server, with the machine's root certificates
in addition to its own. It needs only Python's library, and `openssl` for `awake`.

  tests/deploy/run --zips         # builds them; each tests/deploy/run does
  tests/wake/wake.py [--runs 41] [--json] [--check] [--folder target/deploy/zips-x86_64]

--check fails if a bound is broken. A slow or busy machine breaks none: hello world is equally slow.
"""

import argparse
import json
import os
import platform
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = ["scroll", "submit", "check", "control"]
HELLO = "hello"

# Bounds for any machine. scroll is the largest: it has the plan language and three families of the API.
ZIP_BYTES_MAX = 4_000_000
RSS_BYTES_MAX = 12_000_000
# The fastest start, without waits. The bound is relative if hello world is slower than in
# OPERATIONS.md.
INIT_MS_MAX = 6.0
HELLO_MS = 1.2
# Maximum ratios to hello world, which a machine's speed does not change.
TIMES_HELLO_MAX = {"zip_bytes": 9.0, "init_cpu_ms": 3.0, "rss_bytes": 3.2}

POLL = b"GET /2018-06-01/runtime/invocation/next "
PATIENCE_S = 20
BUNDLES = ["/etc/pki/tls/cert.pem", "/etc/ssl/certs/ca-certificates.crt"]


def unpack(package, folder):
    """Returns the binary of a deployment package."""
    with zipfile.ZipFile(package) as zipped:
        binary = Path(zipped.extract("bootstrap", folder))
    binary.chmod(0o755)
    return binary


class RuntimeApi:
    """Lambda's side: accepts the first poll and does not answer it."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]

    def first_poll(self):
        """Waits for a connection that polls, and returns it, so that it stays open."""
        self.socket.settimeout(PATIENCE_S)
        connection, _ = self.socket.accept()
        connection.settimeout(PATIENCE_S)
        heard = b""
        while len(heard) < len(POLL):
            piece = connection.recv(4096)
            if not piece:
                raise RuntimeError("the function closed its connection before it polled")
            heard += piece
        if not heard.startswith(POLL):
            raise RuntimeError("not a poll: %r" % heard[:80])
        return connection


class Cloud:
    """All services that a function calls, behind TLS, each on its own port: empty 404 answers."""

    PARTS = ["dynamodb", "sqs", "intercom"]
    # Control never calls Intercom.
    PARTS_OF_CONTROL = ["dynamodb", "sqs"]

    def __init__(self, folder):
        key, certificate = folder / "key.pem", folder / "certificate.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
            + ["-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost"]
            + ["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"],
            check=True,
            capture_output=True,
        )
        self.bundle = folder / "bundle.pem"
        usual = next((Path(path).read_text() for path in BUNDLES if Path(path).is_file()), "")
        self.bundle.write_text(usual + certificate.read_text())
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.asked = []
        self.addresses = {part: self.serve(part) for part in self.PARTS}

    def serve(self, part):
        server = socket.create_server(("127.0.0.1", 0), backlog=64)
        threading.Thread(target=self.accept, args=(server, part), daemon=True).start()
        return "https://localhost:%d" % server.getsockname()[1]

    def accept(self, server, part):
        while True:
            connection, _ = server.accept()
            threading.Thread(target=self.answer, args=(connection, part), daemon=True).start()

    def answer(self, connection, part):
        try:
            with self.context.wrap_socket(connection, server_side=True) as stream:
                while stream.recv(16384):
                    self.asked.append(part)
                    stream.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
        except OSError:
            pass


def environment(api, warm):
    """Returns a function's environment, as the template and Lambda create it."""
    queues = ["PAGES_QUEUE_URL", "PAGES_DEAD_LETTERS_URL", "PATCHES_QUEUE_URL", "PATCHES_DEAD_LETTERS_URL"]
    variables = {name: "http://127.0.0.1:9/000000000000/" + name.lower() for name in queues}
    variables |= {
        "AWS_LAMBDA_RUNTIME_API": api.address,
        "AWS_LAMBDA_FUNCTION_NAME": "wake",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_LAMBDA_LOG_GROUP_NAME": "wake",
        "AWS_LAMBDA_LOG_STREAM_NAME": "wake",
        "AWS_LAMBDA_LOG_FORMAT": "JSON",
        "AWS_LAMBDA_LOG_LEVEL": "INFO",
        "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "wake",
        "AWS_SECRET_ACCESS_KEY": "wake",
        "INTERCOM_TOKEN": "wake",
        "LEDGER_TABLE": "wake",
        "STACK_NAME": "wake",
        "WARM_CONNECTIONS": "off",
    }
    if warm:
        variables |= {
            "WARM_CONNECTIONS": "on",
            "SSL_CERT_FILE": str(warm.bundle),
            "AWS_ENDPOINT_URL_DYNAMODB": warm.addresses["dynamodb"],
            "AWS_ENDPOINT_URL_SQS": warm.addresses["sqs"],
            "INTERCOM_BASE_URL": warm.addresses["intercom"],
        }
    return variables


def memory_bytes(pid):
    """Returns the process's resident memory."""
    for line in Path("/proc/%d/status" % pid).read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmRSS")


def processor_ms(pid):
    """Returns the CPU time of the process's threads, by the scheduler's count."""
    tasks = Path("/proc/%d/task" % pid).iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6


def once(binary, api, variables):
    """Starts a function, and returns the milliseconds, CPU time and memory at its first poll."""
    began = time.perf_counter()
    process = subprocess.Popen([binary], env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        connection = api.first_poll()
        took_ms = (time.perf_counter() - began) * 1000
        cpu_ms, memory = processor_ms(process.pid), memory_bytes(process.pid)
        connection.close()
    finally:
        process.kill()
        process.wait()
    return took_ms, cpu_ms, memory


def measure(packages, runs):
    """Returns all figures of all functions, measured in turns, so that load affects all alike."""
    api = RuntimeApi()
    init = {name: [] for name in packages}
    awake = {name: [] for name in FUNCTIONS}
    with tempfile.TemporaryDirectory() as folder:
        binaries = {name: unpack(package, Path(folder) / name) for name, package in packages.items()}
        binary_bytes = {name: binary.stat().st_size for name, binary in binaries.items()}
        cloud = Cloud(Path(folder))
        for _ in range(runs):
            for name, binary in binaries.items():
                init[name].append(once(binary, api, environment(api, None)))
            for name in FUNCTIONS:
                cloud.asked.clear()
                awake[name].append(once(binaries[name], api, environment(api, cloud)))
                # Wait for all, so that none arrives later.
                if sorted(cloud.asked) != sorted(Cloud.PARTS_OF_CONTROL if name == "control" else Cloud.PARTS):
                    raise RuntimeError("%s warmed only %s" % (name, cloud.asked))
    table = []
    for name, package in packages.items():
        times = [took for took, _, _ in init[name]]
        row = {
            "function": name,
            "binary_bytes": binary_bytes[name],
            "zip_bytes": package.stat().st_size,
            "init_ms": statistics.median(times),
            "init_ms_min": min(times),
            "init_cpu_ms": statistics.median(cpu for _, cpu, _ in init[name]),
            "rss_bytes": statistics.median(memory for _, _, memory in init[name]),
        }
        if name in awake:
            row["awake_ms"] = statistics.median(took for took, _, _ in awake[name])
            row["awake_cpu_ms"] = statistics.median(cpu for _, cpu, _ in awake[name])
            row["awake_rss_bytes"] = statistics.median(memory for _, _, memory in awake[name])
        table.append(row)
    hello = next(row for row in table if row["function"] == HELLO)
    for row in table:
        for figure in ["zip_bytes", "init_ms", "init_cpu_ms", "rss_bytes"]:
            row["times_hello_" + figure] = row[figure] / hello[figure]
    return table


def show(table):
    print("(x): times hello         zip MB        init ms    min ms        cpu ms        RSS MB    awake ms   cpu ms   RSS MB")
    for row in table:
        warmed = ""
        if "awake_ms" in row:
            warmed = "%12.1f %8.1f %8.1f" % (row["awake_ms"], row["awake_cpu_ms"], row["awake_rss_bytes"] / 1e6)
        figures = [
            (row["zip_bytes"] / 1e6, row["times_hello_zip_bytes"]),
            (row["init_ms"], row["times_hello_init_ms"]),
            (row["init_cpu_ms"], row["times_hello_init_cpu_ms"]),
            (row["rss_bytes"] / 1e6, row["times_hello_rss_bytes"]),
        ]
        size, init, cpu, memory = ["%7.2f (%3.1f)" % figure for figure in figures]
        print("%-16s %s  %s %9.2f %s %s%s" % (row["function"], size, init, row["init_ms_min"], cpu, memory, warmed))


def broken(table):
    """Returns the broken bounds."""
    hello = next(row for row in table if row["function"] == HELLO)
    init_ms_max = INIT_MS_MAX * max(1.0, hello["init_ms_min"] / HELLO_MS)
    for row in table:
        if row["function"] == HELLO:
            continue
        if row["zip_bytes"] > ZIP_BYTES_MAX:
            yield "%s: the package has %d bytes, more than %d" % (row["function"], row["zip_bytes"], ZIP_BYTES_MAX)
        if row["rss_bytes"] > RSS_BYTES_MAX:
            yield "%s: holds %d bytes, more than %d" % (row["function"], row["rss_bytes"], RSS_BYTES_MAX)
        if row["init_ms_min"] > init_ms_max:
            yield "%s: wakes in %.1f ms at best, more than %.1f" % (row["function"], row["init_ms_min"], init_ms_max)
        for figure, most in TIMES_HELLO_MAX.items():
            if row["times_hello_" + figure] > most:
                times = (row["function"], figure, row["times_hello_" + figure], most)
                yield "%s: %s is %.1f times hello's, more than %.1f" % times


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--runs", type=int, default=41)
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--check", action="store_true")
    arguments.add_argument("--folder", type=Path, default=ROOT / ("target/deploy/zips-" + platform.machine()))
    arguments = arguments.parse_args()
    packages = {name: arguments.folder / name / "bootstrap.zip" for name in [HELLO, *FUNCTIONS]}
    missing = [str(package) for package in packages.values() if not package.is_file()]
    if missing:
        sys.exit("not built: %s; see --help" % ", ".join(missing))
    table = measure(packages, arguments.runs)
    if arguments.json:
        print(json.dumps(table))
    else:
        show(table)
    offences = list(broken(table))
    for offence in offences:
        print(offence, file=sys.stderr)
    if arguments.check and offences:
        sys.exit(1)


if __name__ == "__main__":
    main()
