"""A TLS socket that several threads may use, for the blocking client.

That client reads in one thread, writes in another and closes in a third. Before Python 3.13 an SSL object has no lock: two calls
at once spoil each other's error state, and a read after the close uses the number of a descriptor that may belong to
another connection by then. Under load a few runs in a hundred failed for it, against the Node.js server too.
"""

import select
import ssl
import threading
import time


class LockedSSLSocket(ssl.SSLSocket):
    """Never waits inside OpenSSL: it waits for the descriptor, and calls OpenSSL under a lock."""

    _lock = threading.RLock()  # for the handshake; each socket has its own afterwards
    _seconds = None
    _ready = False

    def do_handshake(self, block=False):
        super().do_handshake(block)
        self._seconds = super().gettimeout()
        super().settimeout(0)
        self._lock = threading.RLock()
        self._ready = True

    def settimeout(self, value):
        if self._ready:
            self._seconds = value
        else:
            super().settimeout(value)

    def gettimeout(self):
        return self._seconds if self._ready else super().gettimeout()

    def recv(self, buflen=1024, flags=0):
        return self._repeat(lambda: super(LockedSSLSocket, self).recv(buflen, flags))

    def send(self, data, flags=0):
        return self._repeat(lambda: super(LockedSSLSocket, self).send(data, flags))

    def shutdown(self, how):
        with self._lock:
            super().shutdown(how)

    def _real_close(self):
        with self._lock:
            super()._real_close()

    def _repeat(self, call):
        deadline = None if self._seconds is None else time.monotonic() + self._seconds
        while True:
            with self._lock:
                descriptor = self.fileno()
                try:
                    return call()
                except ssl.SSLWantReadError:
                    events = select.POLLIN
                except ssl.SSLWantWriteError:
                    events = select.POLLOUT
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise TimeoutError("timed out")
            poll = select.poll()
            poll.register(descriptor, events)
            poll.poll(None if left is None else left * 1000)


def locked_context(cafile):
    """A context that verifies as the default one does, and makes such sockets."""
    context = ssl.create_default_context(cafile=cafile)
    context.sslsocket_class = LockedSSLSocket
    return context
