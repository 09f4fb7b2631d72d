"""Logs in to the server given, HOST:PORT, with the user foo and the password bar: in "sasl" with pylibmc, in "lines" with pymemcache. Prints ok.

In "sasl-limited" and "lines-limited" foo may read and write only keys that begin with own:."""

import sys

import pylibmc
from pymemcache.client.base import Client
from pymemcache.exceptions import MemcacheClientError

way, server = sys.argv[1:]


def check(got, want):
    assert got == want, f"got {got!r:.200}, want {want!r:.200}"


def refused(kind, talk):
    try:
        got = talk()
    except kind:
        return
    raise AssertionError(f"not refused, but {got!r:.200}")


def sasl(password):
    return pylibmc.Client([server], binary=True, username="foo", password=password)


def lines():
    host, port = server.split(":")
    return Client((host, int(port)), timeout=5)


if way == "sasl-limited":
    client = sasl("bar")
    check(client.set("own:k", "v"), True)
    refused(pylibmc.Error, lambda: client.set("k", "v"))
    refused(pylibmc.Error, lambda: client.get("k"))
    refused(pylibmc.Error, lambda: client.flush_all())
    check(client.get("own:k"), "v")
    check(client.get_multi(["own:k", "own:none"]), {"own:k": "v"})
elif way == "lines-limited":
    client = lines()
    check(client.set("login", "foo bar", noreply=False), True)
    check(client.set("own:k", "v", noreply=False), True)
    refused(MemcacheClientError, lambda: client.set("k", "v", noreply=False))
    check(client.get("own:k"), b"v")
    check(client.get_many(["own:k", "own:none"]), {"own:k": b"v"})
    refused(MemcacheClientError, lambda: client.flush_all(noreply=False))
    check(client.incr("own:none", 1), None)
    refused(MemcacheClientError, lambda: client.get_many(["own:k", "k"]))
elif way == "sasl":
    client = sasl("bar")
    check(client.set("k", "v"), True)
    check(client.get("k"), "v")
    check(sasl("bar").get_multi(["k", "none"]), {"k": "v"})
    refused(pylibmc.Error, lambda: sasl("baz").set("k", "w"))
    refused(pylibmc.Error, lambda: pylibmc.Client([server], binary=True).set("k", "w"))
    check(client.get("k"), "v")
else:
    client = lines()
    refused(MemcacheClientError, lambda: client.get("k"))
    client = lines()
    refused(MemcacheClientError, lambda: client.set("login", "foo baz", noreply=False))
    check(client.set("login", "foo bar", noreply=False), True)
    check(client.set("k", "v", noreply=False), True)
    check(client.get("k"), b"v")
    check(client.get("login"), None)
    refused(MemcacheClientError, lambda: lines().delete("k", noreply=False))
print("ok")
