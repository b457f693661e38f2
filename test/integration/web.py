"""The world outside of a node, on loopback: a certificate authority, https servers, an OpenID Connect issuer.
Cryptography is openssl(1)'s, so that nothing has to be installed for it."""
import base64
import http.client
import http.server
import json
import pathlib
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.parse


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def openssl(*args, data=None):
    return subprocess.run(["openssl", *map(str, args)], input=data, capture_output=True, check=True).stdout


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Authority:
    """A certificate authority for 127.0.0.1, with its files in a folder that goes with `close`."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="hexr-web-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.ca, self._key = self.folder / "ca.pem", self.folder / "ca.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                "/CN=test CA", "-keyout", self._key, "-out", self.ca)

    def issue(self, name, *hosts):
        """Certificate and key (PKCS#8) of a server on 127.0.0.1, also under these names."""
        certificate, key, request = (self.folder / f"{name}.{end}" for end in ("pem", "key", "csr"))
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-keyout",
                key, "-out", request)
        extensions = self.folder / "extensions"
        extensions.write_text(f"subjectAltName={','.join(['IP:127.0.0.1', 'DNS:localhost', *('DNS:' + h for h in hosts)])}\n")
        openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self._key, "-CAcreateserial", "-days", "2", "-extfile",
                extensions, "-out", certificate)
        return certificate, key

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


class Server:
    """An https server, or an http one without certificate: `pages` maps paths to bodies, or to (status, headers, body), or to functions that give one."""

    def __init__(self, certificate, key, pages=None):
        self.pages = pages if pages is not None else {}
        self.asked = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                page = outer.pages.get(self.path, (404, {}, "not found"))
                if callable(page):
                    page = page()
                status, headers, body = page if isinstance(page, tuple) else (200, {}, page)
                body = body if isinstance(body, bytes) else body.encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, address):
                pass  # clients that do not like our certificate

        self._server = Quiet(("127.0.0.1", 0), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


class SigningKey:
    """An ES256 key of an issuer."""

    def __init__(self, kid="k1"):
        self.kid = kid
        self.pem = openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
        self.public_pem = openssl("pkey", "-pubout", data=self.pem)
        point = openssl("pkey", "-pubout", "-outform", "DER", data=self.pem)[-64:]
        self.jwk = {"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "alg": "ES256", "x": base64url(point[:32]),
                    "y": base64url(point[32:])}

    def sign(self, claims, header=None):
        with tempfile.NamedTemporaryFile() as key:
            key.write(self.pem)
            key.flush()
            text = compact({"alg": "ES256", "typ": "JWT", "kid": self.kid, **(header or {})}, claims)
            der = openssl("dgst", "-sha256", "-sign", key.name, data=text.encode())
        return f"{text}.{base64url(raw_signature(der))}"


def compact(header, claims):
    return ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))


def raw_signature(der):
    """SEQUENCE of two INTEGERs to 64 bytes."""
    at, numbers = 2, []
    for _ in range(2):
        size = der[at + 1]
        numbers.append(int.from_bytes(der[at + 2:at + 2 + size], "big").to_bytes(32, "big"))
        at += 2 + size
    return b"".join(numbers)


class Issuer(Server):
    """An OpenID Connect issuer for users of the tests."""

    def __init__(self, authority, audience="hexr"):
        super().__init__(*authority.issue("issuer"))
        self.key, self.audience = SigningKey(), audience
        self.publish([self.key.jwk])

    def publish(self, keys):
        self.pages["/.well-known/openid-configuration"] = json.dumps({"issuer": self.url, "jwks_uri": self.url + "/keys"})
        self.pages["/keys"] = json.dumps({"keys": keys})

    def claims(self, **changes):
        now = int(time.time())
        claims = {"iss": self.url, "sub": "alice-4711", "aud": self.audience, "iat": now, "exp": now + 300}
        claims.update(changes)
        return {k: v for k, v in claims.items() if v is not None}

    def token(self, **changes):
        return self.key.sign(self.claims(**changes))


def get(url, ca=None):
    """Status, headers and body of a GET; certificates are checked against `ca`."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=10,
                                                 context=ssl.create_default_context(cafile=str(ca)))
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    with_query = parts.path + (f"?{parts.query}" if parts.query else "")
    connection.request("GET", with_query or "/")
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, dict(answer.getheaders()), body
