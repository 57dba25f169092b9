"""The demo, watched from outside: what both README commands promise."""
import re
import signal
import time

from support import Process, check, http, say, wait

SECONDS = 130


def demo(command, cwd, patience):
    """Runs the demo until it ends by itself; `patience` is how long it may take to print its address."""
    demo = Process("demo", *command, "demo", "--provoke", "--seconds", SECONDS, cwd=cwd)
    demo.start()

    def find(pattern):
        check(demo.alive(), f"the demo has ended:\n{demo.tail()}")
        return re.search(pattern, demo.log.read_text(errors="replace"))

    address = wait("the demo prints the page's address", lambda: find(r"http://127\.0\.0\.1:\d+"), patience).group(0)
    began = time.monotonic()
    status, page = http("GET", address + "/")
    check(status == 200 and "<html" in page.lower(), f"{address} answers {status}: {page[:200]}")

    def records(kind):
        status, body = http("GET", f"{address}/v1/{kind}")
        check(status == 200, f"{address}/v1/{kind} answers {status}: {body}")
        return body[kind]

    def after():
        return f"{time.monotonic() - began:.0f} s"

    wait("an incident appears", lambda: find("") and records("incidents"), 60)
    born = after()
    wait("an incident is resolved", lambda: [i for i in records("incidents") if i["state"] == "resolved"], 60)
    over = after()
    wait("a problem candidate appears", lambda: records("problems"), 120)
    problem = records("problems")[0]
    seen = f"incident after {born}, resolved after {over}, problem after {after()}"
    say(seen)
    check(problem["members"] and problem["why"], f"the problem has no members or reasons: {problem}")
    # Lists leave out evidence; the record itself has it.
    whole = [http("GET", f"{address}/v1/incidents/{i['id']}")[1] for i in records("incidents")]
    check(any(i["evidence"].get("series") for i in whole), "no incident carries a series as evidence")
    check(any(i["evidence"].get("exhibits") for i in whole), "no incident carries an exhibit as evidence")
    wait("the demo ends by itself", lambda: demo.process.poll() is not None, SECONDS)
    check(demo.process.returncode == 0, f"the demo ended with {demo.process.returncode}:\n{demo.tail()}")
    return seen


def interrupted(command, cwd):
    """Ctrl-C ends it cleanly."""
    demo = Process("demo-interrupted", *command, "demo", cwd=cwd)
    demo.start()
    printed = lambda: re.search(r"http://127\.0\.0\.1:\d+", demo.log.read_text(errors="replace"))
    wait("the demo prints the page's address", printed, 30)
    demo.process.send_signal(signal.SIGINT)
    wait("the demo ends after Ctrl-C", lambda: demo.process.poll() is not None, 20)
    check(demo.process.returncode == 0, f"Ctrl-C: exit code {demo.process.returncode}\n{demo.tail()}")
