"""Users that agents act for (--on-behalf-of), and this node as an OpenID Connect provider of its agents' tokens."""
import base64
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

from clients import environment
from node import BIN, Node
from waiting import wait_for
from web import Authority, Issuer, Server, SigningKey, compact, base64url, free_port, get, openssl


def payload(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


class OnBehalfOf(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.web = Authority()
        cls.issuer = Issuer(cls.web)
        cls.evil = Issuer(cls.web)
        users = ", ".join(f'{{issuer: "{i.url}", audience: hexr, ca: {cls.web.ca}}}' for i in (cls.issuer, cls.evil))
        cls.node = Node(extra=f"users: [{users}]")
        cls.node.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.node.__exit__(None, None, None)
        cls.issuer.close()
        cls.evil.close()
        cls.web.close()

    def token_file(self, token):
        path = self.node.home / "token"
        path.write_text(token + "\n")
        return str(path)

    def run_for(self, token, *command, **kwargs):
        return self.node.hexr("run", "--agent", "crew", "--ro", str(BIN), "--on-behalf-of", self.token_file(token), "--", *command, **kwargs)

    def records(self):
        lines = self.node.hexr("ledger", "tail", "-n", "1000", "--tenant", "default", "--output", "json").stdout.splitlines()
        return [json.loads(line) for line in lines]

    def test_the_user_is_in_tokens_in_show_and_sealed_in_the_log(self):
        token = self.issuer.token(email="alice@example.org")
        svid = self.run_for(token, "hexr", "svid", "fetch", "--audience", "files").stdout.strip()
        claims = payload(svid)
        self.assertEqual(claims["sub"], "spiffe://example.test/agent/default/crew/main")
        self.assertEqual(claims["on_behalf_of"], {"sub": "alice-4711", "issuer": self.issuer.url})
        self.assertNotIn("act", claims)  # RFC 8693: of a token that was exchanged, and none was
        registered = wait_for(lambda: [r for r in self.records() if "on_behalf_of" in r["body"]])
        self.assertEqual(registered[-1]["body"]["event"], "registered")
        self.assertEqual(sorted(registered[-1]["body"]["on_behalf_of"]["sub"]), ["bytes", "sha256"])
        for folder, _, files in os.walk(self.node.home / "state" / "ledger"):
            for path in (pathlib.Path(folder) / name for name in files):
                with contextlib.suppress(FileNotFoundError):  # a part of a tile goes when the next is written
                    self.assertNotIn(b"alice", path.read_bytes(), path)

    def test_the_agent_gets_no_token_and_its_sub_agents_its_user(self):
        script = ('import os, subprocess\n'
                  'assert not os.path.exists(%r)\n'
                  'ask = ["hexr", "run", "--agent", "crew", "--role", "helper", "--ro", %r, "--"]\n'
                  'print(subprocess.run(ask + ["hexr", "svid", "fetch", "--audience", "x"], capture_output=True, text=True, check=True).stdout)\n'
                  'open("mine", "w").write("x.y.z")\n'
                  'ask[2:2] = ["--on-behalf-of", "mine"]\n'
                  'print(subprocess.run(ask + ["true"], capture_output=True, text=True).returncode)\n') % (str(self.node.home / "token"), str(BIN))
        folder = self.node.home / "work"
        folder.mkdir(exist_ok=True)
        folder.chmod(0o777)
        out = self.run_for(self.issuer.token(), "python3", "-c", script, cwd=folder).stdout.split()
        self.assertEqual(payload(out[0])["sub"], "spiffe://example.test/agent/default/crew/helper")
        self.assertEqual(payload(out[0])["on_behalf_of"]["sub"], "alice-4711")
        self.assertEqual(out[1], "125")

    def test_the_user_survives_the_keeper_and_is_forgotten_with_the_instance(self):
        agent = subprocess.Popen([BIN / "hexr", "run", "--agent", "crew", "--on-behalf-of", self.token_file(self.issuer.token()), "--",
                                  "sleep", "60"], env=self.node.env, stdin=subprocess.DEVNULL)
        self.addCleanup(agent.wait)
        self.addCleanup(agent.kill)
        instance = wait_for(lambda: self.node.json("ps")["instances"])[0]["instance"]
        user = {"sub": "alice-4711", "issuer": self.issuer.url}
        self.assertEqual(self.node.json("show", instance)["on_behalf_of"], user)
        keeper = self.node.pids()["keeper"]
        os.kill(keeper, signal.SIGKILL)
        wait_for(lambda: self.node.pids()["keeper"] != keeper)
        again = wait_for(lambda: (d := self.node.hexr("show", instance, "--output", "json", check=False)).returncode == 0 and json.loads(d.stdout))
        self.assertEqual(again["on_behalf_of"], user)

    def test_tokens_that_prove_nothing_are_refused_before_launch(self):
        key, claims = self.issuer.key, self.issuer.claims
        stranger = SigningKey()
        hs256_text = compact({"alg": "HS256", "typ": "JWT", "kid": key.kid}, claims())
        mac = openssl("dgst", "-sha256", "-mac", "HMAC", "-macopt", "hexkey:" + key.public_pem.hex(), "-binary", data=hs256_text.encode())
        good = self.issuer.token()
        cases = {
            "expired": (self.issuer.token(exp=int(time.time()) - 3600), "expired"),
            "not yet": (self.issuer.token(nbf=int(time.time()) + 3600), "not valid yet"),
            "no end": (self.issuer.token(exp=None), "exp"),
            "another audience": (self.issuer.token(aud="other"), "another audience"),
            "unknown issuer": (self.issuer.token(iss="https://evil.example"), "issuer is none of those"),
            "issuer with a slash more": (self.issuer.token(iss=self.issuer.url + "/"), "issuer is none of those"),
            "alg none": (compact({"alg": "none", "typ": "JWT"}, claims()) + ".", "user token"),
            "hs256 with the public key": (f"{hs256_text}.{base64url(mac)}", "user token"),
            "another key of the same name": (stranger.sign(claims()), "user token"),
            "changed": (good[:-6] + ("AAAAAA" if not good.endswith("AAAAAA") else "BBBBBB"), "user token"),
            "no subject": (self.issuer.token(sub=None), "sub"),
            "rubbish": ("rubbish", "user token"),
            "too long": ("a" * 20000, "too long"),
        }
        mark = self.node.home / "ran"
        for name, (token, words) in cases.items():
            done = self.run_for(token, "touch", str(mark), check=False)
            self.assertEqual((name, done.returncode), (name, 125), done.stderr)
            self.assertIn(words, done.stderr, name)
        self.assertFalse(mark.exists())
        self.assertEqual(self.node.json("ps")["instances"], [])
        self.assertEqual(self.run_for(good, "true").returncode, 0)
        self.assertEqual(self.node.hexr("run", "--agent", "crew", "--on-behalf-of", "/nonexistent", "--", "true", check=False).returncode, 125)

    def test_an_issuer_cannot_send_the_node_to_machines_of_its_own_network(self):
        inside = Server(*self.web.issue("inside"), {"/latest": json.dumps({"keys": [self.evil.key.jwk]})})
        self.addCleanup(inside.close)
        discovery = "/.well-known/openid-configuration"
        self.evil.pages[discovery] = json.dumps({"issuer": self.evil.url, "jwks_uri": inside.url + "/latest"})
        done = self.run_for(self.evil.token(), "true", check=False)
        self.assertEqual(done.returncode, 125)
        self.assertIn("only a URL of the configuration may name", done.stderr)
        self.assertEqual((self.evil.asked, inside.asked), ([discovery], []))

    def test_a_token_is_refused_where_no_issuer_is_configured(self):
        with Node() as plain:
            path = plain.home / "token"
            path.write_text(self.issuer.token())
            done = plain.hexr("run", "--agent", "a", "--on-behalf-of", str(path), "--", "true", check=False)
            self.assertEqual(done.returncode, 125)
            self.assertIn("users:", done.stderr)


class Discovery(unittest.TestCase):
    def test_a_stranger_verifies_a_jwt_svid_by_discovery(self):
        web = Authority()
        self.addCleanup(web.close)
        certificate, key = web.issue("oidc")
        port = free_port()
        issuer = f"https://127.0.0.1:{port}/id"
        with Node(extra=f'oidc: {{issuer: "{issuer}", listen: "127.0.0.1:{port}", certificate: {certificate}, key: {key}}}') as node:
            document = json.loads(get(f"{issuer}/.well-known/openid-configuration", web.ca)[2])
            self.assertEqual((document["issuer"], document["jwks_uri"]), (issuer, f"{issuer}/keys"))
            keys = {k["kid"]: k for k in json.loads(get(document["jwks_uri"], web.ca)[2])["keys"]}
            token = node.hexr("run", "--agent", "crew", "--", "hexr", "svid", "fetch", "--audience", "files").stdout.strip()
            header = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))
            self.assertEqual(payload(token)["iss"], issuer)
            jwk = keys[header["kid"]]
            self.assertEqual((header["alg"], jwk["kty"], jwk["crv"]), ("ES256", "EC", "P-256"))
            self.assertNotIn("d", jwk)
            self.assert_signed(token, jwk)
            self.assertEqual(get(f"https://127.0.0.1:{port}/", web.ca)[0], 404)  # the bundle is not served here

    def test_rs256_is_used_and_said_and_a_library_of_strangers_believes_it(self):
        web = Authority()
        self.addCleanup(web.close)
        certificate, key = web.issue("oidc")
        port = free_port()
        issuer = f"https://127.0.0.1:{port}"
        oidc = f'oidc: {{issuer: "{issuer}", listen: "127.0.0.1:{port}", certificate: {certificate}, key: {key}}}'
        verify = f"""
import json, ssl, sys, urllib.request, jwt
context = ssl.create_default_context(cafile={str(web.ca)!r})
document = json.load(urllib.request.urlopen({issuer!r} + "/.well-known/openid-configuration", context=context))
token = sys.stdin.read().strip()
key = jwt.PyJWKClient(document["jwks_uri"], ssl_context=context).get_signing_key_from_jwt(token)
algorithms = document["id_token_signing_alg_values_supported"]
claims = jwt.decode(token, key, algorithms=algorithms, audience="files", issuer=document["issuer"])
try:
    jwt.decode(token, key, algorithms=algorithms, audience="other", issuer=document["issuer"])
except jwt.InvalidAudienceError:
    print(json.dumps([jwt.get_unverified_header(token)["alg"], algorithms, claims["sub"]]))
"""
        python = environment() / "bin/python3"

        def verified():
            token = node.hexr("run", "--agent", "crew", "--", "hexr", "svid", "fetch", "--audience", "files").stdout
            return json.loads(subprocess.run([python, "-c", verify], input=token, capture_output=True, text=True, check=True).stdout)

        me = "spiffe://example.test/agent/default/crew/main"
        with Node(extra=oidc + "\nidentity: {jwt_algorithm: RS256}") as node:
            self.assertEqual(verified(), ["RS256", ["RS256"], me])
            node.down()
            node.config_file.write_text(node.config_file.read_text().replace("RS256", "ES256"))
            node.up()  # signs as configured now, and still publishes what may be in use
            self.assertEqual(verified(), ["ES256", ["ES256", "RS256"], me])

    def assert_signed(self, token, jwk):
        text, signature = token.rsplit(".", 1)
        raw = base64.urlsafe_b64decode(signature + "==")
        point = b"".join(base64.urlsafe_b64decode(jwk[c] + "==") for c in "xy")
        # SubjectPublicKeyInfo of an uncompressed P-256 point; a signature as SEQUENCE of two INTEGERs.
        spki = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200") + b"\x04" + point
        numbers = b"".join(b"\x02" + bytes([len(n)]) + n for n in
                           ((b"\0" if half[0] & 0x80 else b"") + half for half in (raw[:32].lstrip(b"\0"), raw[32:].lstrip(b"\0"))))
        with tempfile.TemporaryDirectory() as folder:
            files = {"key": spki, "signature": b"\x30" + bytes([len(numbers)]) + numbers, "text": text.encode()}
            for name, data in files.items():
                with open(f"{folder}/{name}", "wb") as file:
                    file.write(data)
            openssl("dgst", "-sha256", "-verify", f"{folder}/key", "-keyform", "DER", "-signature", f"{folder}/signature", f"{folder}/text")


if __name__ == "__main__":
    unittest.main()
