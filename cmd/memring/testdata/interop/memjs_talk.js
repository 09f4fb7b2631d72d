// Talks to the servers given, HOST:PORT each, with memjs, and prints ok. What is written through one is read through the next.

const assert = require("node:assert/strict");
const { randomBytes } = require("node:crypto");
const { setTimeout: pause } = require("node:timers/promises");
const memjs = require("memjs");

const servers = process.argv.slice(2);
const connect = (to) => memjs.Client.create(to.join(","), { timeout: 30, retries: 0, logger: { log() {} } });

const text = async (client, key) => {
  const { value } = await client.get(key);
  return value && value.toString();
};

async function talk(here, there, name) {
  const key = (word) => `js-${name}-${word}`;

  // Any bytes, none, and the flags.
  for (const value of [Buffer.from("text"), Buffer.alloc(0), Buffer.from("\r\nEND\r\n"), Buffer.from(Array.from({ length: 256 }, (_, i) => i))]) {
    assert.equal(await here.set(key("bytes"), value, {}), true);
    assert.deepEqual((await there.get(key("bytes"))).value, value);
  }

  // Stores and their conditions.
  assert.equal(await here.set(key("a"), "1st", {}), true);
  assert.equal(await there.add(key("a"), "2nd", {}), false);
  assert.equal(await there.add(key("b"), "2nd", {}), true);
  assert.equal(await here.replace(key("b"), "3rd", {}), true);
  assert.equal(await here.replace(key("absent"), "x", {}), false);
  assert.equal(await text(there, key("b")), "3rd");
  assert.equal(await text(here, key("absent")), null);
  assert.equal(await here.append(key("a"), ">"), true);
  assert.equal(await text(there, key("a")), "1st>"); // no prepend: that of memjs 1.3.2 sends an append
  await assert.rejects(here.append(key("absent"), "x"), /not stored/);

  // Numbers.
  assert.equal((await here.increment(key("n"), 1, { initial: 10, expires: 3600 })).value, 10);
  assert.equal((await there.increment(key("n"), 5, {})).value, 15);
  assert.equal((await here.decrement(key("n"), 20, {})).value, 0);

  // Many at once, on one connection: the answers come in the order of the questions.
  const many = Array.from({ length: 500 }, (_, i) => key(`many-${i}`));
  assert.ok((await Promise.all(many.map((k) => here.set(k, k, { expires: 3600 })))).every((stored) => stored === true));
  assert.deepEqual(await Promise.all(many.map((k) => text(there, k))), many);

  // Time, deletes.
  assert.equal(await there.touch(key("a"), 3600), true);
  assert.equal(await there.touch(key("absent"), 3600), false);
  assert.equal(await here.set(key("second"), "x", { expires: 1 }), true);
  for (const end = Date.now() + 30000; (await text(there, key("second"))) !== null; await pause(100)) {
    assert.ok(Date.now() < end, "an item of one second is there after thirty");
  }
  assert.equal(await here.delete(key("a")), true);
  assert.equal(await there.delete(key("a")), false);

  // Sizes; the connection stays in step behind a refusal.
  const large = randomBytes(900 << 10);
  assert.equal(await here.set(key("large"), large, {}), true);
  assert.ok((await there.get(key("large"))).value.equals(large));
  await assert.rejects(here.set(key("large"), Buffer.concat([large, large]), {}));
  assert.equal(await text(there, key("large")), null); // what was refused has removed what was there
  assert.equal(await text(here, key("b")), "3rd");
}

async function main() {
  for (const [i, server] of servers.entries()) {
    const [here, there] = [connect([server]), connect([servers[(i + 1) % servers.length]])];
    await talk(here, there, i);
    here.close();
    there.close();
  }

  // A client that shares its keys among the nodes by its own rule.
  const [hashing, one] = [connect(servers), connect(servers.slice(0, 1))];
  const many = Array.from({ length: 300 }, (_, i) => `js-hash-${i}`);
  await Promise.all(many.map((k) => hashing.set(k, k, {})));
  assert.deepEqual(await Promise.all(many.map((k) => text(one, k))), many);
  await new Promise((resolve, reject) => one.stats((err, _, stats) => {
    if (err || !("curr_items" in stats)) reject(err || new Error("no curr_items in stats"));
    resolve();
  }));
  await one.flush();
  assert.deepEqual(await Promise.all(many.map((k) => text(hashing, k))), many.map(() => null));
  hashing.close();
  one.close();
  console.log("ok");
}

main().catch((err) => {
  console.error(err);
  process.exit(1);
});
