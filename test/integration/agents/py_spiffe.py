"""py-spiffe as a whole agent would use it; prints what it was given as JSON."""
import json

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from spiffe import JwtSource, SpiffeId, TrustDomain, WorkloadApiClient, X509Source

out = {}
with X509Source(timeout_in_seconds=10) as source:
    svid = source.svid
    bundle = source.get_bundle_for_trust_domain(svid.spiffe_id.trust_domain)
    out["id"] = str(svid.spiffe_id)
    out["serial"] = f"{svid.leaf.serial_number:x}"
    out["authorities"] = len(bundle.x509_authorities)
    # The key is the certificate's, and the certificate one of the bundle's.
    public = [k.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
              for k in (svid.private_key.public_key(), svid.leaf.public_key())]
    out["own_key"] = public[0] == public[1]
    for authority in bundle.x509_authorities:
        try:
            svid.leaf.verify_directly_issued_by(authority)
            out["issued"] = True
        except (ValueError, TypeError):
            pass
with JwtSource(timeout_in_seconds=10) as source:
    token = source.fetch_svid({"a peer"})
    out["token_id"] = str(token.spiffe_id)
    out["keys"] = len(source.get_bundle_for_trust_domain(TrustDomain("example.test")).jwt_authorities)
with WorkloadApiClient() as client:
    out["validated"] = str(client.validate_jwt_svid(token.token, "a peer").spiffe_id)
    for name, ask in {"other_audience": lambda: client.validate_jwt_svid(token.token, "somebody else"),
                      "other_subject": lambda: client.fetch_jwt_svid({"a peer"}, subject=SpiffeId("spiffe://example.test/agent/default/crew/other"))}.items():
        try:
            ask()
        except Exception as e:  # its own kinds of errors: that it fails is the point
            out[name] = type(e).__name__
    contexts = client.fetch_x509_context()
    out["context"] = [str(s.spiffe_id) for s in contexts.x509_svids]
print(json.dumps(out))
