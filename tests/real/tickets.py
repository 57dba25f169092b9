"""A real Request Tracker, three faults of a watched process, and what RT must hold afterwards."""
import random
import time

from support import WORK, Daemon, Watched, check, say, wait, wait_clean
from tracker import RequestTracker, stamp

EPISODES = 3
RULES = """
[[rule]]
id = "proc-missing"
on = "proc"
match = {{ name = ["{name}"] }}
title = "{{name}} is not running"
nature = "fault"
category = "service/process"
severity = "critical"
impact = 1
urgency = 2
raise = "proc.count < 1"
clear = "proc.count >= 1"
for = "0s"
keep = "1s"
reopen = "1h"

# Only this rule: the machine that runs the tests may be busy or full.
[[override]]
rule = ["*", "!proc-missing"]
set = {{ enabled = false }}
"""
CONFIG = """
[host]
name = "web-01"
[collect]
interval = "1s"
proc = {{ watch = ["{name}"] }}
[correlate]
failure_gap = "1s"
flap_half_life = "2s"
[[destination]]
id = "rt"
kind = "rt"
url = "{url}"
token = {{ {token} }}
timeout = "3s"
"""


class Episodes:
    """Three faults, and what became of them at RT."""

    def __init__(self, name, rt, down, up, slack=3):
        self.name, self.rt, self.down, self.up, self.slack = name, rt, down, up, slack
        self.downs, self.ups = [], []

    def fault(self):
        self.downs.append(time.time())
        self.down()

    def repair(self):
        self.ups.append(time.time())
        self.up()

    def ticket(self):
        tickets = self.rt.about("Incidents", self.name)
        check(len(tickets) <= 1, f"{len(tickets)} tickets for one incident: {[t['id'] for t in tickets]}")
        return tickets[0] if tickets else None

    def shows(self, status, openings, seconds=120):
        """Waits until the ticket is open (or resolved) and has been so for that many openings."""
        wanted = ("new", "open") if status == "open" else (status,)

        def seen():
            ticket = self.ticket()
            return ticket and ticket["Status"] in wanted and ticket["cf"].get("OccurrenceCount") == str(openings)

        wait(f"the ticket is {status}, opening {openings}", seen, seconds)

    def complaints(self, every_state=False):
        """Everything that is not as it must be at the end."""
        bad = []

        def want(condition, text):
            if not condition:
                bad.append(text)

        tickets, problems = self.rt.about("Incidents", self.name), self.rt.about("Problems", self.name)
        want(len(tickets) == 1, f"{len(tickets)} incident tickets instead of 1")
        want(len(problems) == 1, f"{len(problems)} problem tickets instead of 1")
        others = [t["Subject"] for t in self.rt.find("Queue = 'Incidents' AND Status = '__Active__'")]
        want(not others, f"open although all is over: {others}")
        if len(tickets) != 1 or len(problems) != 1:
            return bad
        ticket, problem, cf = tickets[0], problems[0], tickets[0]["cf"]
        want(ticket["Status"] == "resolved", f"the incident is {ticket['Status']}")
        want(cf.get("OccurrenceCount") == str(EPISODES), f"OccurrenceCount is {cf.get('OccurrenceCount')!r}")
        want(cf.get("CorrelationKey"), "no CorrelationKey")
        want(cf.get("IdempotencyKey") == cf.get("CorrelationKey"), f"IdempotencyKey is {cf.get('IdempotencyKey')!r}")
        want((cf.get("Impact"), cf.get("Urgency")) == ("1-High", "2-Medium"), f"weight is {cf}")
        for field, from_, to in (
            ("FirstSeen", self.downs[0], self.ups[0] if not every_state else self.downs[0] + 2),
            ("LastSeen", self.ups[-1], time.time() if not every_state else self.ups[-1] + 2),
        ):
            seen = stamp(cf.get(field))
            inside = from_ - self.slack <= seen <= to + self.slack
            want(inside, f"{field} {cf.get(field)} is not between {from_:.0f} and {to:.0f} (it is {seen:.0f})")
        want(problem["Status"] in ("new", "open"), f"the problem is {problem['Status']}")
        want(problem["cf"].get("OccurrenceCount") == str(EPISODES), f"the problem counts {problem['cf']}")
        members = [t["id"] for t in self.rt.find(f"MemberOf = {problem['id']}")]
        want(members == [ticket["id"]], f"members of the problem: {members}, not [{ticket['id']}]")
        bad += self.history_complaints(ticket["id"], every_state)
        return bad

    def history_complaints(self, ticket, every_state):
        bad = []
        entries = self.rt.history(ticket)
        states = [e["NewValue"] for e in entries if e["Type"] == "Status"]
        if every_state and states != ["resolved", "open"] * (EPISODES - 1) + ["resolved"]:
            bad.append(f"states in the order {states}")
        if any(a == b for a, b in zip(states, states[1:])) or (states and states[-1] != "resolved"):
            bad.append(f"states repeat or do not end resolved: {states}")
        created = [stamp(e["Created"]) for e in entries]
        if created != sorted(created):
            bad.append("the history is out of order")
        comments = self.rt.comments(ticket)
        twice = {c for c in comments if comments.count(c) > 1}
        if twice:
            bad.append(f"comments told twice: {[c[:80] for c in twice]}")
        if every_state and len(comments) < 2 * EPISODES - 1:
            bad.append(f"only {len(comments)} comments for {2 * EPISODES - 1} changes")
        return bad

    def settle(self, every_state=False, seconds=180):
        wait_clean("RT holds exactly what happened", lambda: self.complaints(every_state), seconds)
        ticket = self.ticket()
        return (
            f"ticket {ticket['id']}: {ticket['Status']}, {ticket['cf']['OccurrenceCount']} openings, "
            f"{len(self.rt.comments(ticket['id']))} comments, one problem with it as member"
        )


def stage():
    """RT, a watched process and a daemon that is ready."""
    rt = RequestTracker().start()
    say(f"RT answers at {rt.rest}")
    watched = Watched()
    watched.up()
    secret = WORK / "rt-token"
    secret.touch(mode=0o600)
    secret.write_text(rt.token("sexton") + "\n")
    config = CONFIG.format(name=watched.name, url=rt.rest, token=f'file = "{secret}"')
    daemon = Daemon(config, RULES.format(name=watched.name))
    daemon.check_config()
    daemon.start()
    daemon.ready()
    return rt, daemon, Episodes(watched.name, rt, watched.down, watched.up)


def storm(daemon, times):
    """Kills the daemon: at first soon after the change, into commit and delivery, then whenever."""
    for n in range(times):
        time.sleep(random.uniform(0, 0.4 if n == 0 else 1.5))
        daemon.must_live()
        daemon.kill()
        daemon.start()


def nothing_waits(daemon, destination="rt"):
    """The daemon agrees that everything was delivered."""
    status = daemon.status()
    rows = {d["id"]: d.get("rows", {}) for d in status.get("destinations", [])}
    check(destination in rows, f"status names no destination {destination}: {rows}")
    left = {state: n for state, n in rows[destination].items() if n and state != "acked"}
    check(not left, f"the outbox still holds {left}")
