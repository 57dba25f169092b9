#!/usr/bin/env python3
"""Peers of the outbox in figures: rsyslog with a disk queue, and Alertmanager, both with a far end that is not there.

    benches/outbox_peers.py [MEBIBYTES]      64; needs rsyslogd and prometheus-alertmanager (Debian's packages)

Messages are as large as those of `cargo bench --bench outbox`. For each peer: how many it takes in per second (rsyslog: with
`queue.syncqueuefiles`, as everything else would lose what it has taken), how long it takes after SIGKILL until it listens again
with all of that waiting, how much memory it then has (PSS after ten seconds), and how many of them it still has. Medians of three.
"""
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

SIZE = 3_681
RUNS = 3
BATCH = 100


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def pss(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))


class Peer:
    """A process that listens on a port, in a directory of its own."""

    def __init__(self, home):
        self.home, self.port, self.process = pathlib.Path(home), free_port(), None

    def start(self):
        """Seconds until it listens."""
        began = time.monotonic()
        with (self.home / "log").open("a") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log)
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return time.monotonic() - began
            except OSError:
                if self.process.poll() is not None or time.monotonic() - began > 120:
                    sys.exit(f"{self.command()[0]} does not start:\n{(self.home / 'log').read_text()[-2000:]}")
                time.sleep(0.001)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


class Rsyslog(Peer):
    def command(self):
        config = self.home / "rsyslog.conf"
        config.write_text(f"""
global(workDirectory="{self.home}" maxMessageSize="64k")
module(load="imtcp")
input(type="imtcp" address="127.0.0.1" port="{self.port}" ruleset="out")
ruleset(name="out") {{
  action(type="omfwd" target="127.0.0.1" port="9" protocol="tcp" action.resumeRetryCount="-1"
         queue.type="Disk" queue.filename="waiting" queue.syncqueuefiles="on" queue.checkpointInterval="{BATCH}"
         queue.maxDiskSpace="8g" queue.maxFileSize="64m" queue.size="10000000" queue.saveOnShutdown="on")
}}
""")
        return [shutil.which("rsyslogd") or "rsyslogd", "-n", "-f", str(config), "-i", str(self.home / "pid")]

    def on_disk(self):
        return sum(f.stat().st_size for f in self.home.glob("waiting.0*"))

    def feed(self, count):
        line = b"<134>1 2026-01-01T00:00:00Z host app - - - " + b"x" * SIZE + b"\n"
        with socket.create_connection(("127.0.0.1", self.port)) as wire:
            for _ in range(count):
                wire.sendall(line)
        while self.on_disk() < count * SIZE:
            time.sleep(0.005)

    def held(self):
        return self.on_disk() // SIZE  # a little more is stored of each than it is long


class Alertmanager(Peer):
    def command(self):
        config = self.home / "alertmanager.yml"
        config.write_text("""
route: {receiver: away, group_by: [alertname], group_wait: 1s}
receivers: [{name: away, webhook_configs: [{url: "http://127.0.0.1:9/"}]}]
""")
        name = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager") or "alertmanager"
        return [name, f"--config.file={config}", f"--storage.path={self.home}/data", "--cluster.listen-address=",
                f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=error"]

    def feed(self, count):
        alert = {"annotations": {"text": "x" * (SIZE - 200)}, "endsAt": "2099-01-01T00:00:00Z"}
        for first in range(0, count, BATCH):
            some = [{**alert, "labels": {"alertname": "bench", "n": str(first + n)}} for n in range(BATCH)]
            self.ask("/api/v2/alerts", json.dumps(some).encode())

    def held(self):
        return len(json.loads(self.ask("/api/v2/alerts?silenced=false")))

    def ask(self, path, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()


def main():
    mebibytes = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    count = mebibytes * 1024 * 1024 // SIZE // BATCH * BATCH
    print(f"{count} messages of {SIZE} bytes, {mebibytes} MiB; medians of {RUNS} (least–most)")
    for kind in (Rsyslog, Alertmanager):
        rows = []
        for _ in range(RUNS):
            with tempfile.TemporaryDirectory(dir=os.getcwd()) as home:
                peer = kind(home)
                try:
                    peer.start()
                    began = time.monotonic()
                    peer.feed(count)
                    rate = count / (time.monotonic() - began)
                    peer.kill()
                    start = peer.start() * 1000
                    time.sleep(10)
                    rows.append((rate, start, pss(peer.process.pid), min(count, peer.held())))
                finally:
                    peer.kill()
        print(kind.__name__.lower())
        names = ("taken in, messages/s", "start to listen, ms", "PSS after 10 s, KiB", "held after SIGKILL")
        for name, values in zip(names, zip(*rows)):
            print(f"  {name:<22}{statistics.median(values):>12.0f} ({min(values):.0f}–{max(values):.0f})")


main()
