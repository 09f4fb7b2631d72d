# Talks to the servers given, HOST:PORT each, with Dalli, and prints ok. What is written through one is read through the next.
#
# Debian 12's Dalli, 3.0.6, speaks binary; from 3.2 on there is meta as well, from 5 on nothing else. RUBYLIB may name another than Debian's.

require "dalli"
require "securerandom"

Dalli.logger.level = Logger::ERROR

def check(got, want)
  raise "got #{got.inspect[0, 200]}, want #{want.inspect[0, 200]}" unless got == want
end

def refused(kind)
  got = yield
rescue kind
  nil
else
  raise "no #{kind}, but #{got.inspect[0, 200]}"
end

def connect(servers, wire, **options)
  options[:protocol] = wire unless wire == :only
  Dalli::Client.new(servers, { socket_timeout: 30, **options })
end

# stored? knows that Dalli gives the CAS unique of what it stored, or true; of what it did not, 0, nil or false.
def stored?(result) = result == true || (result.is_a?(Integer) && result != 0)

def talk(here, there, name)
  key = ->(word) { "rb-#{name}-#{word}" }

  # Anything Ruby has, marshalled, and bytes as they are.
  any = (0..255).map(&:chr).join.b
  ["text", "", any, 42, nil, true, { "a" => [1, 2, 3] }].each do |value|
    check(stored?(here.set(key["kind"], value)), true)
    check(there.get(key["kind"]), value)
  end
  check(stored?(here.set(key["raw"], any, 0, raw: true)), true)
  check(there.get(key["raw"], raw: true), any)

  # Stores and their conditions.
  check(stored?(here.add(key["a"], "1st")), true)
  check(stored?(there.add(key["a"], "2nd")), false)
  check(stored?(here.replace(key["a"], "3rd")), true)
  check(stored?(here.replace(key["absent"], "x")), false)
  check(there.get(key["a"]), "3rd")
  check(there.get(key["absent"]), nil)
  check(here.fetch(key["fetched"], 3600) { "made" }, "made")
  check(there.fetch(key["fetched"], 3600) { "made again" }, "made")
  here.set(key["s"], "mid", 0, raw: true)
  check(here.append(key["s"], ">"), true)
  check(there.prepend(key["s"], "<"), true)
  check(here.get(key["s"], raw: true), "<mid>")

  # Compare and swap.
  check(stored?(here.cas(key["a"]) { |value| "#{value}!" }), true)
  check(there.get(key["a"]), "3rd!")
  lost = here.cas(key["a"]) { |value| there.set(key["a"], "meanwhile") && "too late" }
  check(lost, false)
  check(here.get(key["a"]), "meanwhile")
  check(here.cas(key["absent"]) { "x" }, nil)

  # Numbers.
  check(here.incr(key["n"], 1, 3600, 10), 10)
  check(there.incr(key["n"], 5), 15)
  check(here.decr(key["n"], 20), 0)
  check(there.incr(key["absent"], 1), nil)

  # Many keys at once: quiet stores and quiet gets behind one noop.
  many = (0...500).to_h { |i| [key["many-#{i}"], i] }
  here.multi { many.each { |k, v| here.set(k, v) } } if here.respond_to?(:multi)
  here.quiet { many.each { |k, v| here.set(k, v) } } if here.respond_to?(:quiet)
  check(there.get_multi(*many.keys, key["absent"]), many)

  # Time and deletes.
  here.set(key["t"], "x", 3600)
  check(there.touch(key["t"], 3600) ? true : false, true)
  check(there.gat(key["t"], 3600), "x")
  check(here.touch(key["absent"], 3600) ? true : false, false)
  here.set(key["second"], "x", 1)
  deadline = Time.now + 30
  while there.get(key["second"])
    raise "an item of one second is there after thirty" if Time.now > deadline

    sleep 0.1
  end
  check(here.delete(key["a"]), true)
  check(there.delete(key["a"]) ? true : false, false)

  # Large values, as they are, packed, and too large.
  noise = SecureRandom.hex(450 << 10) # not any bytes: Dalli 3.2.8 spoils those on the meta wire
  check(stored?(here.set(key["large"], noise, 0, compress: false)), true)
  check(there.get(key["large"]) == noise, true)
  refused(Dalli::ValueOverMaxSize) { here.set(key["large"], noise + noise, 0, compress: false) }
  even = "0123456789abcde\n" * (200 << 10)
  check(stored?(here.set(key["packed"], even, 0, compress: true)), true)
  check(there.get(key["packed"]) == even, true)
  check(stored?(here.set(key["unpacked"], even[0, 500_000], 0, compress: false)), true)
  check(there.get(key["unpacked"]), even[0, 500_000])

  # Keys that are no words: Dalli hashes those too long, and meta sends others in base64.
  ["k" * 300, "ключ-#{name}", "#{name} with a blank"].each do |word|
    next if word.include?(" ") && here.instance_variable_get(:@options)[:protocol] != :meta

    check(stored?(here.set(word, "x")), true)
    check(there.get(word), "x")
  end
end

servers = ARGV
version = Gem::Version.new(Dalli::VERSION)
wires = if version < Gem::Version.new("3.2") then [:only]
        elsif version < Gem::Version.new("5") then %i[binary meta]
        else [:meta]
        end

wires.product(wires).each do |ours, theirs|
  servers.each_with_index do |server, i|
    here = connect([server], ours)
    there = connect([servers[(i + 1) % servers.size]], theirs)
    talk(here, there, "#{i}-#{ours}-#{theirs}")
    [here, there].each(&:close)
  end
end

# A client that shares its keys among the nodes by its own rule.
wires.each do |wire|
  hashing = connect(servers.uniq, wire)
  one = connect(servers[0, 1], wire)
  many = (0...300).to_h { |i| ["rb-hash-#{i}", i.to_s] }
  many.each { |k, v| hashing.set(k, v) }
  check(one.get_multi(many.keys), many)
  check(hashing.stats.size, servers.uniq.size)
  check(hashing.stats.values.all? { |stats| stats.key?("curr_items") }, true)
  check(hashing.version.values.all? { |v| v.match?(/\A\d+\.\d+\.\d+\z/) }, true)
  one.flush_all
  check(hashing.get_multi(many.keys), {})
end
puts "dalli #{Dalli::VERSION}, #{wires.join(' and ').sub('only', 'binary')}"
puts "ok"
