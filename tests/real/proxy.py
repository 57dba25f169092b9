#!/usr/bin/env python3
"""A TCP proxy that breaks connections in the ways that real networks and overloaded servers do.

It stands between the daemon and a service that speaks HTTP/1.1. In mode `pass` it cuts a share of the connections after
the request was written upstream in full, before any answer comes back: the far end carries it out and the client cannot
know. The other modes do one thing to every request:

    refuse     nobody listens
    hang       takes connections and requests, forwards nothing, answers nothing
    drip       the answer comes byte by byte
    garbage    the answer is none: noise, or a page with status 200; half of the requests are carried out all the same
    truncate   the answer ends in the middle
    reset      the connection is reset in the middle of the request; the far end gets a part of it
    late       the request is held for a while, also when the client has gone, and then carried out

Every request has an upstream connection of its own (`Connection: close` is written into it). What becomes of a request
is drawn from a seeded generator. Run as a program it tests itself.
"""
import asyncio
import collections
import http.client
import http.server
import random
import socket
import struct
import sys
import threading
import time

MODES = ("pass", "refuse", "hang", "drip", "garbage", "truncate", "reset", "late")
HEAD_MOST = 64 << 10
BODY_MOST = 16 << 20
PATIENCE = 60  # seconds that a far end may take for its answer, and a client for its request
HELD = (0.5, 6.0)  # seconds that mode `late` holds a request

PAGE = b"<html><body>Welcome to our network. Please sign in.</body></html>"


class Cut(Exception):
    """The connection ended where it should not."""


class Proxy:
    """The proxy on a port of its own, in a thread of its own."""

    def __init__(self, upstream, share=0.01, seed=0):
        self.upstream, self.share = upstream, share
        self.random = random.Random(seed)
        self.counts = collections.Counter()
        self.port = None
        self.mode = "pass"
        self._loop = asyncio.new_event_loop()
        self._server = None
        self._open = set()

    def start(self):
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._call(self._listen())
        return self

    def set(self, mode):
        """Changes the mode for all requests from now on."""
        if mode not in MODES:
            raise ValueError(f"no mode {mode}: {', '.join(MODES)}")
        self._call(self._set(mode))

    def stop(self):
        self._call(self._quiet())
        self._loop.call_soon_threadsafe(self._loop.stop)

    def report(self):
        """The counters in one line."""
        return ", ".join(f"{n} {what}" for what, n in sorted(self.counts.items())) or "no requests"

    # ---- in the loop

    def _call(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    async def _listen(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port or 0, backlog=128)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _quiet(self):
        if self._server:
            self._server.close()
            self._server = None
        for writer in list(self._open):
            reset(writer)

    async def _set(self, mode):
        if mode == "refuse":
            await self._quiet()
        elif self._server is None:
            await self._listen()
        self.mode = mode

    async def _serve(self, reader, writer):
        self._open.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (Cut, OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
            reset(writer)
        finally:
            self._open.discard(writer)
            writer.close()

    async def _one(self, reader, writer):
        """Takes one request and deals with it; false when the connection is over."""
        request = await asyncio.wait_for(read_request(reader), PATIENCE)
        if not request:
            return False
        self.counts["requests"] += 1
        mode = self.mode
        if mode == "pass" and self.random.random() < self.share:
            mode = "cut"
        if mode != "pass":
            self.counts[mode] += 1
        if mode == "hang":
            await asyncio.wait_for(reader.read(), 10 * PATIENCE)
            return False
        if mode == "late":
            await asyncio.sleep(self.random.uniform(*HELD))
        if mode == "garbage" and self.random.random() < 0.5:
            writer.write(self._noise())
            await writer.drain()
            return False
        far_reader, far = await asyncio.open_connection("127.0.0.1", self.upstream)
        try:
            if mode == "reset":
                far.write(request[: self.random.randrange(1, len(request))])
                await far.drain()
                reset(far)
                raise Cut
            far.write(request)
            await far.drain()
            if mode == "cut" and self.random.random() < 0.5:
                reset(writer)  # at once: whoever repeats it meets the far end still at work
            answer = await asyncio.wait_for(far_reader.read(), PATIENCE)
        finally:
            far.close()
        await self._answer(mode, answer, writer)
        return False

    async def _answer(self, mode, answer, writer):
        if mode == "cut":
            raise Cut
        if mode == "garbage":
            answer = self._noise()
        elif mode == "truncate":
            answer = answer[: self.random.randrange(len(answer) or 1)]
        elif mode == "drip":
            pause = self.random.uniform(0.0005, 0.02)
            for n in range(len(answer)):
                writer.write(answer[n : n + 1])
                await writer.drain()
                await asyncio.sleep(pause)
            return
        writer.write(answer)
        await writer.drain()

    def _noise(self):
        if self.random.random() < 0.5:
            return self.random.randbytes(self.random.randrange(1, 400))
        return b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s" % (len(PAGE), PAGE)


def reset(writer):
    """Ends a connection with RST instead of FIN."""
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def read_request(reader):
    """One request in full, with `Connection: close` written into it; empty when none comes any more."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = await reader.readline()
        if not line and not head:
            return b""
        head += line
        if not line or len(head) > HEAD_MOST:
            raise Cut
    length = 0
    lines = head.split(b"\r\n")
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value)
        elif name.strip().lower() == b"transfer-encoding":
            raise Cut
    if length > BODY_MOST:
        raise Cut
    body = await reader.readexactly(length)
    kept = [line for line in lines[1:] if not line.lower().startswith(b"connection:")]
    return b"\r\n".join([lines[0], b"Connection: close", *kept]) + body


# ---- the proxy's own test


class Far(http.server.BaseHTTPRequestHandler):
    """Counts what is carried out."""

    done = collections.Counter()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if len(body) != int(self.headers["Content-Length"]):
            return
        Far.done[body] += 1
        answer = b"carried out: " + body
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def ask(port, body, seconds=2):
    """What a client sees: the answer's text, or the name of the error."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        client.request("POST", "/", body)
        return client.getresponse().read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        client.close()


def self_test():
    """Shows that each mode does what it says; returns the mistakes."""
    bad = []

    def want(condition, text):
        if not condition:
            bad.append(text)

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_):  # half a request is the far end's everyday life
            pass

    server = Server(("127.0.0.1", 0), Far)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def settled(body, count):
        end = time.monotonic() + 10
        while Far.done[body] < count and time.monotonic() < end:
            time.sleep(0.02)
        return Far.done[body]

    def through(mode, times=1, share=0.0, seed=1):
        proxy = Proxy(server.server_port, share, seed).start()
        proxy.set(mode)
        body = f"{mode}-{share}-{seed}-{random.randrange(1 << 60)}".encode()
        seen = [ask(proxy.port, body) for _ in range(times)]
        return proxy, body, seen

    try:
        proxy, body, seen = through("pass", 20)
        want(seen == [f"carried out: {body.decode()}"] * 20, f"pass: {set(seen)}")
        want(settled(body, 20) == 20, f"pass: carried out {Far.done[body]} times, not 20")
        want(proxy.counts == {"requests": 20}, f"pass: counted {proxy.counts}")
        proxy.set("refuse")
        want(ask(proxy.port, body) == "ConnectionRefusedError", "refuse: somebody listens")
        proxy.set("pass")
        want(ask(proxy.port, body).startswith("carried out"), "pass after refuse: does not answer")
        proxy.stop()

        proxy, body, seen = through("pass", 40, share=0.3)
        cut = [s for s in seen if not s.startswith("carried out")]
        want(0 < len(cut) == proxy.counts["cut"] < 40, f"cut: {len(cut)} of 40, counted {proxy.counts}")
        want(settled(body, 40) == 40, f"cut: carried out {Far.done[body]} times, not 40")
        again = [s.startswith("carried out") for s in through("pass", 40, share=0.3)[2]]
        other = [s.startswith("carried out") for s in through("pass", 40, share=0.3, seed=2)[2]]
        same = [s.startswith("carried out") for s in seen]
        want(again == same and other != same, "cut: the seed does not decide")

        _, body, seen = through("hang")
        want(seen[0] == "TimeoutError" and Far.done[body] == 0, f"hang: {seen}, carried out {Far.done[body]}")
        began = time.monotonic()
        _, body, seen = through("drip")
        want(seen[0].startswith("carried out") or seen[0] == "TimeoutError", f"drip: {seen}")
        want(time.monotonic() - began > 0.05 and settled(body, 1) == 1, "drip: too fast or not carried out")
        _, body, seen = through("garbage", 30)
        want(not any(s.startswith("carried out") for s in seen), f"garbage: {seen}")
        want(PAGE.decode() in seen and "BadStatusLine" in seen, f"garbage: of one kind only: {set(seen)}")
        want(0 < settled(body, 1) < 30, f"garbage: carried out {Far.done[body]} of 30")
        _, body, seen = through("truncate", 10)
        want(f"carried out: {body.decode()}" not in seen, f"truncate: a whole answer in {seen}")
        want(settled(body, 10) == 10, f"truncate: carried out {Far.done[body]} of 10")
        _, body, seen = through("reset", 10)
        want(set(seen) <= {"ConnectionResetError", "RemoteDisconnected"}, f"reset: {set(seen)}")
        time.sleep(0.5)  # a bound, not a hope: whatever was to come would have come
        want(Far.done[body] == 0, f"reset: carried out {Far.done[body]} times")
        proxy = Proxy(server.server_port, 0, 3).start()
        proxy.set("late")
        body = b"late-" + str(random.randrange(1 << 60)).encode()
        seen = ask(proxy.port, body, seconds=0.2)
        want(seen == "TimeoutError" and Far.done[body] == 0, f"late: {seen}, carried out {Far.done[body]} at once")
        want(settled(body, 1) == 1, "late: not carried out after the client had gone")
    finally:
        server.shutdown()
    return bad


if __name__ == "__main__":
    mistakes = self_test()
    print("\n".join(mistakes) or "the proxy breaks connections as it says")
    sys.exit(1 if mistakes else 0)
