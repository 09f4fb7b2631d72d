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


# Not how soon it is answered is the matter: to compare a hashed password takes a busy machine its time.
patient = {"receive_timeout": 30_000_000, "_poll_timeout": 30_000}


def sasl(password):
    return pylibmc.Client([server], binary=True, username="foo", password=password, behaviors=patient)


def lines():
    host, port = server.split(":")
    return Client((host, int(port)), timeout=30)


def entered():
    client = lines()
    check(client.set("login", "foo bar", noreply=False), True)
    return client


if way == "sasl-limited":
    client = sasl("bar")
    check(client.set("own:k", "v"), True)
    for talk in (lambda: client.set("k", "v"), lambda: client.incr("k"), lambda: client.delete("k"), lambda: client.touch("k", 1)):
        refused(pylibmc.Error, talk)
    check(client.get("k"), None)  # of a get libmemcached tells no error but a miss
    client.flush_all()  # nor of this
    check(client.get("own:k"), "v")
    check(client.get_multi(["own:k", "k"]), {"own:k": "v"})
elif way == "lines-limited":
    client = entered()
    check(client.set("own:k", b"v", noreply=False), True)
    check(client.get_many(["own:k", "own:none"]), {"own:k": b"v"})
    check(client.incr("own:none", 1), None)
    for talk in (  # after an error pymemcache begins a new connection
        lambda: entered().get("k"),
        lambda: entered().get_many(["own:k", "k"]),
        lambda: entered().set("k", "v", noreply=False),
        lambda: entered().incr("k", 1),
        lambda: entered().flush_all(noreply=False),
    ):
        refused(MemcacheClientError, talk)
    check(client.get("own:k"), b"v")
elif way == "sasl":
    client = sasl("bar")
    check(client.set("k", "v"), True)
    check(client.get("k"), "v")
    check(sasl("bar").get_multi(["k", "none"]), {"k": "v"})
    refused(pylibmc.Error, lambda: sasl("baz").set("k", "w"))
    refused(pylibmc.Error, lambda: pylibmc.Client([server], binary=True, behaviors=patient).set("k", "w"))
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
