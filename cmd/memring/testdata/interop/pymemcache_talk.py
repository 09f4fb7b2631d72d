"""Talks to the servers given, HOST:PORT each, with pymemcache, and prints ok. What is written through one is read through the next."""

import sys
import time

from pymemcache.client.base import Client, PooledClient
from pymemcache.client.hash import HashClient
from pymemcache.exceptions import MemcacheClientError, MemcacheIllegalInputError, MemcacheServerError

servers = [(host, int(port)) for host, port in (arg.rsplit(":", 1) for arg in sys.argv[1:])]


def check(got, want):
    assert got == want, f"got {got!r:.200}, want {want!r:.200}"


def raises(kind, talk):
    try:
        got = talk()
    except kind:
        return
    raise AssertionError(f"no {kind.__name__}, but {got!r:.200}")


def connect(server, **options):
    return Client(server, connect_timeout=30, timeout=30, default_noreply=False, **options)


def talk(here, there, name):
    def key(word):
        return f"py-{name}-{word}"

    # Stores and their conditions.
    check(here.set(key("a"), b"1st"), True)
    check(there.get(key("a")), b"1st")
    check(here.add(key("a"), b"2nd"), False)
    check(here.add(key("b"), b"2nd"), True)
    check(there.replace(key("b"), b"3rd"), True)
    check(there.replace(key("absent"), b"x"), False)
    check(here.get(key("b")), b"3rd")
    check(here.append(key("a"), b">"), True)
    check(there.prepend(key("a"), b"<"), True)
    check(here.get(key("a")), b"<1st>")
    check(here.append(key("absent"), b"x"), False)
    check(here.get(key("absent")), None)
    check(here.get(key("absent"), b"default"), b"default")

    # Any byte may be in a value, and none.
    for value in (b"", b"\r\n", b"END\r\n", b"VALUE a 0 1\r\nx\r\nEND\r\n", bytes(range(256)) * 100):
        check(here.set(key("bytes"), value), True)
        check(there.get(key("bytes")), value)

    # Compare and swap.
    value, unique = here.gets(key("a"))
    check(value, b"<1st>")
    check(there.cas(key("a"), b"swapped", unique), True)
    check(here.cas(key("a"), b"too late", unique), False)
    check(here.cas(key("absent"), b"x", unique), None)
    check(there.get(key("a")), b"swapped")

    # Numbers.
    check(here.set(key("n"), b"9"), True)
    check(there.incr(key("n"), 1), 10)
    check(here.decr(key("n"), 3), 7)
    check(here.decr(key("n"), 100), 0)
    check(here.incr(key("n"), 18446744073709551615), 18446744073709551615)
    check(there.incr(key("n"), 2), 1)
    check(here.incr(key("absent"), 1), None)
    raises(MemcacheClientError, lambda: here.incr(key("a"), 1))
    check(here.get(key("n")).strip(), b"1")

    # Many keys at once, in every order of owners.
    many = {key(f"many-{i}"): b"%d" % i for i in range(500)}
    check(here.set_many(many), [])
    check(there.get_many(list(many) + [key("absent")]), many)
    got = here.gets_many(list(many))
    check({k: v for k, (v, _) in got.items()}, many)
    check(there.delete_many(list(many)[:250]), True)
    check(len(here.get_many(list(many))), 250)

    # Time.
    check(here.set(key("brief"), b"x", expire=3600), True)
    check(there.touch(key("brief"), 3600), True)
    check(here.touch(key("absent"), 3600), False)
    check(there.touch(key("brief"), -1), True)
    check(here.get(key("brief")), None)
    check(here.set(key("gone"), b"x", expire=-1), True)
    check(there.get(key("gone")), None)
    check(here.set(key("absolute"), b"x", expire=int(time.time()) + 3600), True)
    check(there.get(key("absolute")), b"x")
    check(here.set(key("second"), b"x", expire=1), True)
    deadline = time.time() + 30
    while there.get(key("second")) is not None:
        assert time.time() < deadline, "an item of one second is there after thirty"
        time.sleep(0.1)

    # Deletes.
    check(here.delete(key("a")), True)
    check(there.delete(key("a")), False)

    # Without waiting: the answer to what follows proves that nothing was answered, and the order of one connection holds.
    for i in range(100):
        here.set(key("quiet"), b"%d" % i, noreply=True)
    here.append(key("quiet"), b"!", noreply=True)
    check(here.get(key("quiet")), b"99!")
    here.delete(key("quiet"), noreply=True)
    check(here.get(key("quiet")), None)

    # Sizes and refusals; the connection stays in step.
    large = b"0123456789abcdef" * (60 << 10)  # 960 KiB
    check(here.set(key("large"), large), True)
    check(there.get(key("large")), large)
    raises(MemcacheServerError, lambda: here.set(key("large"), large + large))
    check(here.get(key("large")), None)
    raises(MemcacheIllegalInputError, lambda: here.set("k" * 251, b"x"))
    check(here.set("k" * 250, b"x"), True)
    check(there.get("k" * 250), b"x")

    assert here.version().count(b".") == 2, here.version()
    assert b"curr_items" in here.stats(), "no curr_items in stats"


for i, server in enumerate(servers):
    here, there = connect(server), connect(servers[(i + 1) % len(servers)])
    talk(here, there, str(i))
    here.close()
    there.close()

# A pool of connections, and a client that shares its keys among the nodes by its own rule: whichever it asks must know.
pool = PooledClient(servers[0], max_pool_size=4, default_noreply=False)
check(pool.set("py-pool", b"x"), True)
hashing = HashClient(servers, default_noreply=False)
check(hashing.set_many({f"py-hash-{i}": b"%d" % i for i in range(300)}), [])
check(pool.get_many([f"py-hash-{i}" for i in range(300)]), {f"py-hash-{i}": b"%d" % i for i in range(300)})
check(hashing.get("py-pool"), b"x")

# flush_all through one empties all.
check(pool.flush_all(), True)
for server in servers:
    client = connect(server)
    check(client.get_many([f"py-hash-{i}" for i in range(300)]), {})
    client.quit()
print("ok")
