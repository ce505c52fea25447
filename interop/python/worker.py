"""Runs the cases of one group and reports each to the runner as one line of JSON; or holds one client."""

import asyncio
import json
import os
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

import scenarios
from context import Context
from engineio.payload import Payload

CASE_S = 40
AT_ONCE = 4

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
    report = {"name": name, "failure": failure, "ms": (time.monotonic() - began) * 1000}
    print(json.dumps({key: value for key, value in report.items() if value is not None}), flush=True)


async def run_group(job):
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(64))
    names = list(job["names"])

    async def run_some():
        while names:
            await run_case(names.pop(0), job["group"], job["settings"])

    await asyncio.gather(*(run_some() for _ in range(AT_ONCE)))


async def hold(job):
    peer = await Context(job["group"], job["settings"]).connect()
    print(peer.id(), flush=True)
    await asyncio.Event().wait()


job = json.loads(sys.argv[1])
asyncio.run(hold(job) if job.get("hold") else run_group(job))
# The blocking client may leave a thread in a request that nobody waits for any more.
os._exit(0)
