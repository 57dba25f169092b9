"""What the scenarios share: processes that end with the scenario, waiting on conditions, the daemon and the desk.

A scenario is a script that tests/run starts with SEXTON_BIN (the release binary), SEXTON_TEST_WORK (a directory of its
own) and SEXTON_TEST_CACHE (kept between runs). It exits 0 (passed), 1 (failed) or 77 (left out); its last line says what
it saw. Nothing here sleeps in the hope that something has happened meanwhile.
"""
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SERVICES = ROOT / "tests" / "services"
BIN = os.environ.get("SEXTON_BIN", str(ROOT / "target" / "release" / "sexton"))
WORK = pathlib.Path(os.environ.get("SEXTON_TEST_WORK", f"/tmp/sexton-test-{os.getpid()}"))
CACHE = pathlib.Path(os.environ.get("SEXTON_TEST_CACHE", ROOT / "target" / "real"))
LONG = os.environ.get("SEXTON_TEST_LONG") == "1"
TOKEN = "a-token-of-these-tests"

cleanups = []


class Fail(Exception):
    """The scenario has shown that something is wrong."""


class Skip(Exception):
    """The scenario cannot run here."""


def say(text):
    print(text, flush=True)


def check(condition, message):
    if not condition:
        raise Fail(message)


def wait(what, condition, seconds=60, every=0.1):
    """Waits until `condition()` is true and returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Fail(f"waited {seconds} s in vain: {what}")
        time.sleep(every)


def wait_clean(what, complaints, seconds=60, hold=3):
    """Waits until `complaints()` is empty and looks again after `hold` seconds: it must stay so."""
    last = []

    def none():
        last[:] = complaints()
        return not last

    try:
        wait(what, none, seconds, every=0.3)
    except Fail as fail:
        raise Fail(f"{fail}\n  " + "\n  ".join(last)) from None
    time.sleep(hold)
    left = complaints()
    check(not left, f"{what}: true at first, but {hold} s later:\n  " + "\n  ".join(left))


def main(scenario):
    """Runs the scenario; whatever it started is ended, also when it fails or is told to stop."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    seed = int(os.environ.get("SEXTON_TEST_SEED", random.randrange(1 << 32)))
    random.seed(seed)
    WORK.mkdir(parents=True, exist_ok=True)
    say(f"seed {seed} (SEXTON_TEST_SEED)")
    code, last = 1, "interrupted"
    try:
        last = scenario()
        code = 0
    except Skip as skip:
        code, last = 77, str(skip)
    except Fail as fail:
        last = f"failed: {fail}"
    except Exception:  # a mistake in the scenario itself
        last = traceback.format_exc()
    finally:
        for cleanup in reversed(cleanups):
            try:
                cleanup()
            except Exception as error:  # the others must still run
                say(f"clean-up: {error}")
        say(last)
    sys.exit(code)


def run(*command, seconds=120, ok=True, **kwargs):
    """Runs a command; its standard output."""
    words = [str(c) for c in command]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, **kwargs)
    if ok and done.returncode != 0:
        raise Fail(f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def free_port(address="127.0.0.1"):
    with socket.socket() as s:
        s.bind((address, 0))
        return s.getsockname()[1]


def http(method, url, body=None, headers=None, seconds=30):
    """Status and JSON (or text) of one request."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
    if data is not None:
        request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=seconds) as reply:
            status, text = reply.status, reply.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read().decode("utf-8", "replace")
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text


class Process:
    """A process with a log file, ended with the scenario."""

    def __init__(self, name, *command, env=None, cwd=None):
        self.name, self.command, self.cwd = name, [str(c) for c in command], cwd
        self.env = {**os.environ, **(env or {})}
        self.log = WORK / f"{name}.log"
        self.process = None
        cleanups.append(self.kill)

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env, cwd=self.cwd
            )
        return self

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def must_live(self):
        check(self.alive(), f"{self.name} has ended by itself:\n{self.tail()}")

    def kill(self):
        if self.alive():
            self.process.kill()
            self.process.wait()

    def stop(self, seconds=20):
        """Asks it to end; its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Fail(f"{self.name} did not end within {seconds} s of SIGTERM:\n{self.tail()}") from None

    def tail(self, lines=30):
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


class Watched:
    """A process of its own name for the daemon to watch; the name is short enough for /proc/PID/comm."""

    def __init__(self):
        self.name = f"sxwatchd{os.getpid()}"[:15]
        copy = WORK / self.name
        shutil.copy("/bin/sleep", copy)
        self.process = Process(self.name, copy, "86400")

    def up(self):
        self.process.start()

    def down(self):
        self.process.kill()


class Daemon(Process):
    """`sexton run` on a configuration directory of its own."""

    def __init__(self, config, rules="", name="daemon", env=None):
        self.dir = WORK / name
        self.state = self.dir / "state"
        self.socket = self.dir / "control.sock"
        (self.dir / "rules.d").mkdir(parents=True, exist_ok=True)
        self.state.mkdir(exist_ok=True)
        own = f'[store]\ndir = "{self.state}"\n'
        (self.dir / "sexton.toml").write_text(f"schema = 1\n{config}\n{own}")
        (self.dir / "rules.d" / "10-test.toml").write_text(rules)
        super().__init__(name + "-log", BIN, "run", "--config", self.dir, "--socket", self.socket, env=env)

    def check_config(self):
        done = subprocess.run([BIN, "check", "--config", self.dir], capture_output=True, text=True)
        check(done.returncode == 0, f"sexton check: exit code {done.returncode}\n{done.stdout}{done.stderr}")

    def status(self):
        """`sexton status --json`, None while it does not answer."""
        command = [BIN, "status", "--json", "--socket", str(self.socket)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def ready(self, seconds=30):
        def answers():
            self.must_live()
            return self.status()

        return wait("the daemon answers on its control socket", answers, seconds)


class Desk(Process):
    """`sexton desk` on a port of its own."""

    def __init__(self, address="127.0.0.1", name="desk"):
        self.url = f"http://{address}:{free_port(address)}"
        folder = WORK / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tokens").write_text(TOKEN + "\n")
        listen = self.url.removeprefix("http://")
        (folder / "sexton.toml").write_text(
            f'schema = 1\n[host]\nname = "desk"\n[collect]\n[store]\ndir = "{folder}/state"\n'
            f'[desk]\nlisten = "{listen}"\ndir = "{folder}/data"\ntokens = {{ file = "{folder}/tokens" }}\n'
        )
        super().__init__(name + "-log", BIN, "desk", "--config", folder)

    def start(self):
        super().start()

        def answers():
            self.must_live()
            try:
                return self.get("/healthz")[0] == 200
            except OSError:
                return False

        wait("the desk answers", answers, 30)
        return self

    def get(self, path):
        return http("GET", self.url + path, headers={"Authorization": f"Bearer {TOKEN}"})

    def incidents(self, rule):
        status, body = self.get("/v1/incidents?limit=1000")
        check(status == 200, f"the desk answers {status}: {body}")
        return [i for i in body["incidents"] if i["rule"]["id"] == rule]
