"""Talks to the servers given, HOST:PORT each, with pylibmc (libmemcached), and prints ok. What is written through one is read through the next."""

import sys

import pylibmc

servers = sys.argv[1:]
patient = {"receive_timeout": 30_000_000, "_poll_timeout": 30_000}  # in microseconds, and in milliseconds


def check(got, want):
    assert got == want, f"got {got!r:.200}, want {want!r:.200}"


def raises(kind, talk):
    try:
        got = talk()
    except kind:
        return
    raise AssertionError(f"no {kind.__name__}, but {got!r:.200}")


def absent(talk):
    """Of a key that is not there, pylibmc says False, or raises, by the wire."""
    try:
        check(talk(), False)
    except pylibmc.NotFound:
        pass


def talk(here, there, name):
    def key(word):
        return f"lib-{name}-{word}"

    # Strings, numbers and objects: their kind travels in the item's flags.
    for value in ("text", b"bytes", 42, -7, True, None, {"a": [1, 2, 3]}, "", b"\r\nEND\r\n", bytes(range(256))):
        check(here.set(key("kind"), value), True)
        check(there.get(key("kind"), "absent"), value)

    check(here.set(key("a"), "1st"), True)
    check(here.add(key("a"), "2nd"), False)
    check(there.add(key("b"), "2nd"), True)
    check(here.replace(key("b"), "3rd"), True)
    absent(lambda: here.replace(key("absent"), "x"))
    check(there.get(key("b")), "3rd")
    check(here.set(key("s"), b"mid"), True)
    check(here.append(key("s"), b">"), True)
    check(there.prepend(key("s"), b"<"), True)
    check(here.get(key("s")), b"<mid>")
    check(here.get(key("absent")), None)

    # Numbers.
    check(here.set(key("n"), 10), True)
    check(there.incr(key("n"), 5), 15)
    check(here.decr(key("n"), 20), 0)
    raises(pylibmc.NotFound, lambda: here.incr(key("absent")))

    # Many keys.
    many = {key(f"many-{i}"): i for i in range(500)}
    check(here.set_multi(many), [])
    check(there.get_multi(list(many) + [key("absent")]), many)
    check(here.delete_multi(list(many)[:250]), True)
    check(len(there.get_multi(list(many))), 250)

    # Compare and swap.
    value, unique = here.gets(key("a"))
    check(value, "1st")
    check(there.cas(key("a"), "swapped", unique), True)
    check(here.cas(key("a"), "too late", unique), False)
    check(here.get(key("a")), "swapped")

    # Time, deletes, sizes.
    check(here.set(key("t"), "x", time=3600), True)
    check(there.touch(key("t"), 3600), True)
    absent(lambda: here.touch(key("absent"), 3600))
    check(here.delete(key("t")), True)
    absent(lambda: there.delete(key("t")))
    large = b"0123456789abcdef" * (60 << 10)
    check(here.set(key("large"), large), True)
    check(there.get(key("large")), large)
    raises(pylibmc.Error, lambda: here.set(key("large"), large + large))
    check(here.get(key("a")), "swapped")
    check(here.set(key("packed"), b"x" * 500_000, min_compress_len=1000), True)
    check(there.get(key("packed")), b"x" * 500_000)


for i, server in enumerate(servers):
    options = {"cas": True, "tcp_nodelay": True, **patient}
    neighbour = servers[(i + 1) % len(servers)]
    # On each wire, and with one of each.
    for ours, theirs in ((False, False), (True, True), (True, False)):
        here = pylibmc.Client([server], binary=ours, behaviors=options)
        there = pylibmc.Client([neighbour], binary=theirs, behaviors=options)
        talk(here, there, f"{i}-{ours}-{theirs}")

# A client that shares its keys among the nodes by its own rule, and one that sends without waiting.
hashing = pylibmc.Client(servers, behaviors={"ketama": True, **patient})
check(hashing.set_multi({f"lib-hash-{i}": i for i in range(300)}), [])
one = pylibmc.Client(servers[:1], behaviors=patient)
check(one.get_multi([f"lib-hash-{i}" for i in range(300)]), {f"lib-hash-{i}": i for i in range(300)})

noreply = pylibmc.Client(servers[-1:], behaviors={"_noreply": True, **patient})
for i in range(100):
    noreply.set("lib-quiet", i)
check(noreply.get("lib-quiet"), 99)

assert all(b"curr_items" in stats or "curr_items" in stats for _, stats in hashing.get_stats()), "no curr_items in stats"
check(one.flush_all(), True)
check(hashing.get_multi([f"lib-hash-{i}" for i in range(300)]), {})
print("ok")
