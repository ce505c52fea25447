"""What every Python client does; each function is one case, named without its prefix."""

import asyncio
import signal

import socketio
from context import bytes_of, unique

SILENCE_S = 0.25
MESSAGES = 10_000
UNICODE = "😀 𝄞 👩‍👩‍👧‍👦 漢字 é \u2028\u2029 \"\\/ \u0001\u007f \ufeff end"


def equal(actual, expected):
    if actual != expected:
        raise AssertionError(f"got {short(actual)}, expected {short(expected)}")


def short(value):
    text = repr(value)
    return text if len(text) < 500 else f"{text[:500]}… ({len(text)} characters)"


async def gone_reason(watcher, socket_id):
    """Waits until `/watch` tells that the socket is gone, and returns why."""
    while True:
        who, _, reason = await watcher.next("gone", "/watch")
        if who == socket_id:
            return reason


# Connecting


async def scenario_auth(ctx):
    credentials = {"token": "tök😀", "room": "a b"}
    peer = await ctx.connect(auth=credentials)
    equal(await peer.next("auth"), [credentials, None])


async def scenario_transport(ctx):
    peer = await ctx.connect()
    equal(peer.transport(), "polling" if ctx.group["transport"] == "polling" else "websocket")
    equal(await peer.call("where"), ("/", peer.id()))


async def refused(ctx, namespace):
    peer = ctx.peer()
    try:
        await peer.connect(ctx.url(), [namespace])
    except socketio.exceptions.ConnectionError:
        (error,) = await peer.next("connect_error", namespace)
        return error
    raise AssertionError("connected to a namespace that refuses")


async def scenario_refused_with_data(ctx):
    expected = {"message": "refused", "data": {"code": 42, "why": ["no", {"deep": True}]}}
    equal(await refused(ctx, "/refuse"), expected)


async def scenario_unknown_namespace(ctx):
    equal(await refused(ctx, "/nowhere"), {"message": "Invalid namespace"})
    equal(await refused(ctx, "/dyn-x"), {"message": "Invalid namespace"})


async def scenario_namespaces(ctx):
    names = ["/", "/other", "/dyn-7"]
    peer = await ctx.connect(*names)
    for name in names:
        equal(await peer.call("where", namespace=name), (name, peer.id(name)))
    await peer.emit("echo", "only here", namespace="/other")
    equal(await peer.next("echo", "/other"), ["only here"])
    for name in names:
        await peer.emit("echo", "end", namespace=name)
        equal(await peer.next("echo", name), ["end"])


async def scenario_server_ends(ctx):
    watcher = await ctx.connect("/watch")
    peer = await ctx.connect()
    socket_id = peer.id()
    await peer.emit("kick")
    equal(await gone_reason(watcher, socket_id), "server namespace disconnect")
    equal(await peer.next("disconnect"), ["server disconnect"])


async def scenario_client_ends(ctx):
    watcher = await ctx.connect("/watch")
    peer = await ctx.connect()
    socket_id = peer.id()
    await peer.close()
    # It says goodbye on both layers at once; the server may act on either first.
    reason = await gone_reason(watcher, socket_id)
    assert reason in ("client namespace disconnect", "transport close"), reason


async def scenario_server_restarts(ctx):
    first = await ctx.server()
    delays = {"reconnection_delay": 0.05, "reconnection_delay_max": 0.2, "randomization_factor": 0}
    peer = ctx.peer(reconnection=True, **delays)
    await peer.connect(ctx.url(first.port))
    await peer.next("connect")
    socket_id = peer.id()
    equal(await peer.call("echo-ack", "before"), "before")
    if ctx.group["transport"] == "polling":
        # This client takes a close packet in an answer for final and would not come back: let it lose the server.
        await first.kill()
    else:
        equal(await first.stop(), 0)
    await peer.next("disconnect")
    await ctx.server(port=first.port)
    await peer.next("connect")
    equal(await peer.call("echo-ack", "after"), "after")
    assert peer.id() != socket_id, "a new server must give a new id"


# Events


async def scenario_arguments_0_to_5(ctx):
    peer = await ctx.connect()
    values = [1.5, "two", {"three": [3, None, True]}, [[], {}], -0.25]
    for count in range(len(values) + 1):
        await peer.emit("echo", *values[:count])
        equal(await peer.next("echo"), values[:count])


async def scenario_binary_nested_and_many(ctx):
    peer = await ctx.connect()
    args = [bytes_of(3), {"a": [b"", {"b": bytes_of(200, 7)}], "text": "t"}, "plain", [bytes_of(1, 9)]]
    await peer.emit("echo", *args)
    equal(await peer.next("echo"), args)
    equal(await peer.call("echo-ack", *args), tuple(args))


async def scenario_binary_900_kb(ctx):
    peer = await ctx.connect()
    args = [bytes_of(300_000, 1), {"deep": [bytes_of(300_000, 2)]}, bytes_of(300_000, 3)]
    await peer.emit("echo", *args)
    equal(await peer.next("echo"), args)


async def scenario_unicode(ctx):
    peer = await ctx.connect()
    value = {UNICODE: [UNICODE, {"list": [UNICODE]}]}
    await peer.emit("echo", UNICODE, value)
    equal(await peer.next("echo"), [UNICODE, value])
    room = unique("комната-😀")
    equal(await peer.call("join", room), [room])


async def scenario_ordered_10000_each_way(ctx):
    peer = await ctx.connect()
    for start in range(0, MESSAGES, 2_000):
        await peer.emit("flood", start, start + 2_000)
        await peer.emit_many("count", range(start, start + 2_000))
    equal(await peer.call("counted"), (MESSAGES, True))
    received = [(await peer.next("n"))[0] for _ in range(MESSAGES)]
    equal(received if peer.keeps_order else sorted(received), list(range(MESSAGES)))


# Acknowledgements


async def scenario_ack_from_server(ctx):
    peer = await ctx.connect()
    equal(await peer.call("echo-ack"), None)
    equal(await peer.call("echo-ack", 1, "two", {"three": 3}), (1, "two", {"three": 3}))
    answers = await asyncio.gather(*(peer.call("echo-ack", n) for n in range(20)))
    equal(answers, list(range(20)))


async def scenario_ack_from_client(ctx):
    peer = await ctx.connect()
    peer.answer = lambda value: {"heard": value}
    await peer.emit("ask-me", {"a": [1, "ü"]}, 10_000)
    equal(await peer.next("answer"), ["ok", {"heard": {"a": [1, "ü"]}}])
    await peer.emit("ask-me", bytes_of(50), 10_000)
    equal(await peer.next("answer"), ["ok", {"heard": bytes_of(50)}])


async def scenario_ack_timeout_at_client(ctx):
    peer = await ctx.connect()
    try:
        await peer.call("never", "x", timeout=SILENCE_S)
    except socketio.exceptions.TimeoutError:
        equal(await peer.call("echo-ack", "alive"), "alive")
        return
    raise AssertionError("an event without an answer was answered")


async def scenario_ack_timeout_at_server(ctx):
    peer = await ctx.connect()
    await peer.emit("ask-me", "silence", int(SILENCE_S * 1000))
    equal(await peer.next("answer"), ["timeout", None])
    equal(await peer.call("echo-ack", "alive"), "alive")


# Rooms


async def scenario_rooms_and_broadcast(ctx):
    red, blue, everybody = unique("red"), unique("blue"), unique("all")
    peers = [await ctx.connect() for _ in range(4)]
    a, b, c, d = peers
    for peer in peers:
        await peer.call("join", everybody)
    for peer in (a, b):
        equal(await peer.call("join", red), sorted([everybody, red]))
    for peer in (b, c):
        await peer.call("join", blue)

    await a.call("say", "to", [red], [], "red without sender")  # b
    await a.call("say", "within", [red], [], "red with sender")  # a b
    await a.call("say", "to", [red, blue], [], "two rooms, once each")  # b c
    await a.call("say", "to", [everybody], [blue], "all but blue")  # d
    await a.call("say", "within", [everybody], [red, blue], "all but both")  # d
    equal(await b.call("leave", red), sorted([everybody, blue]))
    await a.call("say", "to", [red], [], "b has left")
    await a.call("say", "within", [everybody], [], "end")

    expected = [
        ["red with sender"],
        ["red without sender", "red with sender", "two rooms, once each"],
        ["two rooms, once each"],
        ["all but blue", "all but both"],
    ]
    for peer, values in zip(peers, expected, strict=True):
        heard = [(await peer.next("said"))[0] for _ in range(len(values) + 1)]
        wanted = [*values, "end"]
        equal(heard if peer.keeps_order else sorted(heard), wanted if peer.keeps_order else sorted(wanted))


# Heartbeats


async def scenario_heartbeat_keeps_alive(ctx):
    peer = await ctx.connect(port=ctx.settings["fastPort"])
    # Twice interval plus timeout in silence: without a heartbeat one of the sides would have closed.
    await asyncio.sleep(2 * ctx.settings["fastMs"] / 1000)
    equal(await peer.call("echo-ack", "alive"), "alive")


async def scenario_heartbeat_lost_client(ctx):
    port = ctx.settings["fastPort"]
    watcher = await ctx.connect("/watch", port=port)
    process, socket_id = await ctx.hold(port)
    process.send_signal(signal.SIGSTOP)
    equal(await gone_reason(watcher, socket_id), "ping timeout")


async def scenario_heartbeat_lost_server(ctx):
    server = await ctx.server(*ctx.settings["fastFlags"])
    peer = await ctx.connect(port=server.port)
    server.pause()
    # This client has one reason for every loss that it notices by itself.
    equal(await peer.next("disconnect"), ["transport error"])
