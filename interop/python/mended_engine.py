"""Mends two defects of python-engineio's server, for which clients that did nothing wrong failed.

A packet for several clients remembers the first encoding made of it, but a binary one has two: bytes for WebSocket, base64 for
polling. Once a client on WebSocket has been served, the GETs of those on polling are answered with 500, and the packet is lost.
With msgpack every packet is binary, so a watcher on polling was lost as soon as another case had one on WebSocket.

The body of a POST is read once, which gives only what has arrived by then: a body of several reads is cut.
"""

from engineio.async_drivers import aiohttp as driver
from engineio.packet import Packet


def mend_engine():
    """To be called once, before a server is made."""
    Packet.encode = encode_anew
    driver._async["translate_request"] = translate_whole


def encode_anew(packet, b64=False, encode=Packet.encode):
    packet.encode_cache = None
    return encode(packet, b64)


def translate_whole(request):
    environ = driver.translate_request(request)
    environ["wsgi.input"] = WholeBody(request.content)
    return environ


class WholeBody:
    """What the engine reads a body from: as many bytes as the length says."""

    def __init__(self, content):
        self.read = content.readexactly
