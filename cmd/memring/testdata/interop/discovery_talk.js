// Finds the other nodes by ElastiCache's auto discovery, with memcache-plus, from each of the servers given, HOST:PORT each, and prints ok.

const assert = require("node:assert/strict");
const MemcachePlus = require("memcache-plus");

async function main() {
  const servers = process.argv.slice(2);
  const ports = servers.map((server) => server.split(":")[1]).sort();
  for (const server of servers) {
    const client = new MemcachePlus({ hosts: [server], autodiscover: true, netTimeout: 30000, onNetError(err) { throw err; } });
    for (let i = 0; i < 200; i++) {
      await client.set(`plus-${server}-${i}`, { n: i });
    }
    assert.deepEqual(Object.keys(client.connections).map((host) => host.split(":")[1]).sort(), ports);

    // What it has shared out by its own rule, a client that knows no other node finds at one.
    const one = new MemcachePlus({ hosts: [servers[0]], netTimeout: 30000 });
    for (let i = 0; i < 200; i++) {
      assert.deepEqual(await one.get(`plus-${server}-${i}`), { n: i });
    }
    const keys = [0, 1, 2, 3].map((i) => `plus-${server}-${i}`);
    assert.deepEqual(await client.getMulti(keys), Object.fromEntries(keys.map((key, i) => [key, { n: i }])));
    await Promise.all([client.disconnect(), one.disconnect()]);
  }
  console.log("ok");
}

main().then(() => process.exit(0), (err) => {
  console.error(err);
  process.exit(1);
});
