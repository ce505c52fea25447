"""The blocking and the asyncio client of python-socketio behind one asyncio face."""

import asyncio
import os

import socketio
from locked_tls import locked_context

STEP_S = 12
COLLECTED = ("auth", "echo", "answer", "answers", "said", "n", "gone")


class Peer:
    """One client: everything it receives is collected until somebody asks for it."""

    def __init__(self, transports, **options):
        self.loop = asyncio.get_running_loop()
        self.transports = transports
        self.inboxes = {}
        self.answer = None  # what the client answers a question; None: it never answers
        self.sio = self.client_class(reconnection=options.pop("reconnection", False), **options)

    def inbox(self, event, namespace="/"):
        return self.inboxes.setdefault((event, namespace), asyncio.Queue())

    def collect(self, event, namespace, args):
        """Called from any thread."""
        self.loop.call_soon_threadsafe(lambda: self.inbox(event, namespace).put_nowait(list(args)))

    async def next(self, event, namespace="/"):
        """The arguments of the next `event` that was or will be collected."""
        return await asyncio.wait_for(self.inbox(event, namespace).get(), STEP_S)

    def listen(self, namespaces):
        for namespace in namespaces:
            for event in (*COLLECTED, "connect", "connect_error", "disconnect"):
                self.sio.on(event, self.listener(event, namespace), namespace=namespace)
            self.sio.on("question", self.question, namespace=namespace)

    def arguments(self, namespaces, auth):
        return {
            "auth": auth,
            "namespaces": namespaces,
            "transports": self.transports,
            "wait_timeout": STEP_S,
        }

    def id(self, namespace="/"):
        return self.sio.get_sid(namespace)

    def transport(self):
        return self.sio.eio.current_transport


class BlockingPeer(Peer):
    """`socketio.Client`: its blocking calls run in threads."""

    client_class = socketio.Client
    # This client starts one thread for each message, so its handlers may run in another order.
    keeps_order = False

    def __init__(self, transports, **options):
        context = locked_context(os.environ["WEBSOCKET_CLIENT_CA_BUNDLE"])
        super().__init__(transports, websocket_extra_options={"sslopt": {"context": context}}, **options)

    def listener(self, event, namespace):
        return lambda *args: self.collect(event, namespace, args)

    def question(self, value):
        if self.answer is None:
            # Returning would answer: hold the thread until the case is over.
            asyncio.run_coroutine_threadsafe(self.silence(), self.loop).result()
        return self.answer(value)

    async def silence(self):
        await self.inbox("case over").get()

    async def connect(self, url, namespaces=("/",), auth=None):
        self.listen(namespaces)
        await asyncio.to_thread(self.sio.connect, url, **self.arguments(list(namespaces), auth))

    async def emit(self, event, *args, namespace="/"):
        await asyncio.to_thread(self.sio.emit, event, args, namespace=namespace)

    async def emit_many(self, event, values):
        def run():
            for value in values:
                self.sio.emit(event, value)

        await asyncio.to_thread(run)

    async def call(self, event, *args, namespace="/", timeout=STEP_S):
        return await asyncio.to_thread(self.sio.call, event, args, namespace=namespace, timeout=timeout)

    async def close(self):
        self.inbox("case over").put_nowait(None)
        await asyncio.to_thread(self.sio.disconnect)


class AsyncPeer(Peer):
    """`socketio.AsyncClient`."""

    client_class = socketio.AsyncClient
    keeps_order = True

    def listener(self, event, namespace):
        def collect(*args):
            self.inbox(event, namespace).put_nowait(list(args))

        return collect

    async def question(self, value):
        if self.answer is None:
            await self.inbox("case over").get()
        return self.answer(value)

    async def connect(self, url, namespaces=("/",), auth=None):
        self.listen(namespaces)
        await self.sio.connect(url, **self.arguments(list(namespaces), auth))

    async def emit(self, event, *args, namespace="/"):
        await self.sio.emit(event, args, namespace=namespace)

    async def emit_many(self, event, values):
        for value in values:
            await self.sio.emit(event, value)

    async def call(self, event, *args, namespace="/", timeout=STEP_S):
        return await self.sio.call(event, args, namespace=namespace, timeout=timeout)

    async def close(self):
        self.inbox("case over").put_nowait(None)
        await self.sio.disconnect()
        if self.sio.eio.http is not None and not self.sio.eio.http.closed:
            await self.sio.eio.http.close()


PEERS = {"python-socketio": BlockingPeer, "python-socketio-asyncio": AsyncPeer}
