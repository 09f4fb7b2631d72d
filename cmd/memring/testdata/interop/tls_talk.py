"""Talks over TLS with pymemcache to the server given: HOST:PORT CA CERT KEY MODE KEYS. In mode "mutual" the server requires a certificate; in "plain"
it asks for none. KEYS are set at once. Prints ok."""

import ssl
import sys

from pymemcache.client.base import Client, PooledClient
from pymemcache.exceptions import MemcacheUnexpectedCloseError

server, ca, cert, key, mode, keys = sys.argv[1:]
host, port = server.split(":")
address = (host, int(port))


def check(got, want):
    assert got == want, f"got {got!r:.200}, want {want!r:.200}"


def context(shows, low=ssl.TLSVersion.TLSv1_2, high=ssl.TLSVersion.TLSv1_3):
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version, context.maximum_version = low, high
    if shows:
        context.load_cert_chain(cert, key)
    return context


def connect(kind=Client, **options):
    return kind(address, connect_timeout=30, timeout=30, default_noreply=False, **options)


for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
    for kind in Client, PooledClient:
        client = connect(kind, tls_context=context(True, version, version))
        check(client.set("k", b"v"), True)
        check(client.get("k"), b"v")
        check(client.set_many({f"k{i}": b"x" * i for i in range(int(keys))}), [])
        check(client.get_many([f"k{i}" for i in range(int(keys))]), {f"k{i}": b"x" * i for i in range(int(keys))})
        large = bytes(range(256)) * 3600  # 900 KiB: many records
        check(client.set("large", large), True)
        check(client.get("large"), large)
        check(client.incr("none", 1), None)
        check(client.delete("k"), True)
        client.close()

# Without a certificate.
client = connect(tls_context=context(False))
try:
    got = client.get("large")
    assert mode == "plain", "let in without a certificate"
    check(got, large)
except (ssl.SSLError, ConnectionError, MemcacheUnexpectedCloseError):  # which one depends on what has come before the end
    assert mode == "mutual"

# Without TLS.
try:
    got = connect().get("large")
except Exception:  # which one depends on what has come before the end
    got = None
assert got is None, f"answered without TLS: {got!r:.100}"

print("ok")
