#!/usr/bin/env python3
"""What the daemon costs, beside a naive floor and, where they are installed, other agents.

    cargo build --profile dist
    benches/agent.py cost                          # CPU, wake-ups, memory, threads at 10 s and 1 s
    benches/agent.py cost --memory-after 600       # the memory figures after ten minutes
    benches/agent.py latency --runs 60             # from the death of a watched process to its incident

All agents run at the same time, each in a directory of its own that goes away afterwards; nothing is installed, and
only what was started here is ended. Python 3.11 and a C compiler suffice. monit and prometheus-node-exporter are
measured when they are on the PATH; node_exporter is scraped once per interval, and the scraper is not charged to it.

CPU is the scheduler's account in nanoseconds (/proc/PID/task/*/schedstat), wake-ups are voluntary context switches,
memory is /proc/PID/smaps_rollup. On a machine that does other work, compare the columns `x` (CPU over the CPU of the
floor in the same run) rather than the seconds, and repeat (`--runs`): printed are the medians.
"""
import argparse
import contextlib
import json
import pathlib
import re
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
MONITRC = """set daemon {interval}
set log {dir}/monit.log
set pidfile {dir}/pid
set idfile {dir}/id
set statefile {dir}/state
check system host
  if loadavg (1min) > 50 then alert
  if cpu usage > 99% for 10 cycles then alert
  if memory usage > 99% then alert
  if swap usage > 99% then alert
check filesystem root path /
  if space usage > 99% then alert
check network lo interface lo
  if download > 100 GB/s then alert
check process watched matching "^{root}/sxwatched"
  if does not exist then alert
check host local address 127.0.0.1
  if failed port {port} type tcp then alert
"""
EXPORTER = ["cpu", "loadavg", "meminfo", "vmstat", "filesystem", "netdev", "diskstats", "stat"]


class Agent:
    """A process that is measured."""

    def __init__(self, name, command, directory, scrape=None):
        self.name, self.scrape = name, scrape
        self.log = open(directory / "log", "wb")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        self.proc = pathlib.Path(f"/proc/{self.process.pid}")

    def spent(self):
        """CPU seconds and voluntary context switches so far, of all threads."""
        seconds = switches = 0
        for task in (self.proc / "task").iterdir():
            try:
                seconds += int((task / "schedstat").read_text().split()[0]) / 1e9
                switches += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", (task / "status").read_text(), re.M)[1])
            except FileNotFoundError:
                pass  # a thread that has ended meanwhile takes its small account with it
        return seconds, switches

    def memory(self):
        """PSS and RSS in MiB, and threads."""
        rollup = (self.proc / "smaps_rollup").read_text()
        kib = [int(re.search(rf"^{word}:\s+(\d+)", rollup, re.M)[1]) for word in ("Pss", "Rss")]
        return kib[0] / 1024, kib[1] / 1024, len(list((self.proc / "task").iterdir()))

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def sexton(binary, directory, interval, more=""):
    """The daemon with the built-in rules and collectors; `more` is added to its configuration."""
    config = directory / "etc"
    config.mkdir(parents=True)
    (config / "sexton.toml").write_text(
        f'schema = 1\n[host]\nname = "bench"\n[collect]\ninterval = "{interval}s"\n{more}\n'
        f'[store]\ndir = "{directory / "state"}"\n'
    )
    return [binary, "run", "--config", config, "--socket", directory / "control.sock"]


def watched(directory):
    """A process of its own name that sleeps."""
    program = directory / "sxwatched"
    shutil.copy("/bin/sleep", program)
    return program


def mounts():
    """What the collector of file systems would look at, near enough."""
    skip = {"proc", "sysfs", "devtmpfs", "devpts", "cgroup", "cgroup2", "overlay", "squashfs", "mqueue", "autofs"}
    rows = [line.split() for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
    return [r[1] for r in rows if r[2] not in skip and not r[1].startswith(("/dev", "/proc", "/run", "/sys"))]


def start(args, root, interval):
    """Every agent there is, in the order of the table."""
    agents = []

    def add(name, make, scrape=None):
        directory = root / name.replace(" ", "-")
        directory.mkdir()
        agents.append(Agent(name, [str(word) for word in make(directory)], directory, scrape))

    port, exporter = free_port(), free_port()
    check = f'proc = {{ watch = ["sxwatched"] }}\n[[check]]\nid = "port"\nkind = "tcp"\naddress = "127.0.0.1:{port}"\n'
    check += f'interval = "{interval}s"\n'
    add("floor", lambda _: [root / "floor.bin", interval, *mounts()])
    for number, binary in enumerate(args.sexton):
        suffix = f" {number + 1}" if len(args.sexton) > 1 else ""
        add(f"sexton{suffix}", lambda d: sexton(binary, d, interval))
        if args.watch:
            add(f"sexton{suffix} + process + port", lambda d: sexton(binary, d, interval, check))
    if args.peers and shutil.which("monit"):
        def monit(d):
            (d / "monitrc").write_text(MONITRC.format(interval=interval, dir=d, root=root, port=port))
            (d / "monitrc").chmod(0o600)
            return ["monit", "-I", "-c", d / "monitrc"]

        add("monit", monit)
    if args.peers and shutil.which("prometheus-node-exporter"):
        listen = f"127.0.0.1:{exporter}"
        flags = [f"--web.listen-address={listen}", "--collector.disable-defaults"]
        flags += [f"--collector.{c}" for c in EXPORTER]
        add("node_exporter", lambda _: ["prometheus-node-exporter", *flags], f"http://{listen}/metrics")
    return agents, port


def accept(listener):
    """Takes connections and drops them, until the listener is closed."""
    try:
        while True:
            listener.accept()[0].close()
    except OSError:
        pass


def pause(agents, interval, seconds):
    """Waits, and scrapes who wants to be scraped."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(interval, left))
        for agent in agents:
            if agent.process.poll() is not None:
                sys.exit(f"{agent.name} ended with {agent.process.returncode}: see its log")
            if agent.scrape:
                urllib.request.urlopen(agent.scrape, timeout=5).read()


def measure(args, root, interval):
    """One run at one interval: for each agent CPU s/min, wake-ups/min, PSS, RSS, threads."""
    listener = socket.socket()
    agents, port = start(args, root, interval)
    sleeper = subprocess.Popen([watched(root), "1000000"])
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(64)
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        began = time.monotonic()
        pause(agents, interval, args.warm_up)
        before, at = [a.spent() for a in agents], time.monotonic()
        pause(agents, interval, args.seconds)
        after, minutes = [a.spent() for a in agents], (time.monotonic() - at) / 60
        pause(agents, interval, args.memory_after - (time.monotonic() - began))
        rows = {}
        for agent, b, a in zip(agents, before, after):
            rows[agent.name] = ((a[0] - b[0]) / minutes, (a[1] - b[1]) / minutes, *agent.memory())
        return rows
    finally:
        listener.close()
        sleeper.kill()
        sleeper.wait()
        for agent in agents:
            agent.end()


def cost(args):
    load = pathlib.Path("/proc/loadavg").read_text().split()[0]
    print(f"{args.runs} runs of {args.seconds} s after {args.warm_up} s; load {load}; medians (least to most of x)")
    for binary in args.sexton:
        print(f"{binary}: {pathlib.Path(binary).stat().st_size / 2**20:.2f} MiB")
    for interval in args.interval:
        runs = []
        for _ in range(args.runs):
            with tempfile.TemporaryDirectory(prefix="sexton-bench-") as tmp:
                root = pathlib.Path(tmp)
                build = ["cc", "-O2", "-static", "-o", root / "floor.bin", HERE / "floor.c"]
                subprocess.run(build, check=True)
                runs.append(measure(args, root, interval))
        print(f"\ninterval {interval:g} s\n{'':32}{'CPU s/min':>10}{'ms/cycle':>10}{'x':>7}{'x least..most':>16}"
              f"{'wakes/min':>11}{'PSS MiB':>9}{'RSS MiB':>9}{'threads':>9}")
        for name in runs[0]:
            cpu, wakes, pss, rss, threads = (statistics.median(r[name][i] for r in runs) for i in range(5))
            x = sorted(r[name][0] / r["floor"][0] for r in runs)
            span = f"{x[0]:.2f}..{x[-1]:.2f}"
            print(f"{name:32}{cpu:10.4f}{cpu * interval / 60e-3:10.2f}{statistics.median(x):7.2f}{span:>16}"
                  f"{wakes:11.0f}{pss:9.2f}{rss:9.2f}{threads:9.0f}", flush=True)


RULE = """[[rule]]
id = "gone"
on = "proc"
match = { name = ["sxwatched"] }
nature = "fault"
category = "service/process"
severity = "critical"
title = "{name} is gone"
description = "Written by benches/agent.py."
raise = "proc.count < 1"
clear = "proc.count >= 1"
for = "0s"
keep = "0s"
"""


def latency(args):
    """Kills a watched process again and again; how long until its incident is committed, as another process sees it."""
    took = []
    with tempfile.TemporaryDirectory(prefix="sexton-bench-") as tmp:
        root = pathlib.Path(tmp)
        program = watched(root)
        # A short interval only finds the next victim sooner; a death is told, not polled.
        agent = Agent("sexton", sexton(args.sexton[0], root, 1, RULE), root)
        try:
            for _ in range(args.runs):
                took.append(one_death(program, root / "state" / "state.db"))
        finally:
            agent.end()
    took.sort()
    at = lambda share: took[min(len(took) - 1, int(share * len(took)))] * 1e3
    print(f"killed to committed, {len(took)} runs: p50 {at(.5):.1f} ms, p90 {at(.9):.1f} ms, p99 {at(.99):.1f} ms,"
          f" most {took[-1] * 1e3:.1f} ms")


def one_death(program, database):
    victim = subprocess.Popen([program, "1000000"])
    try:
        # Running for longer than an interval: it has been found, and an earlier incident has ended.
        until(lambda: raised(database) == 0, 20, "the daemon sees the process")
        time.sleep(2.2)
        began = time.monotonic()
        victim.send_signal(signal.SIGKILL)
        until(lambda: raised(database) == 1, 10, "the incident is in the store")
        return time.monotonic() - began
    finally:
        victim.kill()
        victim.wait()


def raised(database):
    """Incidents whose rule says raised in the committed state; None as long as there is no store."""
    try:
        # Without patience: SQLite would wait up to 100 ms for a lock, and we would measure that.
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=0)) as db:
            rows = db.execute("SELECT body FROM state WHERE kind = 'incident'").fetchall()
    except sqlite3.Error:
        return None
    held = [json.loads(body) for (body,) in rows]
    return sum(h["side"]["raised"] and h["record"]["rule"]["id"] == "gone" for h in held)


def until(done, seconds, what):
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            sys.exit(f"gave up waiting until {what}")
        time.sleep(0.0005)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    default = str(HERE.parent / "target" / "dist" / "sexton")
    for verb, function in (("cost", cost), ("latency", latency)):
        sub = verbs.add_parser(verb)
        sub.set_defaults(function=function)
        sub.add_argument("--sexton", action="append", help="the binary; give it again to compare two (cost only)")
        sub.add_argument("--runs", type=int, default=3 if verb == "cost" else 60)
        if verb == "cost":
            sub.add_argument("--interval", type=float, action="append", help="seconds; default 10 and 1")
            sub.add_argument("--seconds", type=float, default=180, help="measured in each run")
            sub.add_argument("--warm-up", type=float, default=30)
            sub.add_argument("--memory-after", type=float, default=0, help="seconds after the start")
            sub.add_argument("--no-peers", dest="peers", action="store_false")
            sub.add_argument("--no-watch", dest="watch", action="store_false", help="only the defaults of sexton")
    args = parser.parse_args()
    args.sexton = args.sexton or [default]
    if hasattr(args, "interval"):
        args.interval = [int(i) if i == int(i) else i for i in args.interval or [10, 1]]
    args.function(args)


if __name__ == "__main__":
    main()
