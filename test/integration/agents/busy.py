"""An agent that does one thing again and again and writes down, one JSON a line, what it was answered.

usage: busy.py calls|svids|watch|execs|garbage OUT [N], or busy.py revoked: prints the revocation lists and ends
What the node does not answer is tried again: the node's processes are killed while this runs.
"""
import http.client
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from workload import Ended, Workload, fetch, field, svids  # noqa: E402

what = sys.argv[1]
out = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND) if len(sys.argv) > 2 else 1


def say(begun, **line):
    # One write: a line is there whole or not at all.
    os.write(out, (json.dumps({"begun": begun, **line}) + "\n").encode())


def call(host):
    connection = http.client.HTTPConnection("127.0.0.1", 15001, timeout=10)
    try:
        connection.request("GET", f"http://{host}/{time.monotonic_ns()}")
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def calls():
    n = 0
    while True:
        begun, n = time.time(), n + 1
        try:
            status, body = call("calls.test")
            if status == 200 and body == b"ok":
                say(begun, call="allowed")
            else:
                say(begun, call="refused", status=status)
            # Rarely enough for each to be a record of its own: what repeats faster is counted.
            status, body = call("nowhere.test") if n % 8 == 0 else (0, b"")
            if status == 403:
                say(begun, call="denied", decision=json.loads(body)["decision_id"])
        except (OSError, http.client.HTTPException, ValueError) as e:
            say(begun, error=str(e))
        time.sleep(0.01)


def serve_svids(once=False):
    while True:
        begun = time.time()
        try:
            found, _ = svids(fetch())
            token = fetch("FetchJWTSVID", field(1, b"peer-%d" % (time.monotonic_ns() % 4)))
            say(begun, svids=found, jwt=len(token))
            if once:
                return
        except Ended as e:
            say(begun, error=str(e))
        time.sleep(0.02)


def watch():
    while True:
        begun = time.time()
        try:
            with Workload(timeout=None) as api:
                for response in api.call("FetchX509SVID"):
                    say(begun, svids=svids(response)[0])
        except Ended as e:
            say(begun, ended=str(e))
        time.sleep(0.02)


def execs():
    serve_svids(once=True)
    time.sleep(1)  # an instance has a bounded share of certificates that have not run out
    # Another program each time: what it was given before is void then.
    other = "again.py" if sys.argv[0].endswith("busy.py") else "busy.py"
    os.execv(sys.executable, [sys.executable, "-SE", other, *sys.argv[1:]])


def garbage():
    """Bytes that nobody asked for, at every door that an agent has. N is the seed."""
    import random
    import socket
    rnd = random.Random(int(sys.argv[3]))

    def knock(family, kind, address, first):
        with socket.socket(family, kind) as s:
            s.settimeout(1)
            try:
                s.connect(address)
                for _ in range(rnd.randrange(1, 4)):
                    s.send(first + bytes(rnd.randrange(256) for _ in range(rnd.choice((1, 9, 40, 900)))))
                    first = b""
                s.shutdown(socket.SHUT_WR)
                s.recv(100)
            except OSError:
                pass  # refused, cut off, or silent: all fine
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
    api = os.environ["SPIFFE_ENDPOINT_SOCKET"].removeprefix("unix://")
    doors = [(socket.AF_UNIX, socket.SOCK_STREAM, api, b""), (socket.AF_UNIX, socket.SOCK_STREAM, api, preface),
             (socket.AF_UNIX, socket.SOCK_SEQPACKET, os.path.dirname(api) + "/launch.sock", b""),
             (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 15001), b""),
             (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 15001), b"GET http://calls.test/ HTTP/1.1\r\n"),
             (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 15001), b"CONNECT calls.test:80 HTTP/1.1\r\nHost: calls.test\r\n\r\n"),
             (socket.AF_INET, socket.SOCK_STREAM, ("198.18.0.1", 443), b"\x16\x03\x01"),
             (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 53), b""), (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 53), b"")]
    for _ in range(200):
        knock(*rnd.choice(doors))
    say(time.time(), knocked=200)


def revoked():
    _, crls = svids(fetch())
    say(time.time(), crls=[c.hex() for c in crls])


{"calls": calls, "svids": serve_svids, "watch": watch, "execs": execs, "garbage": garbage, "revoked": revoked}[what]()
