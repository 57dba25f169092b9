"""What a machine holds of its incidents, and whether Request Tracker holds the same.

Every record of the journal has one ticket in its state and with its number of openings; every ticket, and every change
of one, is of a revision that the journal knows (it was committed before it was sent); nothing was told twice.
"""
import collections
import json
import sqlite3

ACTIVE = ("new", "open", "stalled")


class Books:
    """What the machine holds: its journal and its outbox, read after all is over."""

    def __init__(self, path):
        with sqlite3.connect(path) as db:
            self.journal = db.execute("SELECT seq, at, kind, subject, body FROM journal ORDER BY seq").fetchall()
            names = "record, kind, state, rev, acked_rev, over, acked_over, remote_id"
            self.outbox = {row[0]: row[1:] for row in db.execute(f"SELECT {names} FROM outbox")}
            self.dropped = db.execute("SELECT record, reason FROM outbox_dropped").fetchall()
            self.damage = [row[0] for row in db.execute("PRAGMA integrity_check") if row[0] != "ok"]
        self.incidents, self.problems, self.revisions = {}, {}, set()
        for _, _, kind, subject, body in self.journal:
            if kind in ("incident", "problem"):
                record = json.loads(body)
                (self.incidents if kind == "incident" else self.problems)[subject] = record
                self.revisions.add((subject, record["rev"]))

    def own_complaints(self, witness):
        bad = [f"the store is damaged: {text}" for text in self.damage]
        numbers = [row[0] for row in self.journal]
        if numbers != list(range(1, len(numbers) + 1)):
            bad.append(f"the journal is not gapless: {len(numbers)} entries up to {numbers[-1:]}")
        here = {seq: (str(at), kind, subject) for seq, at, kind, subject, _ in self.journal}
        lost = {seq: row for seq, row in witness.rows.items() if here.get(seq) != row}
        bad += [f"committed and lost: entry {seq}, {row}" for seq, row in sorted(lost.items())]
        bad += [f"dropped: {row}" for row in self.dropped]
        for record, (kind, state, rev, acked, over, acked_over, _) in self.outbox.items():
            if (state, rev, over) != ("acked", acked, acked_over):
                bad.append(f"outbox: {kind} {record} is {state}, revision {acked} of {rev} is stored")
        missing = [i for i in (*self.incidents, *self.problems) if i not in self.outbox]
        return bad + [f"in the journal, and not in the outbox: {i}" for i in missing]


class Comparison:
    """The machine's books and RT, record by record."""

    def __init__(self, books, rt):
        self.books, self.rt = books, rt
        self.tickets = {"Incidents": rt.find("Queue = 'Incidents'"), "Problems": rt.find("Queue = 'Problems'")}
        self.comments = 0

    def complaints(self):
        bad, ids = [], {}
        for queue, records in (("Incidents", self.books.incidents), ("Problems", self.books.problems)):
            by_key = collections.defaultdict(list)
            for ticket in self.tickets[queue]:
                by_key[ticket["cf"].get("CorrelationKey", "")].append(ticket)
            for key in by_key.keys() - {f"sx-{i}" for i in records}:
                told = [(t["id"], t["Subject"]) for t in by_key[key]]
                bad.append(f"RT was told what the machine does not know: {told}")
            for i, record in records.items():
                found = by_key.get(f"sx-{i}", [])
                if len(found) != 1:
                    states = [(t["id"], t["Status"]) for t in found]
                    bad.append(f"{record['number']}: {len(found)} tickets: {states}")
                    continue
                ids[i] = found[0]["id"]
                bad += self.of_record(record, found[0])
        for i, problem in self.books.problems.items():
            members = sorted(ids.get(m["incident"], "?") for m in problem["members"])
            linked = sorted(t["id"] for t in self.rt.find(f"MemberOf = {ids[i]}", "Status")) if i in ids else []
            if linked != members:
                bad.append(f"{problem['number']}: members at RT {linked} instead of {members}")
        return bad

    def of_record(self, record, ticket):
        where, bad = f"{record['number']}: ticket {ticket['id']}", []
        count = record["counters"]["reopens"] + 1 if "counters" in record else record["openings"]
        if ticket["cf"].get("OccurrenceCount") != str(count):
            bad.append(f"{where} counts {ticket['cf'].get('OccurrenceCount')} openings instead of {count}")
        over = record["state"] in ("resolved", "closed")
        if ticket["Status"] not in (("resolved",) if over else ACTIVE):
            bad.append(f"{where} is {ticket['Status']}, the record {record['state']}")
        row = self.books.outbox.get(record["id"])
        if row and (row[2], row[-1]) != (record["rev"], ticket["id"]):
            bad.append(f"{where}, revision {record['rev']}: the outbox holds ticket {row[-1]}, revision {row[2]}")
        marks = [key for key, _ in self.rt.marks(ticket["id"])]
        self.comments += len(marks)
        bad += [f"{where}: told twice: {key}" for key in sorted({k for k in marks if marks.count(k) > 1})]
        for key in marks:
            told, revision, _ = key.removeprefix("sx-").rsplit("-", 2)
            if (told, int(revision)) not in self.books.revisions:
                bad.append(f"{where}: RT was told revision {revision} of {told}, which the journal does not know")
        return bad
