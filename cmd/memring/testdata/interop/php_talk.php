<?php
// Talks to the servers given, HOST:PORT each, with php-memcached (libmemcached), and prints ok. What is written through one is read through the next.

function check($got, $want): void {
    if ($got !== $want) {
        throw new Exception('got ' . substr(var_export($got, true), 0, 200) . ', want ' . substr(var_export($want, true), 0, 200));
    }
}

function connect(array $servers, array $options = []): Memcached {
    $client = new Memcached();
    $client->setOptions($options + [Memcached::OPT_RECV_TIMEOUT => 30000000, Memcached::OPT_POLL_TIMEOUT => 30000, Memcached::OPT_CONNECT_TIMEOUT => 30000]);
    foreach ($servers as $server) {
        [$host, $port] = explode(':', $server);
        $client->addServer($host, (int) $port);
    }
    return $client;
}

function talk(Memcached $here, Memcached $there, string $name): void {
    $key = fn($word) => "php-$name-$word";
    $binary = fn($client) => (bool) $client->getOption(Memcached::OPT_BINARY_PROTOCOL);
    $said = fn($client, $code) => check($client->getResultCode(), $code);

    // Strings of any bytes, numbers, arrays: their kind travels in the item's flags.
    $any = implode('', array_map('chr', range(0, 255)));
    foreach (['text', '', "\r\nEND\r\n", $any, 42, -7, 1.5, true, false, ['a' => [1, 2, 3]]] as $value) {
        check($here->set($key('kind'), $value), true);
        check($there->get($key('kind')), $value);
        $said($there, Memcached::RES_SUCCESS);
    }

    // Stores and their conditions.
    check($here->set($key('a'), '1st'), true);
    check($here->add($key('a'), '2nd'), false);
    $said($here, $binary($here) ? Memcached::RES_DATA_EXISTS : Memcached::RES_NOTSTORED);
    check($there->add($key('b'), '2nd'), true);
    check($here->replace($key('b'), '3rd'), true);
    check($there->replace($key('absent'), 'x'), false);
    $said($there, $binary($there) ? Memcached::RES_NOTFOUND : Memcached::RES_NOTSTORED);
    check($there->get($key('b')), '3rd');
    check($here->get($key('absent')), false);
    $said($here, Memcached::RES_NOTFOUND);
    check($there->getByKey('group', $key('b')), '3rd');

    // A value grows only where it was not compressed.
    foreach ([$here, $there] as $client) {
        $client->setOption(Memcached::OPT_COMPRESSION, false);
    }
    check($here->set($key('s'), 'mid'), true);
    check($here->append($key('s'), '>'), true);
    check($there->prepend($key('s'), '<'), true);
    check($here->get($key('s')), '<mid>');
    check($here->append($key('absent'), 'x'), false);

    // Large values, as they are, packed, and too large.
    $noise = random_bytes(900 << 10);
    check($here->set($key('large'), $noise), true);
    check($there->get($key('large')) === $noise, true);
    check($here->set($key('large'), $noise . $noise), false);
    check($there->get($key('large')), false);
    $said($there, Memcached::RES_NOTFOUND); // what was refused has removed what was there
    foreach ([$here, $there] as $client) {
        $client->setOption(Memcached::OPT_COMPRESSION, true);
    }
    $even = str_repeat("0123456789abcde\n", 200 << 10);
    check($here->set($key('packed'), $even), true);
    check($there->get($key('packed')) === $even, true);

    // Compare and swap.
    $read = $here->get($key('a'), null, Memcached::GET_EXTENDED);
    check($read['value'], '1st');
    check($there->cas($read['cas'], $key('a'), 'swapped'), true);
    check($here->cas($read['cas'], $key('a'), 'too late'), false);
    $said($here, Memcached::RES_DATA_EXISTS);
    check($here->get($key('a')), 'swapped');

    // Numbers.
    check($here->set($key('n'), 10), true);
    check($there->increment($key('n'), 5), 15);
    check($here->decrement($key('n'), 20), 0);
    check($here->increment($key('absent')), false);
    $said($here, Memcached::RES_NOTFOUND);
    if ($binary($here) && $binary($there)) {
        check($here->increment($key('born'), 1, 7, 3600), 7);
        check($there->increment($key('born'), 1, 7, 3600), 8);
    }

    // Many keys at once, in the order asked for.
    $many = [];
    for ($i = 0; $i < 500; $i++) {
        $many[$key("many-$i")] = $i;
    }
    check($here->setMulti($many, 3600), true);
    check($there->getMulti([...array_keys($many), $key('absent')]), $many);
    check($there->getDelayed(array_keys($many), true), true);
    check(array_column($there->fetchAll(), 'value', 'key') == $many, true);
    check($here->deleteMulti(array_slice(array_keys($many), 0, 250)), array_fill_keys(array_slice(array_keys($many), 0, 250), true));
    check(count($there->getMulti(array_keys($many))), 250);

    // Time: relative, absolute, past; and deletes.
    check($here->set($key('absolute'), 'x', time() + 3600), true);
    check($there->get($key('absolute')), 'x');
    check($there->touch($key('absolute'), 3600), true);
    check($here->touch($key('absent'), 3600), false);
    check($here->set($key('past'), 'x', time() - 10), true);
    check($there->get($key('past')), false);
    check($here->set($key('second'), 'x', 1), true);
    for ($end = time() + 30; $there->get($key('second')) !== false; usleep(100000)) {
        check(time() < $end, true);
    }
    check($here->delete($key('a')), true);
    check($there->delete($key('a')), false);
    $said($there, Memcached::RES_NOTFOUND);
}

$servers = array_slice($argv, 1);
foreach ($servers as $i => $server) {
    foreach ([[false, false], [true, true], [true, false]] as [$ours, $theirs]) {
        $here = connect([$server], [Memcached::OPT_BINARY_PROTOCOL => $ours]);
        $there = connect([$servers[($i + 1) % count($servers)]], [Memcached::OPT_BINARY_PROTOCOL => $theirs]);
        talk($here, $there, "$i-" . (int) $ours . (int) $theirs);
    }
}

// A client that shares its keys among the nodes by its own rule; and one that waits for no answer, or keeps what it says until it is full.
$hashing = connect($servers, [Memcached::OPT_LIBKETAMA_COMPATIBLE => true, Memcached::OPT_BINARY_PROTOCOL => true]);
$one = connect([$servers[0]]);
$many = [];
for ($i = 0; $i < 300; $i++) {
    $many["php-hash-$i"] = "$i";
}
check($hashing->setMulti($many), true);
check($one->getMulti(array_keys($many)), $many);
foreach ([Memcached::OPT_NO_BLOCK, Memcached::OPT_BUFFER_WRITES] as $option) {
    $hasty = connect([end($servers)], [$option => true]);
    for ($i = 0; $i < 100; $i++) {
        $hasty->set("php-hasty-$option", $i);
    }
    check($hasty->get("php-hasty-$option"), 99);
}
check(count($hashing->getStats()), count(array_unique($servers)));
check(count(array_filter($hashing->getVersion(), fn($v) => preg_match('/^\d+\.\d+\.\d+$/', $v))), count(array_unique($servers)));
check($one->flush(), true);
check($hashing->getMulti(array_keys($many)), []);
echo "ok\n";
