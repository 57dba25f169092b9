"""A stream of faults inside a machine whose power is cut, and the witness of what its daemon commits.

Both live in one session of ssh per life of the machine. The faults are services that are killed and started again;
when each was asked for and done is written down on this side, where no power fails. The witness is the stock `sqlite3`,
reading the journal as it grows: SQLite shows a commit to others only after it is durable, so what the witness has read
must be there after any cut. Each life reads it from its first entry.
"""
import os
import pathlib
import random
import re
import shutil
import subprocess
import threading
import time

from support import SERVICES, WORK, Fail, cleanups, run

# How long one life of the daemon must have had a service up, then down, for the fault to be an opening of its own, in
# seconds. Software emulation on a busy machine is slow. SETTLES comes on top of the first after a boot.
SEEN_UP, SEEN_DOWN, SETTLES = 4, 5, 4
UNIT = "sxtest@{}.service"
SERVICE = """[Unit]
StartLimitIntervalSec=0
[Service]
ExecStart=/bin/sh -c 'echo $$$$ >/run/sxtest.%i && exec sleep infinity'
"""
HANDS = r"""
use strict; use warnings;
$| = 1;
my $dir = "/usr/local/lib/sxtest";
if (!fork) {
    my $db = "/var/lib/sexton/state.db";
    sleep 1 until -s $db;
    $ENV{LD_LIBRARY_PATH} = $dir;
    open my $to, "|-", "exec setpriv --reuid sexton --regid sexton --clear-groups stdbuf -oL $dir/sqlite3 -readonly $db"
        or die $!;
    select $to; $| = 1;
    print ".timeout 5000\npragma temp_store = memory;\ncreate temp table seen as select 0 as n;\n";
    while (getppid > 1) {
        print "begin; select 'journal', seq, at, kind, subject from main.journal where seq > (select n from seen)"
            . " order by seq; update seen set n = coalesce((select max(seq) from main.journal), 0); commit;\n";
        select undef, undef, undef, 0.3;
    }
    exit;
}
while (my $line = <STDIN>) {
    my ($verb, @names) = split " ", $line;
    if ($verb eq "down") {
        for my $name (@names) {
            open my $file, "<", "/run/sxtest.$name" or next;
            chomp(my $pid = <$file>);
            kill "KILL", $pid;
        }
    } else {
        system "systemctl", "start", map { "sxtest\@$_.service" } @names;
    }
    print "$verb @names\n";
}
"""


def put_into(tree, names):
    """What the machine needs: the services, the hands, and `sqlite3` of this system with its libraries."""
    place = tree / "usr/local/lib/sxtest"
    place.mkdir(parents=True)
    (place / "hands").write_text(HANDS)
    binary = shutil.which("sqlite3")
    libraries = re.findall(r"=> (/\S*/lib(?:sqlite3|readline|tinfo|edit|bsd|md|z)\.so\S*)", run("ldd", binary))
    for path in [binary, *libraries]:
        shutil.copy(path, place / pathlib.Path(path).name)
    system = tree / "etc/systemd/system"
    wanted = system / "multi-user.target.wants"
    wanted.mkdir(parents=True)
    (system / "sxtest@.service").write_text(SERVICE)
    for name in names:
        (wanted / UNIT.format(name)).symlink_to("/etc/systemd/system/sxtest@.service")


class Witness:
    """The journal as it was read in all lives so far, and whether each later life still has it."""

    def __init__(self):
        self.rows, self.newest, self.booted = {}, 0, None
        self.known = self.kept = 0

    def life(self):
        """A new life begins: all that is known must be read again."""
        self.known, self.newest, self.booted = max(self.rows, default=0), 0, None

    def read(self, seq, at, kind, subject):
        """One row; rows of a life come in order."""
        if seq != self.newest + 1:
            raise Fail(f"the journal is not gapless: {seq} after {self.newest}")
        known = self.rows.setdefault(seq, (at, kind, subject))
        if known != (at, kind, subject):
            raise Fail(f"a committed entry is lost: {seq} was {known} and is now {(at, kind, subject)}")
        self.newest = seq
        if seq == self.known:
            self.kept += 1
        if seq > self.known and kind == "boot" and self.booted is None:
            self.booted = time.time()


class Phase:
    """A service up or down: asked for and done at these times; `done` is None while nobody has said so."""

    def __init__(self, is_down, asked, done=None):
        self.is_down, self.asked, self.done, self.until = is_down, asked, done, 0.0


class Stream:
    """The services and their faults: `begun` counts all that were asked for, `sure` those that had to be seen."""

    def __init__(self, machine, names, pace):
        self.machine, self.names, self.pace = machine, names, pace
        self.begun, self.sure = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
        self.witness = Witness()
        self.lock = threading.Lock()
        self.phases, self.session, self.failure = {}, None, None
        cleanups.append(self.end)

    def life(self):
        """After a boot, which has started all services."""
        now = time.time()
        self.phases = {name: [Phase(False, now, now)] for name in self.names}
        self.witness.life()
        words = [SERVICES / "vm", "exec", self.machine.dir, "perl /usr/local/lib/sxtest/hands"]
        with open(WORK / "hands.log", "ab") as log:
            self.session = subprocess.Popen(
                [str(w) for w in words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, bufsize=1
            )
        threading.Thread(target=self._read, args=(self.session.stdout,), daemon=True).start()

    def _read(self, lines):
        try:
            for line in lines:
                if not line.endswith("\n"):
                    break  # the cut came in the middle of it
                if line.startswith("journal|"):
                    _, seq, at, kind, subject = line.rstrip("\n").split("|", 4)
                    self.witness.read(int(seq), at, kind, subject)
                else:
                    verb, *names = line.split()
                    with self.lock:
                        for name in names:
                            self.phases[name][-1].done = time.time()
        except (Fail, ValueError) as failure:
            self.failure = self.failure or failure

    def check(self):
        if self.failure:
            raise self.failure

    def ask(self, verb, names):
        with self.lock:
            for name in names:
                self.phases[name].append(Phase(verb == "down", time.time()))
                if verb == "down":
                    self.begun[name] += 1
        try:
            self.session.stdin.write(f"{verb} {' '.join(names)}\n")
        except OSError as error:
            raise Fail(f"the machine does not listen any more: {error}") from None

    def free(self, is_down):
        """Services in that phase whose change was done and whose time is over."""
        now = time.time()
        with self.lock:
            last = {name: phases[-1] for name, phases in self.phases.items()}
        return [n for n, p in last.items() if p.is_down == is_down and p.done and now >= max(p.until, p.done + 0.3)]

    def drive(self, over):
        """Faults, at random, until `over()`."""
        due = time.time()
        while not over():
            self.check()
            if time.time() >= due:
                due = time.time() + random.uniform(0.3, 1.7) * self.pace
                up, down = self.free(False), self.free(True)
                if down and random.random() < 0.5:
                    self._turn("up", down, (1, 1, 2), (1, SEEN_UP + 2))
                elif up:
                    # Now and then several at once, as when a disk fails.
                    self._turn("down", up, (1, 1, 1, 3), (0, SEEN_DOWN + 2))
            time.sleep(0.05)

    def _turn(self, verb, among, counts, seconds):
        names = random.sample(among, min(len(among), random.choice(counts)))
        self.ask(verb, names)
        for name in names:
            self.phases[name][-1].until = time.time() + random.choice((0, random.uniform(*seconds)))

    def end(self):
        """The life is over: the power is gone, or the session."""
        if self.session is None:
            return
        end = time.time()
        self.session.kill()
        self.session.wait()
        self.session = None
        with self.lock:
            for name, phases in self.phases.items():
                self.sure[name] += self._sure(phases, end)

    def _sure(self, phases, end):
        if self.witness.booted is None:
            return 0
        alive, sure = self.witness.booted + SETTLES, 0
        for n, phase in enumerate(phases[1:], 1):
            before, after = phases[n - 1], phases[n + 1] if n + 1 < len(phases) else None
            if phase.is_down and phase.done and before.done:
                up = phase.asked - max(before.done, alive)
                down = (after.asked if after else end) - phase.done
                sure += up >= SEEN_UP and down >= SEEN_DOWN
        return sure

    def down(self):
        with self.lock:
            return {name for name, phases in self.phases.items() if phases[-1].is_down}
