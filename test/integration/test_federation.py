"""Two nodes that trust each other's agents, by both profiles of SPIFFE Federation, and servers that do not deserve it."""
import json
import subprocess
import unittest

from node import BIN, Node
from waiting import wait_for
from web import Authority, Server, free_port, get

ROLES = 'roles: [{agent: "*", role: "*", exe: "*", user: "*"}]\n'


def bundle_state(node, trust_domain):
    return next((b for b in node.json("bundle", "list")["bundles"] if b["trust_domain"] == trust_domain), {})


def refreshed(node, trust_domain):
    return wait_for(lambda: bundle_state(node, trust_domain).get("refreshed"))


def node_of(trust_domain, more, start=True):
    return Node(config=f"trust_domain: {trust_domain}\n{ROLES}{more}\n", start=start)


class Federation(unittest.TestCase):
    def setUp(self):
        self.web = Authority()
        self.addCleanup(self.web.close)

    def agent_svid(self, node):
        """An agent of this node fetches its SVID into a folder."""
        folder = node.home / "svid"
        folder.mkdir(exist_ok=True)
        folder.chmod(0o777)
        node.hexr("run", "--agent", "crew", "--rw", str(folder), "--", "hexr", "svid", "fetch", "--write", str(folder))
        return folder / "svid.pem"

    def assert_verifies(self, node, trust_domain, svid):
        bundle = node.home / "bundle.json"
        bundle.write_text(node.hexr("bundle", "show", trust_domain).stdout)
        self.assertIn(f"spiffe://{trust_domain}/agent/default/crew/main", node.hexr("svid", "verify", str(svid), "--bundle", str(bundle)).stdout)

    def test_two_nodes_federate_by_https_spiffe(self):
        ports = {"a.test": free_port(), "b.test": free_port()}

        def config(own, other, bundle):
            return f"""trust_domain: {own}
{ROLES}bundle_endpoint: {{listen: "127.0.0.1:{ports[own]}"}}
federates_with:
  - {{trust_domain: {other}, url: "https://127.0.0.1:{ports[other]}/", bundle: {bundle}}}
"""
        endpoint = f'bundle_endpoint: {{listen: "127.0.0.1:{ports["a.test"]}"}}'
        with node_of("a.test", endpoint) as a, node_of("b.test", "", start=False) as b:
            first = a.home / "a.json"
            first.write_text(a.hexr("bundle", "show").stdout)
            b.config_file.write_text(config("b.test", "a.test", first))
            b.up()
            refreshed(b, "a.test")
            second = b.home / "b.json"
            second.write_text(b.hexr("bundle", "show").stdout)
            a.down()
            a.config_file.write_text(config("a.test", "b.test", second))
            a.up()
            refreshed(a, "b.test")
            self.assert_verifies(b, "a.test", self.agent_svid(a))
            self.assert_verifies(a, "b.test", self.agent_svid(b))
            # What was fetched outlives both the other side and our own restart.
            a.down()
            b.down()
            first.write_text(json.dumps({"keys": []}))
            b.up()
            state = bundle_state(b, "a.test")
            self.assertEqual((state["source"], state["x509_authorities"]), ("federation", 1))
            wait_for(lambda: bundle_state(b, "a.test").get("error"))
            self.assertEqual(bundle_state(b, "a.test")["x509_authorities"], 1)

    def test_by_https_web_with_a_certificate_that_is_renewed(self):
        port = free_port()
        certificate, key = self.web.issue("bundle")
        endpoint = f'bundle_endpoint: {{listen: "127.0.0.1:{port}", profile: https_web, certificate: {certificate}, key: {key}}}'
        with node_of("a.test", endpoint) as a:
            status, headers, body = get(f"https://127.0.0.1:{port}/", self.web.ca)
            self.assertEqual((status, headers["Content-Type"], headers["Cache-Control"]), (200, "application/json", "public, max-age=300"))
            self.assertEqual(json.loads(body)["keys"], a.json("bundle", "show")["keys"])
            peer = f'federates_with: [{{trust_domain: a.test, url: "https://127.0.0.1:{port}/", profile: https_web, ca: {self.web.ca}}}]'
            with node_of("b.test", peer) as b:
                refreshed(b, "a.test")
                self.assert_verifies(b, "a.test", self.agent_svid(a))
                # Another trust domain's bundle never stands for ours.
                other = b.home / "a.json"
                other.write_text(body)
                self.assertNotEqual(b.hexr("bundle", "set", "b.test", str(other), check=False).returncode, 0)

    def test_workloads_hear_of_another_trust_domain_on_open_streams(self):
        server = Server(*self.web.issue("s"), {"/": (503, {}, "later")})
        self.addCleanup(server.close)
        peer = f'federates_with: [{{trust_domain: o.test, url: "{server.url}/", profile: https_web, ca: {self.web.ca}}}]'
        with node_of("a.test", peer) as a, node_of("o.test", "") as o:
            wait_for(lambda: "503" in bundle_state(a, "o.test").get("error", ""))
            watch = subprocess.Popen([BIN / "hexr", "run", "--agent", "crew", "--", "hexr", "svid", "watch", "--output", "json"], env=a.env,
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
            self.addCleanup(watch.wait)
            self.addCleanup(watch.kill)
            self.addCleanup(watch.stdout.close)
            first = json.loads(watch.stdout.readline())
            self.assertEqual(first["federated_bundles"], [])
            server.pages["/"] = o.hexr("bundle", "show").stdout
            later = first
            while not later["federated_bundles"]:  # a push that never comes is the test's time-out
                later = json.loads(watch.stdout.readline())
            self.assertEqual((later["federated_bundles"], later["svids"]), (["spiffe://o.test"], first["svids"]))
            self.assertEqual(bundle_state(a, "o.test")["x509_authorities"], 1)

    def test_servers_that_lie(self):
        inside = Server(*self.web.issue("inside"), {"/latest": '{"keys": []}'})
        stranger = Authority()
        self.addCleanup(stranger.close)
        bad_certificate = Server(*stranger.issue("bad"), {"/": '{"keys": []}'})
        bad = Server(*self.web.issue("bad"), {
            "/redirect": (302, {"Location": inside.url + "/latest"}, ""),
            "/large": '{"keys": [' + " " * (2 << 20) + "]}",
            "/page": "<html>"})
        for server in (inside, bad_certificate, bad):
            self.addCleanup(server.close)
        expected = {"redirect": "302", "large": "too large", "page": "INVALID_ARGUMENT"}
        peers = [f'  - {{trust_domain: {name}.test, url: "{bad.url}/{name}", profile: https_web, ca: {self.web.ca}}}' for name in expected]
        peers.append(f'  - {{trust_domain: stranger.test, url: "{bad_certificate.url}/", profile: https_web, ca: {self.web.ca}}}')
        peers.append(f'  - {{trust_domain: nofile.test, url: "{bad.url}/", bundle: /nonexistent.json}}')
        with node_of("a.test", "federates_with:\n" + "\n".join(peers)) as a:
            for name, words in {**expected, "stranger": "UNAUTHENTICATED", "nofile": "/nonexistent.json"}.items():
                error = wait_for(lambda: bundle_state(a, f"{name}.test").get("error"))
                self.assertIn(words, error, name)
                self.assertNotIn("x509_authorities", bundle_state(a, f"{name}.test"), name)
            self.assertEqual(inside.asked, [])
            self.assertEqual(bad_certificate.asked, [])


if __name__ == "__main__":
    unittest.main()
