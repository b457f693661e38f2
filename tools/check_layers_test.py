#!/usr/bin/env python3
"""The layers check finds what it is there to find."""
import tempfile
from pathlib import Path

from check_layers import check

CASES = [
    ("base/a.h", '#include "policy/engine.h"\n', "base may not include"),
    ("policy/a.h", '#include "identity/authority.h"\n', "policy may not include"),
    ("policy/a.h", '#include "identity/types.h"\n', None),
    ("stray/a.h", "\n", "not in the table"),
    ("net/a.cc", '#include "../wire/http1.h"\n', "start at src/"),
    ("gateway/a.cc", "#include <openssl/ssl.h>\n", "belongs behind"),
    ("net/a.cc", "#include <boost/asio/post.hpp>\n", "belongs behind"),
    ("keeper/a.cc", '#include "guard/guard.h"\n', "keeper may not include"),
    ("daemon/a.cc", '#include "gateway/gateway.h"\n', None),
]
for name, text, expected in CASES:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        file.parent.mkdir(parents=True)
        file.write_text(text)
        found = check(Path(folder))
        assert bool(found) == bool(expected), (name, text, found)
        assert expected is None or expected in found[0], (name, expected, found)
print(f"layers check: {len(CASES)} trees judged right")
