#!/usr/bin/env python3
"""A peer of the rule engine in figures: Prometheus judging as many rules on as many series.

    benches/rules_peer.py [EVALUATIONS]      12; needs prometheus (Debian's package)

The rules are those of the group `rules` of `cargo bench --bench engine -- rules`, which is run first: 1 000 and 10 000 rules,
each about one of 1 000 series that has a sample every ten seconds; half of the runs are thresholds, half are means over ten
minutes. All rules of Prometheus are one group, judged every ten seconds; what is told is its own
`prometheus_rule_group_last_duration_seconds` and its CPU time per evaluation beyond what it takes without any rule (median,
least to most), once the windows are as full as the waiting made them (two minutes, so its means read 12 samples and not 60).
"""
import http.server
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

SERIES = 1000
INTERVAL = 10
WARM_UP = 120
CONDITIONS = {"threshold": "{series} > {limit}", "avg, 10 minutes": "avg_over_time({series}[10m]) > {limit}"}


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Exporter(http.server.BaseHTTPRequestHandler):
    """Values that change at every scrape and stay below the limits, as in benches/engine.rs."""

    scrapes = 0

    def do_GET(self):
        Exporter.scrapes += 1
        value = lambda i: (Exporter.scrapes + i) % 80 / 100
        text = "".join(f'fs_used{{mount="/data/{i:04}"}} {value(i)}\n' for i in range(SERIES)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def rule(n, condition):
    series, limit = f'fs_used{{mount="/data/{n % SERIES:04}"}}', (85 + n % 15) / 100
    return f"  - alert: rule-{n:05}\n    expr: {condition.format(series=series, limit=limit)}\n    for: 1m\n"


class Prometheus:
    def __init__(self, home, exporter, rules, condition):
        self.port = free_port()
        (home / "rules.yml").write_text(
            f"groups:\n- name: bench\n  interval: {INTERVAL}s\n  rules:\n" + "".join(rule(n, condition) for n in range(rules))
            if rules else "groups: []\n")
        (home / "prometheus.yml").write_text(
            f"global: {{scrape_interval: {INTERVAL}s}}\nrule_files: [rules.yml]\n"
            f"scrape_configs: [{{job_name: bench, static_configs: [{{targets: ['127.0.0.1:{exporter}']}}]}}]\n")
        with (home / "log").open("w") as log:
            self.process = subprocess.Popen(
                [shutil.which("prometheus"), f"--config.file={home}/prometheus.yml", f"--storage.tsdb.path={home}/data",
                 f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=error"], stdout=log, stderr=log)

    def cpu(self):
        """Seconds of CPU so far (proc(5): utime and stime are the 14th and 15th field)."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def last_duration(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        found = re.search(r"^prometheus_rule_group_last_duration_seconds\{.*\} (\S+)$", text, re.M)
        return float(found.group(1)) if found else None

    def end(self):
        self.process.terminate()
        self.process.wait()


def measure(exporter, rules, condition, evaluations):
    """Durations of the group and CPU per interval, in milliseconds."""
    with tempfile.TemporaryDirectory() as home:
        peer = Prometheus(pathlib.Path(home), exporter, rules, condition)
        try:
            time.sleep(WARM_UP)
            durations, costs = [], []
            for _ in range(evaluations):
                before = peer.cpu()
                time.sleep(INTERVAL)
                costs.append((peer.cpu() - before) * 1000)
                duration = peer.last_duration()
                if duration is not None:
                    durations.append(duration * 1000)
            return durations, costs
        finally:
            peer.end()


def main():
    evaluations = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    if not shutil.which("prometheus"):
        sys.exit("needs prometheus (on Debian: apt-get install --no-install-recommends prometheus)")
    root = pathlib.Path(__file__).resolve().parent.parent
    subprocess.run(["cargo", "bench", "--bench", "engine", "--", "^rules"], cwd=root, check=True)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Exporter)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    exporter = server.server_address[1]
    _, idle = measure(exporter, 0, "", evaluations)
    idle = statistics.median(idle)
    print(f"prometheus, no rules: {idle:.0f} ms of CPU per {INTERVAL} s")
    for name, condition in CONDITIONS.items():
        for rules in (1_000, 10_000):
            durations, costs = measure(exporter, rules, condition, evaluations)
            print(f"prometheus, {name}, {rules} rules: {statistics.median(durations):.0f} ms ({min(durations):.0f}–{max(durations):.0f}), "
                  f"CPU {statistics.median(costs) - idle:.0f} ms an evaluation")


main()
