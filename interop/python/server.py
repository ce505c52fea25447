"""The contract of ../CONTRACT.md on python-socketio's asynchronous server: a second implementation to prove clients against.

It serves Engine.IO 4 only and has no connection state recovery; what follows from that is in differences.toml.
"""

import argparse
import asyncio
import re
import signal
import ssl
from urllib.parse import parse_qs

import engineio
import socketio
from aiohttp import web
from engineio.payload import Payload

from mended_engine import mend_engine

ORDINARY = re.compile(r"/|/other|/dyn-\d+", re.ASCII)
REFUSAL = {"code": 42, "why": ["no", {"deep": True}]}
# The names that python-socketio has for reasons for which the contract has another. A "transport error" it has for one thing only:
# a GET that has waited for interval plus timeout, which is how it first sees that a client on polling left a ping unanswered.
REASONS = {
    "server disconnect": "server namespace disconnect",
    "client disconnect": "client namespace disconnect",
    "transport error": "ping timeout",
}
CLOSE_S = 1

# The library's setting for clients that put many packets into one request; its default is 16.
Payload.max_decode_packets = 20_000
mend_engine()


class Application:
    """The events of the contract. Every handler is registered for all namespaces, so it gets the namespace first."""

    def __init__(self, sio):
        self.sio = sio
        self.counts = {}  # socket id -> [number of `count` events, whether all were in order]
        self.tasks = set()  # asyncio itself keeps no task alive
        for name in ("connect", "disconnect", "echo", "where", "cookie", "kick", "join", "leave", "say", "count"):
            sio.on(name, getattr(self, name), namespace="*")
        for name in ("echo-ack", "ask-me", "ask-room", "counted", "flood"):
            sio.on(name, getattr(self, name.replace("-", "_")), namespace="*")
        # `never` has no handler: what nobody handles is not acknowledged.

    async def connect(self, namespace, sid, environ, auth):
        if namespace == "/refuse":
            raise socketio.exceptions.ConnectionRefusedError("refused", REFUSAL)
        if namespace == "/watch":
            return
        if not ORDINARY.fullmatch(namespace):
            raise socketio.exceptions.ConnectionRefusedError("Invalid namespace")
        self.counts[sid] = [0, True]
        token = parse_qs(environ.get("QUERY_STRING", "")).get("token", [None])[0]
        # The CONNECT packet is sent when this handler returns; an event must not come before it.
        self.start(self.sio.emit("auth", (auth or {}, token), to=sid, namespace=namespace))

    async def disconnect(self, namespace, sid, reason):
        if self.counts.pop(sid, None) is None:
            return
        await self.sio.emit("gone", (sid, namespace, REASONS.get(reason, reason)), namespace="/watch")

    async def echo(self, namespace, sid, *args):
        await self.sio.emit("echo", args, to=sid, namespace=namespace)

    async def echo_ack(self, namespace, sid, *args):
        return args

    async def where(self, namespace, sid):
        return namespace, sid

    async def cookie(self, namespace, sid):
        return (self.sio.get_environ(sid, namespace).get("HTTP_COOKIE"),)

    async def kick(self, namespace, sid):
        await self.sio.disconnect(sid, namespace=namespace)

    async def join(self, namespace, sid, room):
        await self.sio.enter_room(sid, room, namespace=namespace)
        return self.rooms(namespace, sid)

    async def leave(self, namespace, sid, room):
        await self.sio.leave_room(sid, room, namespace=namespace)
        return self.rooms(namespace, sid)

    def rooms(self, namespace, sid):
        """The socket's rooms without its own, in the order of JavaScript's code units."""
        rooms = (room for room in self.sio.rooms(sid, namespace=namespace) if room != sid)
        return sorted(rooms, key=lambda room: room.encode("utf-16-be", "surrogatepass"))

    async def say(self, namespace, sid, mode, rooms, excluded, value):
        # This server can leave out sockets, not rooms.
        skipped = [other for room in excluded for other in self.members(namespace, room)]
        if mode == "to":
            skipped.append(sid)
        await self.sio.emit("said", (value,), room=rooms or None, skip_sid=skipped, namespace=namespace)

    def members(self, namespace, room):
        return [sid for sid, _ in self.sio.manager.get_participants(namespace, room)]

    async def ask_me(self, namespace, sid, value, ms):
        async def ask():
            answers, complete = await self.ask(namespace, [sid], value, ms)
            outcome = ("ok", answers[0]) if complete else ("timeout", None)
            await self.sio.emit("answer", outcome, to=sid, namespace=namespace)

        self.start(ask())

    async def ask_room(self, namespace, sid, room, value, ms):
        async def ask():
            answers, complete = await self.ask(namespace, self.members(namespace, room), value, ms)
            outcome = ("ok" if complete else "timeout", answers)
            await self.sio.emit("answers", outcome, to=sid, namespace=namespace)

        self.start(ask())

    async def ask(self, namespace, sids, value, ms):
        """Asks all of `sids` and returns the first arguments of the answers, and whether every answer came in time."""
        answers = []
        all_answered = asyncio.Event()

        def answered(*args):
            answers.append(args[0] if args else None)
            if len(answers) == len(sids):
                all_answered.set()

        if not sids:
            return [], True
        for sid in sids:
            await self.sio.emit("question", (value,), to=sid, namespace=namespace, callback=answered)
        try:
            await asyncio.wait_for(all_answered.wait(), ms / 1000)
        except TimeoutError:
            return list(answers), False
        return answers, True

    async def count(self, namespace, sid, n):
        count = self.counts[sid]
        count[1] = count[1] and n == count[0]
        count[0] += 1

    async def counted(self, namespace, sid):
        return tuple(self.counts[sid])

    async def flood(self, namespace, sid, start, end):
        for n in range(start, end):
            await self.sio.emit("n", n, to=sid, namespace=namespace)

    def start(self, work):
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


def parse_flags():
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ping-interval", type=int, default=25_000)
    parser.add_argument("--ping-timeout", type=int, default=20_000)
    parser.add_argument("--shards", type=int, default=1, help="without meaning here: there is one event loop")
    parser.add_argument("--tls-cert")
    parser.add_argument("--tls-key")
    parser.add_argument("--parser", choices=["msgpack"], default="default")
    parser.add_argument("--cors-origin", action="append")
    parser.add_argument("--recovery", type=int, help="without meaning here: python-socketio has no recovery")
    parser.add_argument("--max-payload", type=int, default=1_000_000)
    return parser.parse_args()


def engine_options(flags):
    options = {
        "async_mode": "aiohttp",
        # Handlers one after the other: the contract asks for order.
        "async_handlers": False,
        "ping_interval": flags.ping_interval / 1000,
        "ping_timeout": flags.ping_timeout / 1000,
        "max_http_buffer_size": flags.max_payload,
        "cors_allowed_origins": flags.cors_origin or [],
    }
    if flags.cors_origin:
        options["cookie"] = {"name": "io", "path": "/", "HttpOnly": True, "SameSite": "Lax"}
    return options


def tls_context(flags):
    if not flags.tls_cert:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(flags.tls_cert, flags.tls_key)
    return context


async def close_sessions(engine):
    """Closes the sessions on polling; a client that does not fetch its last packet is not waited for.

    Those on WebSocket end with their connections: after a close packet some clients would not come back.
    """
    polling = [sid for sid, session in engine.sockets.items() if not session.upgraded]
    closing = [asyncio.ensure_future(engine.disconnect(sid)) for sid in polling]
    if closing:
        _, late = await asyncio.wait(closing, timeout=CLOSE_S)
        for task in late:
            task.cancel()


async def serve(flags):
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)

    app = web.Application()
    sio = socketio.AsyncServer(namespaces="*", serializer=flags.parser, **engine_options(flags))
    Application(sio)
    sio.attach(app, "socket.io")
    raw = engineio.AsyncServer(**engine_options(flags))
    raw.on("message", raw.send)
    raw.attach(app, "engine.io")

    runner = web.AppRunner(app, shutdown_timeout=CLOSE_S)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", flags.port, ssl_context=tls_context(flags)).start()
    print(f"listening {runner.addresses[0][1]}", flush=True)
    await stopping.wait()
    await asyncio.gather(close_sessions(sio.eio), close_sessions(raw))
    await runner.cleanup()


asyncio.run(serve(parse_flags()))
