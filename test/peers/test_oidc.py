"""PyJWT verifies a JWT-SVID of an agent through this node's discovery document, and refuses what it should."""
import json
import os
import ssl
import sys
import unittest
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

import jwt
from node import Node
from web import Authority, free_port


class Discovery(unittest.TestCase):
    def test_a_token_verifies_through_discovery(self):
        web = Authority()
        self.addCleanup(web.close)
        certificate, key = web.issue("oidc")
        issuer = f"https://127.0.0.1:{(port := free_port())}"
        trust = ssl.create_default_context(cafile=str(web.ca))
        with Node(extra=f'oidc: {{issuer: "{issuer}", listen: "127.0.0.1:{port}", certificate: {certificate}, key: {key}}}') as node:
            document = json.load(urllib.request.urlopen(f"{issuer}/.well-known/openid-configuration", context=trust))
            token = node.hexr("run", "--agent", "crew", "--", "hexr", "svid", "fetch", "--audience", "files").stdout.strip()
            signing_key = jwt.PyJWKClient(document["jwks_uri"], ssl_context=trust).get_signing_key_from_jwt(token)
            verify = lambda **more: jwt.decode(token, signing_key, algorithms=document["id_token_signing_alg_values_supported"],
                                               issuer=document["issuer"], **more)
            self.assertEqual(verify(audience="files")["sub"], "spiffe://example.test/agent/default/crew/main")
            with self.assertRaises(jwt.InvalidAudienceError):
                verify(audience="other")


if __name__ == "__main__":
    unittest.main()
