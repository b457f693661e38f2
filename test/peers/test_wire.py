#!/usr/bin/env python3
"""Real clients against our servers: grpcio, nghttp and h2load (HTTP/2), curl (HTTP/1)."""
import json
import os
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

BIN = Path(os.environ["HEXR_BIN"])


def run(*argv, data=None):
    return subprocess.run(argv, input=data, capture_output=True, timeout=60, check=False)


class Wire(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = cls.folder.name + "/api.sock"
        cls.server = subprocess.Popen([BIN / "wire_peer_server", cls.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        where = json.loads(cls.server.stdout.readline())
        cls.http = f"http://127.0.0.1:{where['http_port']}"
        cls.h2 = f"http://127.0.0.1:{where['grpc_port']}"
        cls.channel = grpc.insecure_channel("unix:" + cls.path)

    @classmethod
    def tearDownClass(cls):
        cls.channel.close()
        cls.server.stdin.close()
        assert cls.server.wait(timeout=10) == 0
        cls.server.stdout.close()
        cls.folder.cleanup()

    def unary(self, method, message=b"", **options):
        return self.channel.unary_unary("/test.Echo/" + method)(message, timeout=10, **options)

    def code_of(self, call):
        with self.assertRaises(grpc.RpcError) as caught:
            call()
        return caught.exception

    def test_grpc_unary(self):
        self.assertEqual(self.unary("Unary", b"hello"), b"hello")
        self.assertEqual(self.unary("Unary", b""), b"")
        large = os.urandom(3_000_000)
        self.assertEqual(self.unary("Unary", large), large)

    def test_grpc_knows_the_process(self):
        self.assertEqual(int(self.unary("Pid")), os.getpid())

    def test_grpc_streams(self):
        stream = self.channel.stream_stream("/test.Echo/Stream")
        messages = [bytes([i]) * 10_000 for i in range(100)]
        self.assertEqual(list(stream(iter(messages), timeout=10)), messages)

    def test_grpc_errors(self):
        denied = self.code_of(lambda: self.unary("Deny"))
        self.assertEqual((denied.code(), denied.details()), (grpc.StatusCode.PERMISSION_DENIED, "100% no: ü"))
        self.assertEqual(self.code_of(lambda: self.unary("Nothing")).code(), grpc.StatusCode.UNIMPLEMENTED)
        compressed = self.code_of(lambda: self.unary("Unary", b"x" * 10_000, compression=grpc.Compression.Gzip))
        self.assertEqual(compressed.code(), grpc.StatusCode.UNIMPLEMENTED)
        waiting = self.channel.stream_stream("/test.Echo/Stream")

        silence = threading.Event()

        def nothing():
            silence.wait(10)
            yield from ()

        late = self.code_of(lambda: list(waiting(nothing(), timeout=0.2)))
        silence.set()
        self.assertEqual(late.code(), grpc.StatusCode.DEADLINE_EXCEEDED)

    def test_grpc_cancel(self):
        call = self.channel.stream_stream("/test.Echo/Stream")(iter([b"1"]), timeout=10)
        self.assertEqual(next(call), b"1")
        call.cancel()
        self.assertEqual(self.unary("Unary", b"still here"), b"still here")

    def test_grpc_health(self):
        stub = health_pb2_grpc.HealthStub(self.channel)
        self.assertEqual(stub.Check(health_pb2.HealthCheckRequest()).status, health_pb2.HealthCheckResponse.SERVING)
        watch = stub.Watch(health_pb2.HealthCheckRequest(service="nobody"))
        self.assertEqual(next(watch).status, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)
        watch.cancel()

    def test_grpc_reflection(self):
        database = ProtoReflectionDescriptorDatabase(self.channel)
        self.assertIn("grpc.health.v1.Health", database.get_services())
        file = database.FindFileContainingSymbol("grpc.health.v1.Health")
        self.assertEqual([m.name for m in file.service[0].method], ["Check", "Watch"])

    def test_nghttp(self):
        out = run("nghttp", "-v", self.h2 + "/test.Echo/Unary").stdout.decode()
        self.assertIn(":status: 405", out)
        self.assertNotIn("PROTOCOL_ERROR", out)

    def test_h2load(self):
        with tempfile.NamedTemporaryFile() as body:
            body.write(b"\0\0\0\0\5hello")
            body.flush()
            out = run("h2load", "-n", "20000", "-c", "10", "-m", "20", "-d", body.name, "-H", "content-type: application/grpc",
                      "-H", "te: trailers", self.h2 + "/test.Echo/Unary").stdout.decode()
        self.assertIn("20000 succeeded, 0 failed, 0 errored, 0 timeout", out)
        print([line for line in out.splitlines() if line.startswith("finished")])

    def test_curl(self):
        def curl(*arguments, data=None):
            out = run("curl", "-sS", "--max-time", "20", *arguments, data=data)
            self.assertEqual(out.returncode, 0, out.stderr)
            return out.stdout
        self.assertEqual(curl(self.http + "/a?b"), b"/a?b")
        self.assertEqual(curl("--http1.0", self.http + "/old"), b"/old")
        self.assertIn(b"Content-Length: 2", curl("-I", self.http + "/h"))
        large = os.urandom(2_000_000)
        self.assertEqual(curl("--data-binary", "@-", self.http + "/", data=large), large)  # waits for 100 Continue
        self.assertEqual(curl("-H", "Transfer-Encoding: chunked", "--data-binary", "@-", self.http + "/", data=large), large)
        self.assertEqual(curl(self.http + "/stream").count(b"piece"), 1000)
        self.assertEqual(curl("--http1.0", self.http + "/stream").count(b"piece"), 1000)
        self.assertEqual(curl(self.http + "/1", self.http + "/2"), b"/1/2")


if __name__ == "__main__":
    unittest.main()
