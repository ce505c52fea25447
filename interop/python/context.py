"""What a scenario works with: a server's address, connected clients, and the duty to end all of it."""

import asyncio
import json
import signal
import sys
from pathlib import Path

from peers import PEERS, STEP_S

TRANSPORTS = {"websocket": ["websocket"], "polling": ["polling"], "upgrade": None}
WORKER = Path(__file__).with_name("worker.py")
counter = 0


def unique(prefix):
    """A name nobody else uses in this run: servers are shared by many cases."""
    global counter
    counter += 1
    return f"{prefix}-{id(asyncio.get_running_loop())}-{counter}"


def bytes_of(length, seed=1):
    """`length` bytes that differ from place to place and are the same in every run."""
    return bytes((seed * 131 + at * at + (at >> 8)) & 0xFF for at in range(length))


class Context:
    """The context of one case."""

    def __init__(self, group, settings):
        self.group = group
        self.settings = settings
        self.endings = []

    def url(self, port=None):
        return f"{'https' if self.group['tls'] else 'http'}://127.0.0.1:{port or self.settings['port']}"

    def peer(self, **options):
        """A client of the kind under test, not connected yet."""
        peer = PEERS[self.group["client"]](TRANSPORTS[self.group["transport"]], **options)
        self.endings.append(peer.close)
        return peer

    async def connect(self, *namespaces, port=None, auth=None):
        """A connected client, in the given namespaces or in `/`."""
        peer = self.peer()
        await peer.connect(self.url(port), namespaces or ("/",), auth)
        return peer

    async def server(self, *extra, port=0):
        """A server of this case's own, with the group's flags and `extra` ones."""
        flags = [*self.settings["flags"], *extra, "--port", str(port)]
        for _ in range(50):
            process = await asyncio.create_subprocess_exec(
                *self.settings["command"], *flags, stdout=asyncio.subprocess.PIPE
            )
            line = await asyncio.wait_for(process.stdout.readline(), STEP_S)
            if line.startswith(b"listening "):
                server = Server(process, int(line.split()[1]))
                self.endings.append(server.kill)
                return server
            # A given port may be taken for a moment, by an outgoing connection that got the same number.
            await process.wait()
            await asyncio.sleep(0.1)
        raise RuntimeError(f"the server does not start on port {port}")

    async def hold(self, port):
        """The client in a process of its own (which can then be stopped); its process and socket id."""
        job = json.dumps({"group": self.group, "settings": {**self.settings, "port": port}, "hold": True})
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(WORKER), job, stdout=asyncio.subprocess.PIPE
        )

        async def end():
            process.kill()
            await process.wait()

        self.endings.append(end)
        line = await asyncio.wait_for(process.stdout.readline(), STEP_S)
        return process, line.decode().strip()

    async def end(self):
        for ending in reversed(self.endings):
            await ending()


class Server:
    """One process of the server under test."""

    def __init__(self, process, port):
        self.process = process
        self.port = port

    def pause(self):
        """Its connections stay open, but nobody answers any more."""
        self.process.send_signal(signal.SIGSTOP)

    async def stop(self):
        """SIGTERM; returns the exit code."""
        self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), STEP_S)

    async def kill(self):
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
