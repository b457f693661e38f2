"""An agent's program: fetches a URL with the standard library. HOW is "proxy" (what the environment says) or "direct"
(knows nothing of proxies, as many programs do)."""
import ssl
import sys
import urllib.request

how, url = sys.argv[1:3]
context = ssl.create_default_context(cafile="ca.pem")
handlers = [urllib.request.HTTPSHandler(context=context)]
if how == "direct":
    handlers.append(urllib.request.ProxyHandler({}))
with urllib.request.build_opener(*handlers).open(url, timeout=10) as answer:
    print(answer.read().decode().strip())
