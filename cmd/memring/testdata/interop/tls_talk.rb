# Talks over TLS with Dalli to the server given: HOST:PORT CA CERT KEY. Prints ok.

require "dalli"
require "openssl"

Dalli.logger.level = Logger::ERROR
server, ca, cert, key = ARGV

def check(got, want)
  raise "got #{got.inspect[0, 200]}, want #{want.inspect[0, 200]}" unless got == want
end

context = OpenSSL::SSL::SSLContext.new
context.ca_file = ca
context.verify_mode = OpenSSL::SSL::VERIFY_PEER
context.verify_hostname = true
context.cert = OpenSSL::X509::Certificate.new(File.read(cert))
context.key = OpenSSL::PKey.read(File.read(key))

client = Dalli::Client.new(server, ssl_context: context, socket_timeout: 30, value_max_bytes: 1024 * 1024)
client.set("k", "v", 60)
check(client.get("k"), "v")
large = "0123456789abcdef" * 56 * 1024
client.set("large", large, 60, raw: true)
check(client.get("large", raw: true), large)
keys = (0...300).map { |i| "rb-tls-#{i}" }
client.multi { keys.each { |k| client.set(k, k) } }
keys.each { |k| check(client.get(k), k) } # Dalli 3.0.6 cannot get_multi over TLS
check(client.incr("n", 5, 60, 1), 1)
check(client.incr("n", 5), 6)
client.close
puts "ok"
