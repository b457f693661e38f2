"""The Workload API in as little as it takes, with the standard library alone: what an agent without any package can do."""
import contextlib
import os
import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7


def frame(kind, flags, stream, payload):
    return struct.pack("!I", len(payload))[1:] + bytes([kind, flags]) + struct.pack("!I", stream) + payload


def headers(fields):
    """HPACK without tables and without Huffman: literals (RFC 7541, 6.2.2)."""
    out = b""
    for name, value in fields:
        out += b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
    return out


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def fields(message):
    """(number, bytes or int) of each field."""
    at = 0

    def number():
        nonlocal at
        n = shift = 0
        while True:
            b = message[at]
            at += 1
            n |= (b & 127) << shift
            shift += 7
            if b < 128:
                return n

    while at < len(message):
        key = number()
        if key & 7 == 2:
            size = number()
            yield key >> 3, message[at:at + size]
            at += size
        else:
            yield key >> 3, number()


def serial_of(der):
    """The serial number of a certificate, in hex: the first INTEGER after the version (RFC 5280, 4.1)."""
    def element(at):
        size, at = der[at + 1], at + 2
        if size > 127:
            n = size & 127
            size, at = int.from_bytes(der[at:at + n], "big"), at + n
        return at, at + size
    inside, _ = element(0)
    inside, _ = element(inside)
    _, after_version = element(inside)
    begin, end = element(after_version)
    return der[begin:end].lstrip(b"\0").hex()


class Ended(Exception):
    """The call ended: refused, or the node's side went away."""


class Workload:
    def __init__(self, path=None, timeout=10):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(path or os.environ["SPIFFE_ENDPOINT_SOCKET"].removeprefix("unix://"))
        except OSError as e:
            self.socket.close()
            raise Ended(str(e)) from e
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def call(self, method, message=b"", path="/SpiffeWorkloadAPI/"):
        """One call on this connection; yields each message that comes, raises Ended at its end."""
        try:
            self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0, b"") + frame(HEADERS, 4, 1, headers([
                (":method", "POST"), (":scheme", "http"), (":path", path + method), (":authority", "localhost"),
                ("content-type", "application/grpc"), ("te", "trailers"), ("workload.spiffe.io", "true"),
            ])) + frame(DATA, 1, 1, b"\0" + struct.pack("!I", len(message)) + message))
            data = b""
            while True:
                kind, flags, stream, payload = self.frame()
                if kind in (SETTINGS, PING) and not flags & 1:
                    with contextlib.suppress(BrokenPipeError):  # who has said all and gone is still read
                        self.socket.sendall(frame(kind, 1, 0, payload if kind == PING else b""))
                elif kind == DATA:
                    data += payload
                    while len(data) >= 5 and len(data) >= 5 + (size := struct.unpack("!I", data[1:5])[0]):
                        yield data[5:5 + size]
                        data = data[5 + size:]
                gone = kind == GOAWAY and int.from_bytes(payload[:4], "big") & 0x7fffffff < 1  # else this call goes on
                if kind == RST_STREAM or gone or (stream == 1 and flags & 1 and kind in (DATA, HEADERS)):
                    raise Ended(f"frame {kind}")
        except OSError as e:
            raise Ended(str(e)) from e

    def frame(self):
        head = self.read(9)
        size = int.from_bytes(head[:3], "big")
        return head[3], head[4], int.from_bytes(head[5:], "big") & 0x7fffffff, self.read(size)

    def read(self, size):
        while len(self.buffer) < size:
            more = self.socket.recv(65536)
            if not more:
                raise Ended("closed")
            self.buffer += more
        out, self.buffer = self.buffer[:size], self.buffer[size:]
        return out


def svids(response):
    """X509SVIDResponse: ([(SPIFFE ID, serial)], [revocation list])."""
    found, crls = [], []
    for number, value in fields(response):
        if number == 1:
            svid = dict(fields(value))
            found.append((svid[1].decode(), serial_of(svid[2])))
        elif number == 2:
            crls.append(value)
    return found, crls


def fetch(method="FetchX509SVID", message=b"", **options):
    """The first answer of a call."""
    with Workload(**options) as api:
        return next(api.call(method, message))
