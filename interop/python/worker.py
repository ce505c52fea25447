"""Runs the cases of one group and reports each to the runner as one line of JSON; or holds one client."""

import asyncio
import json
import os
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

import scenarios
from context import Context
from engineio.payload import Payload

CASE_S = 40
AT_ONCE = 4
THREADS_S = 5

# The client's documented setting for servers that send many packets in one polling response; its default is 16.
Payload.max_decode_packets = 20_000


async def run_case(name, group, settings):
    context = Context(group, settings)
    scenario = getattr(scenarios, "scenario_" + name.replace("-", "_"))
    began = time.monotonic()
    failure = None
    try:
        await asyncio.wait_for(scenario(context), CASE_S)
    except Exception:
        failure = traceback.format_exc()
    try:
        await asyncio.wait_for(context.end(), CASE_S)
    except Exception:
        failure = failure or "cleaning up: " + traceback.format_exc()
    if alone(group):
        await asyncio.to_thread(join_loops)
    report = {"name": name, "failure": failure, "ms": (time.monotonic() - began) * 1000}
    print(json.dumps({key: value for key, value in report.items() if value is not None}), flush=True)


def alone(group):
    """Whether the cases of a group must not overlap.

    The blocking client closes its TLS socket in one thread while another may still be reading: that OpenSSL call then
    uses the number of a closed descriptor, and takes bytes from whichever connection was opened with the same number
    since (seen against the Node.js server too).
    """
    return group["client"] == "python-socketio" and group["tls"] and group["transport"] != "polling"


def join_loops():
    """Waits until no thread reads or writes a connection of the blocking client."""
    deadline = time.monotonic() + THREADS_S
    for thread in threading.enumerate():
        if "_loop" in thread.name:
            thread.join(max(0, deadline - time.monotonic()))


async def run_group(job):
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(64))
    names = list(job["names"])

    async def run_some():
        while names:
            await run_case(names.pop(0), job["group"], job["settings"])

    await asyncio.gather(*(run_some() for _ in range(1 if alone(job["group"]) else AT_ONCE)))


async def hold(job):
    peer = await Context(job["group"], job["settings"]).connect()
    print(peer.id(), flush=True)
    await asyncio.Event().wait()


job = json.loads(sys.argv[1])
asyncio.run(hold(job) if job.get("hold") else run_group(job))
# The blocking client may leave a thread in a request that nobody waits for any more.
os._exit(0)
