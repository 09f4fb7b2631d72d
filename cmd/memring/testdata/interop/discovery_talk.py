"""Finds the other nodes by ElastiCache's auto discovery, from each of the servers given, HOST:PORT each, and prints ok.

The questions are those that clients send, to the byte. pymemcache has a client of its own for this from 4.0 on, later than Debian 12's: it talks if it
is there, and else its part is played, with the same end of an answer and the same fields.
"""

import re
import socket
import struct
import sys

from pymemcache.client.base import Client
from pymemcache.client.hash import HashClient

try:
    from pymemcache.client.ext.aws_ec_client import AWSElastiCacheHashClient
except ImportError:
    AWSElastiCacheHashClient = None

servers = sys.argv[1:]
ports = sorted(int(server.rsplit(":", 1)[1]) for server in servers)


def check(got, want):
    assert got == want, f"got {got!r:.300}, want {want!r:.300}"


def ask(server, question, end):
    """Sends the question, and reads to the end of its answer and no further; then nothing more may have come than what a version is answered."""
    host, port = server.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=30) as conn:
        conn.sendall(question)
        answer = b""
        while not answer.endswith(end):
            part = conn.recv(4096)
            assert part, f"hung up after {answer!r}"
            answer += part
        conn.sendall(b"version\r\n")
        assert conn.recv(4096).startswith(b"VERSION "), "more was answered than was asked"
        return answer


def nodes_of(payload):
    """VERSION, a line feed, NAME|IP|PORT for each node with one blank between, a line feed."""
    version, nodes, rest = payload.decode().split("\n")
    assert version.isdigit() and rest == "", payload
    nodes = [node.split("|") for node in nodes.split(" ")]
    check(all(len(node) == 3 and node[0] and not node[0][0].isdigit() and re.fullmatch(r"\d+\.\d+\.\d+\.\d+", node[1]) for node in nodes), True)
    check(sorted(int(port) for _, _, port in nodes), ports)
    return int(version), nodes


heard = set()
for server in servers:
    # As pymemcache asks, as Amazon's libmemcached does (a blank at the end), and as django-elasticache does (no CR).
    for question in (b"config get cluster\r\n", b"config get cluster \r\n", b"config get cluster\n"):
        answer = ask(server, question, b"\n\r\nEND\r\n")
        head, rest = answer.split(b"\r\n", 1)
        named = re.fullmatch(rb"CONFIG cluster 0 (\d+)", head)
        assert named, head
        check(rest[int(named[1]):], b"\r\nEND\r\n")  # the length counts the last line feed, and not the CR LF behind
        nodes_of(rest[: int(named[1])])
        heard.add(rest[: int(named[1])])
    # Of what it does not know, a node says so at once.
    check(ask(server, b"config get other\r\n", b"\r\n"), b"ERROR\r\n")

    # As Amazon's client for Java asks on the binary wire: opcode 0x60, key "cluster".
    host, port = server.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=30) as conn, conn.makefile("rb") as answers:
        conn.sendall(struct.pack(">BBHBBHIIQ", 0x80, 0x60, 7, 0, 0, 0, 7, 0xBEEF, 0) + b"cluster")
        magic, opcode, key, extras, _, status, body, opaque, _ = struct.unpack(">BBHBBHIIQ", answers.read(24))
        check((magic, opcode, key, extras, status, opaque), (0x81, 0x60, 0, 4, 0, 0xBEEF))
        heard.add(answers.read(body)[extras:])
check(len(heard), 1)  # every node says the same, on each wire

# A client that knows one node finds all, and shares its keys among them by its own rule.
for server in servers:
    if AWSElastiCacheHashClient:
        finder = AWSElastiCacheHashClient(server, default_noreply=False, timeout=30)
    else:
        payload = ask(server, b"config get cluster\r\n", b"\n\r\nEND\r\n")[: -len(b"\n\r\nEND\r\n")]
        finder = HashClient([(ip, int(port)) for _, ip, port in (node.split("|") for node in payload.decode().splitlines()[-1].split(" "))],
                            default_noreply=False, timeout=30)
    check(sorted(int(client.server[1]) for client in finder.clients.values()), ports)
    found = {f"found-{server}-{i}": b"%d" % i for i in range(200)}
    check(finder.set_many(found), [])
    check(Client(servers[0], timeout=30).get_many(list(found)), found)

print("ok")
