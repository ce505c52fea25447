"""What the modes of `trunkline bench` need of a server, on python-socketio's; see ../reference/bench-server.mjs."""

import argparse
import asyncio

import socketio
from aiohttp import web

from mended_engine import mend_engine

mend_engine()
sio = socketio.AsyncServer(async_mode="aiohttp", async_handlers=False)


@sio.event
async def connect(sid, environ, auth):
    # The CONNECT packet is sent when this handler returns; who connects hears only of those after it.
    await sio.emit("picture", b"\x00\xff")


@sio.event
async def echo(sid, text):
    await sio.emit("echo", text, to=sid)


@sio.event
async def ack(sid, text):
    return text


@sio.event
async def pub(sid, text):
    await sio.emit("msg", text)


@sio.event
async def join(sid, room):
    await sio.enter_room(sid, room)
    return ()


@sio.event
async def publish(sid, room, event, text):
    await sio.emit(event, text, room=room, skip_sid=sid)
    return ()


async def serve(port):
    app = web.Application()
    sio.attach(app)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print(f"listening {runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, default=0)
asyncio.run(serve(parser.parse_args().port))
