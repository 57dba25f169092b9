"""Many faults of many instances, and a truth table of them: what the long scenarios share.

An instance is a TCP check of the daemon. One listener answers all of them, told apart by what they send; an instance is
down while it is answered wrongly. So each probe is seen from this side, and an episode counts only when one life of the
daemon probed it for longer than a judgement and a commit take: what was written down here did happen, whenever the
daemon was killed. Nothing of the truth comes from the daemon.
"""
import asyncio
import os
import random
import threading
import time

import proxy
from support import LONG, Fail, check, say, wait
from tickets import nothing_waits

# How long one life of the daemon must have probed an instance, in seconds: the interval, what the rules below ask for, and
# time for the commit.
SEEN_DOWN, SEEN_UP = 2.5, 4.0
RULE = """
[[rule]]
id = "{id}"
on = "check"
match = {{ check = ["{id}-*"] }}
title = "{{check}} is down"
nature = "fault"
category = "service/endpoint"
severity = "critical"
impact = 1
urgency = 2
raise = "not check.up"
clear = "check.up"
for = "0s"
keep = "1s"
reopen = "{reopen}"
"""
# With `again` each later fault opens the same incident again, with `anew` each is an incident of its own. No other rule:
# the machine that runs the tests may be busy or full.
RULES = f"""
{RULE.format(id="again", reopen="6h")}
{RULE.format(id="anew", reopen="0s")}
[[override]]
rule = ["*", "!again", "!anew"]
set = {{ enabled = false }}
"""
HOST = """
[host]
name = "web-01"
[collect]
interval = "10s"
[correlate]
failure_gap = "1s"
flap_half_life = "1s"
"""
CHECK = """
[[check]]
id = "{name}"
kind = "tcp"
address = "127.0.0.1:{port}"
send = "{name}\\n"
expect = "well"
interval = "1s"
timeout = "5s"
"""


QUIET = 420  # seconds in which something must have been told, else nothing will be: longer than any pause or backoff
QUIET_MOST = 1800  # seconds until all is told


def number(name, short, long):
    """A figure of the scenario: SEXTON_CHAOS_<NAME>, or what is usual."""
    return type(short)(os.environ.get(f"SEXTON_CHAOS_{name}", long if LONG else short))


class Figures:
    """How much of everything.

        SEXTON_CHAOS_EPISODES   faults in all (60; long: 1000)
        SEXTON_CHAOS_KILLS      deaths of the daemon (10; long: 200)
        SEXTON_CHAOS_SECONDS    time for the faults, the quiet times apart (60 or 90; long: 1500)
        SEXTON_CHAOS_ROUNDS     after each, the far end is compared with the truth (1 or 2; long: 4 or 8)
        SEXTON_CHAOS_CUT        share of connections that are cut (0.01)
        SEXTON_CHAOS_WITHOUT    acts that are left out, with commas between
        SEXTON_TEST_SEED        draws all of it; the interleaving with the daemon is left to the machine
    """

    def __init__(self, seconds=90, rounds=1):
        self.episodes, self.kills = number("EPISODES", 60, 1000), number("KILLS", 10, 200)
        self.seconds, self.rounds = number("SECONDS", seconds, 1500), number("ROUNDS", rounds, 8 if rounds > 1 else 4)
        self.cut = number("CUT", 0.01, 0.01)
        self.without = [name.strip() for name in os.environ.get("SEXTON_CHAOS_WITHOUT", "").split(",")]

    def world(self):
        return World(again=max(8, self.episodes // 16), anew=max(6, self.episodes // 25))

    def proxy(self, port):
        mistakes = proxy.self_test()
        check(not mistakes, "the proxy does not do what it says: " + "; ".join(mistakes))
        return proxy.Proxy(port, self.cut, random.randrange(1 << 32)).start()


class Instance:
    """One checked thing: what it is now, and every fault that it had."""

    def __init__(self, name):
        self.name = name
        self.again = name.startswith("again")
        self.is_down = False
        self.faults = []  # [from, to]; to is None while it lasts
        self.since = time.time()
        self.first = self.last = None  # times of the first and the last probe of this phase in one life
        self.life = -1
        self.until = 0.0  # the phase lasts at least until then

    def probed(self, life):
        now = time.time()
        if self.life != life or self.first is None:
            self.life, self.first = life, now
        self.last = now

    def seen(self, life):
        span = SEEN_DOWN if self.is_down else SEEN_UP
        return self.first is not None and self.life == life and self.last - self.first >= span

    def turn(self, is_down):
        now = time.time()
        self.is_down, self.since, self.first = is_down, now, None
        if is_down:
            self.faults.append([now, None])
        else:
            self.faults[-1][1] = now


class World:
    """All instances, their listener, and the daemon's lives."""

    def __init__(self, again, anew):
        names = [f"again-{n:03}" for n in range(again)] + [f"anew-{n:03}" for n in range(anew)]
        self.instances = {name: Instance(name) for name in names}
        self.life = 0
        self.strays = 0
        self.lock = threading.Lock()
        self.changed = threading.Event()  # an instance has just turned
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self.port = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    def config(self):
        return HOST + "".join(CHECK.format(name=name, port=self.port) for name in self.instances)

    async def _listen(self):
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0, backlog=512)
        return server.sockets[0].getsockname()[1]

    async def _answer(self, reader, writer):
        try:
            line = await asyncio.wait_for(reader.readline(), 10)
            if not line.endswith(b"\n"):
                return  # whoever asked was killed
            instance = self.instances.get(line.decode("ascii", "replace").strip())
            if instance is None:
                self.strays += 1
                return
            with self.lock:
                instance.probed(self.life)
                answer = b"ill\n" if instance.is_down else b"well\n"
            writer.write(answer)
            await writer.drain()
        except (OSError, asyncio.TimeoutError):
            pass
        finally:
            writer.close()

    # ---- the driver

    def drive(self, episodes, seconds, stay=0, patience=600):
        """Makes that many faults within about that time; at the end `stay` of them last. Returns when all were seen."""
        begun, ends = 0, time.monotonic() + seconds + patience
        pace = seconds / episodes
        due = time.monotonic()
        while True:
            with self.lock:
                down = [i for i in self.instances.values() if i.is_down]
                idle = [i for i in self.instances.values() if not i.is_down and i.seen(self.life)]
                over = [i for i in down if i.seen(self.life) and time.time() >= i.until]
                late = episodes - begun
                keep = stay if late == 0 else 0
                for instance in over[: max(0, len(down) - keep) if keep else None]:
                    self._turn(instance, False)
                if begun < episodes and time.monotonic() >= due and idle:
                    # Now and then several at once, as when a switch fails.
                    for instance in random.sample(idle, min(len(idle), episodes - begun, random.choice((1, 1, 1, 1, 3)))):
                        instance.until = time.time() + random.choice((0, 0, random.uniform(0, 12)))
                        self._turn(instance, True)
                        begun += 1
                        due += pace
                steady = all(i.seen(self.life) for i in self.instances.values())
                still = sum(i.is_down for i in self.instances.values())
            if begun == episodes and still <= stay and steady:
                return
            if time.monotonic() > ends:
                raise Fail(f"only {begun} of {episodes} faults within {seconds + patience} s; {still} last; is it probed?")
            time.sleep(0.05)

    def _turn(self, instance, is_down):
        instance.turn(is_down)
        self.changed.set()

    def repair_all(self):
        with self.lock:
            for instance in self.instances.values():
                if instance.is_down:
                    self._turn(instance, False)

    def steady(self):
        """True when every instance has been seen as it is now."""
        with self.lock:
            return all(i.seen(self.life) for i in self.instances.values())

    def faults(self):
        return sum(len(i.faults) for i in self.instances.values())

    # ---- the daemon's deaths

    def kill(self, daemon, rest=0.0):
        """SIGKILL and a new start; whatever was not seen before is not counted as seen."""
        daemon.must_live()
        with self.lock:
            self.life += 1
        daemon.kill()
        time.sleep(rest)
        with self.lock:
            self.life += 1  # a probe answered while it died belongs to the old life
        daemon.start()


class Worker(threading.Thread):
    """A thread whose failure is told by `end`."""

    def __init__(self, work):
        super().__init__(daemon=True)
        self.work, self.failure = work, None
        self.halt = threading.Event()

    def run(self):
        try:
            self.work(self.halt)
        except BaseException as failure:  # told where it is waited for
            self.failure = failure

    def end(self, seconds=300):
        self.halt.set()
        self.join(seconds)
        if self.failure:
            raise self.failure
        if self.is_alive():
            raise Fail("a part of the scenario did not end")


def kills(world, daemon, times, seconds):
    """A worker that kills the daemon so often within that time: half of them just after an instance has turned."""

    def work(halt):
        rng = random.Random(random.random())
        for n in range(times):
            began = time.monotonic()
            world.changed.clear()
            halt.wait(rng.uniform(0.2, 1.8) * max(0.0, seconds / times - 1.0))
            if n % 2 == 0:
                world.changed.wait(1)
                time.sleep(rng.uniform(0, 0.4))  # part of the story: into commit and delivery
            world.kill(daemon, rng.choice((0, 0, 0, rng.uniform(0, 3))))
            if halt.is_set():
                time.sleep(max(0.0, 1.5 - (time.monotonic() - began)))  # what is left of them, fast but not at once

    return Worker(work)


class Script:
    """Faults in random order: each act is a name and what it does. All are done once before any is done again."""

    def __init__(self, acts, without=()):
        self.acts = {name: act for name, act in acts.items() if name not in without}
        self.done, self.log = {}, []
        self.bag = []

    def worker(self, pause):
        """Acts until told to stop; at the end nothing is broken any more, because each act mends what it broke."""

        def work(halt):
            while not halt.is_set():
                self.act()
                halt.wait(random.uniform(*pause))

        return Worker(work)

    def act(self):
        if not self.bag:
            self.bag = [name for name, (weight, _) in self.acts.items() for _ in range(weight)]
            random.shuffle(self.bag)
            first = [name for name in self.acts if name not in self.done]
            self.bag.sort(key=lambda name: name in first)  # drawn from the end
        name = self.bag.pop()
        began = time.time()
        told = self.acts[name][1]()
        self.done[name] = self.done.get(name, 0) + 1
        self.log.append((began, time.time(), name, told))
        say(f"{time.strftime('%H:%M:%S', time.gmtime(began))} {name}{': ' + told if told else ''}")

    def complete(self):
        return all(name in self.done for name in self.acts)

    def report(self):
        return ", ".join(f"{n} {name}" for name, n in sorted(self.done.items()))


# How long an outage lasts, in seconds. The timeout of a request is 3 s.
OUTAGE = (2, 8) if LONG else (1, 5)


def modes(proxy, seconds=OUTAGE):
    """The acts of a proxy: each mode for a while."""

    def broken(mode):
        def act():
            proxy.set(mode)
            try:
                time.sleep(random.uniform(*seconds))  # part of the story
            finally:
                proxy.set("pass")

        return act

    return {mode: (1, broken(mode)) for mode in ("refuse", "hang", "drip", "garbage", "truncate", "reset", "late")}


def outages(service, seconds=OUTAGE):
    """The acts of a service script: frozen, killed, restarted."""

    def away(verb, back):
        def act():
            service.do(verb)
            try:
                time.sleep(random.uniform(*seconds))  # part of the story
            finally:
                service.do(back)

        return act

    return {
        "pause": (2, away("pause", "resume")),
        "kill": (2, away("kill", "start")),
        "restart": (1, away("stop", "start")),
    }


def campaign(figures, world, daemon, script, compare):
    """All rounds: faults, deaths and acts, then quiet and `compare(name, whole)`. Returns how long it took."""
    wait("all is well", world.steady, 60)
    began = time.monotonic()
    episodes, deaths, rounds = figures.episodes, figures.kills, figures.rounds
    seconds = figures.seconds / rounds
    for turn in range(1, rounds + 1):
        deadly = kills(world, daemon, deaths // rounds + (turn <= deaths % rounds), seconds)
        faulty = script.worker(pause=(0.5, 4) if LONG else (0.2, 2))
        deadly.start()
        faulty.start()
        share = episodes // rounds + (turn <= episodes % rounds)
        world.drive(share, seconds, stay=max(2, min(share // 6, len(world.instances) // 2)))
        if turn == rounds:
            wait("each act was done", lambda: faulty.failure or script.complete(), 300)
        faulty.end()
        deadly.end()
        say(f"round {turn}: {world.faults()} faults after {time.monotonic() - began:.0f} s")
        quiet(daemon, world)
        compare(f"round {turn}, some faults last", whole=False)
    world.repair_all()
    quiet(daemon, world)
    compare("the end", whole=True)
    took = time.monotonic() - began
    check("panicked" not in daemon.log.read_text(errors="replace"), "the daemon's log tells of a panic")
    check(world.strays == 0, f"{world.strays} probes that nobody had ordered")
    daemon.stop()
    return took


def quiet(daemon, world):
    """Waits until the daemon has seen everything and told everything."""
    wait("every instance was probed", world.steady, 60)

    began = moved = time.monotonic()
    last = None
    while True:
        daemon.must_live()
        rows = next((d.get("rows", {}) for d in (daemon.status() or {}).get("destinations", [])), None)
        if rows is not None and not any(n for state, n in rows.items() if state not in ("acked", "parked")):
            break
        now = time.monotonic()
        if rows != last:
            last, moved = rows, now
        if now - moved > QUIET or now - began > QUIET_MOST:
            raise Fail(f"after {now - began:.0f} s the outbox still holds {rows}")
        time.sleep(0.5)
    nothing_waits(daemon, daemon.status()["destinations"][0]["id"])
    say(f"quiet after {time.monotonic() - began:.0f} s")
