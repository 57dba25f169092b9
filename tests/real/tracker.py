"""A real Request Tracker: its service script, and its REST API as operator and administrator see it."""
import base64
import datetime
import json
import re
import urllib.parse

from support import SERVICES, WORK, check, cleanups, free_port, http, run


class RequestTracker:
    """The service script, and the calls that look into it as its operator."""

    def __init__(self):
        self.dir = WORK / "rt"
        self.port = free_port()
        self.tokens, self.fields, self.root = {}, {}, None
        cleanups.append(lambda: self.do("stop"))

    def do(self, verb):
        run(SERVICES / "rt", verb, self.dir, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "RT_PORT": str(self.port)})

    def start(self):
        self.do("start")
        return self

    def token(self, user):
        if user not in self.tokens:
            self.tokens[user] = run(SERVICES / "rt", "token", self.dir, user).strip()
        return self.tokens[user]

    def revoke(self, user):
        """Takes the user's token away."""
        run(SERVICES / "rt", "revoke", self.dir, user)
        self.tokens.pop(user, None)

    def renew(self, user):
        """Gives the user a new token."""
        run(SERVICES / "rt", "renew", self.dir, user)
        return self.token(user)

    def field(self, name, there):
        """Takes a custom field away from all tickets, or puts it back, as RT's administrator does."""
        if self.root is None:
            words = run(SERVICES / "rt", "env", self.dir).split("RT_ROOT_PASSWORD='")[1].split("'")[0]
            self.root = "Basic " + base64.b64encode(f"root:{words}".encode()).decode()
        if name not in self.fields:
            query = urllib.parse.quote(json.dumps([{"field": "Name", "value": name}]))
            status, body = http("GET", f"{self.rest}/customfields?query={query}", headers={"Authorization": self.root})
            check(status == 200 and len(body["items"]) == 1, f"RT knows no custom field {name}: {status} {body}")
            self.fields[name] = body["items"][0]["id"]
        self.change("PUT", f"/customfield/{self.fields[name]}", {"Disabled": "0" if there else "1"}, self.root)

    def answers(self):
        """Whether the service takes calls now."""
        try:
            return http("GET", self.rest + "/rt", headers={"Authorization": f"token {self.token('operator')}"})[0] == 200
        except OSError:
            return False

    @property
    def rest(self):
        return f"http://127.0.0.1:{self.port}/REST/2.0"

    def get(self, path):
        status, body = http("GET", self.rest + path, headers={"Authorization": f"token {self.token('operator')}"})
        check(status == 200, f"RT answers {status} to {path}: {body}")
        return body

    def put(self, path, body):
        """A change made by the operator; RT's sentences."""
        return self.change("PUT", path, body, f"token {self.token('operator')}")

    def change(self, method, path, body, authorization):
        status, told = http(method, self.rest + path, body, {"Authorization": authorization})
        check(status in (200, 201), f"RT answers {status} to {method} {path}: {told}")
        return told

    def find(self, query, fields="Subject,Status,Priority,CustomFields"):
        """Tickets of a query, oldest first, their custom fields by name."""
        path = f"/tickets?per_page=100&orderby=id&order=ASC&fields={fields}&query={urllib.parse.quote(query)}"
        tickets, page = [], 1
        while True:
            items = self.get(f"{path}&page={page}")["items"]
            tickets += items
            if len(items) < 100:
                break
            page += 1
        for ticket in tickets:
            ticket["cf"] = {f["name"]: (f["values"] or [""])[0] for f in ticket.get("CustomFields") or []}
        return tickets

    def about(self, queue, name):
        return [t for t in self.find(f"Queue = '{queue}'") if name in t["Subject"]]

    def history(self, ticket):
        path = f"/ticket/{ticket}/history?fields=Type,Field,OldValue,NewValue,Creator,Created,_hyperlinks&per_page=100"
        return self.get(path)["items"]

    def marks(self, ticket):
        """The operation keys that stand in the subjects of a ticket's comments, oldest first: (key, time)."""
        marks, page = [], 1
        while True:
            path = f"/ticket/{ticket}/history?fields=Type,Data,Created&per_page=100&page={page}"
            items = self.get(path)["items"]
            for entry in items:
                found = re.search(r"\[(sx-[^\]]+)\]\s*$", entry.get("Data") or "") if entry["Type"] == "Comment" else None
                if found:
                    marks.append((found.group(1), stamp(entry["Created"])))
            if len(items) < 100:
                return marks
            page += 1

    def comments(self, ticket):
        """Subjects and texts of all comments, oldest first."""
        texts = []
        for entry in self.history(ticket):
            if entry["Type"] == "Comment":
                for link in entry.get("_hyperlinks") or []:
                    if link.get("ref") == "attachment":
                        attachment = self.get("/attachment/" + link["_url"].rsplit("/", 1)[1])
                        content = base64.b64decode(attachment.get("Content") or "").decode("utf-8", "replace")
                        texts.append(f"{attachment.get('Subject') or ''}: {content}")
        return texts


def stamp(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() if text else 0.0
