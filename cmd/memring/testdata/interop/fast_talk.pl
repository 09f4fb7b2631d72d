# Talks to the servers given, HOST:PORT each, with Cache::Memcached::Fast, and prints ok. What is written through one is read through the next.

use strict;
use warnings;
use Cache::Memcached::Fast;
use Time::HiRes qw(sleep);

my @servers = @ARGV;

# The prototype is there for its scalar context: a client's empty list is an undef.
sub check($$) {
    my ($got, $want) = map { defined $_ ? $_ : 'undef' } @_;
    return if $got eq $want;
    my ($line) = (caller)[2];
    die sprintf "line %d: got '%.200s', want '%.200s'\n", $line, $got, $want;
}

# listed makes what a hash holds comparable.
sub listed { my ($of) = @_; return join ' ', map { "$_=$of->{$_}" } sort keys %$of }

sub connect_to {
    my ($servers, %options) = @_;
    return Cache::Memcached::Fast->new({ servers => $servers, connect_timeout => 30, io_timeout => 30, utf8 => 1, %options });
}

sub talk {
    my ($here, $there, $name) = @_;
    my $key = sub { "pl-$name-$_[0]" };

    # Any bytes, any text, and what perl can freeze.
    my $any = join '', map { chr } 0 .. 255;
    for my $value ('text', '', "\r\nEND\r\n", $any, "\x{43a}\x{43b}\x{44e}\x{447}", 42) {
        check($here->set($key->('kind'), $value), 1);
        check($there->get($key->('kind')), $value);
    }
    $here->set($key->('kind'), { a => [1, 2, 3] });
    check($there->get($key->('kind'))->{a}[2], 3);

    # Stores and their conditions: 1, '' for a refusal, undef for a failure.
    check($here->set($key->('a'), '1st'), 1);
    check($here->add($key->('a'), '2nd'), '');
    check($there->add($key->('b'), '2nd'), 1);
    check($here->replace($key->('b'), '3rd'), 1);
    check($there->replace($key->('absent'), 'x'), '');
    check($there->get($key->('b')), '3rd');
    check($here->get($key->('absent')), undef);
    check($here->append($key->('a'), '>'), 1);
    check($there->prepend($key->('a'), '<'), 1);
    check($here->append($key->('absent'), 'x'), '');
    check($here->get($key->('a')), '<1st>');

    # Compare and swap.
    my ($unique, $value) = @{ $here->gets($key->('a')) };
    check($value, '<1st>');
    check($there->cas($key->('a'), $unique, 'swapped'), 1);
    check($here->cas($key->('a'), $unique, 'too late'), '');
    check($here->get($key->('a')), 'swapped');

    # Numbers; a zero is "0E0", which is true.
    check($here->set($key->('n'), 9), 1);
    check($there->incr($key->('n')), 10);
    check($here->decr($key->('n'), 3), 7);
    check($here->decr($key->('n'), 100) + 0, 0);
    check($here->incr($key->('absent')), '');

    # Many keys at once.
    my %many = map { $key->("many-$_") => $_ } 0 .. 499;
    my $set = $here->set_multi(map { [$_, $many{$_}, 3600] } keys %many);
    check(scalar(grep { $_ } values %$set), 500);
    check(listed($there->get_multi(keys %many, $key->('absent'))), listed(\%many));
    my $got = $there->gets_multi(keys %many);
    check(listed({ map { $_ => $got->{$_}[1] } keys %$got }), listed(\%many));
    my $swapped = $here->cas_multi(map { [$_, $got->{$_}[0], $many{$_} + 1] } keys %many);
    check(scalar(grep { $_ } values %$swapped), 500);
    $there->incr_multi(map { [$_, 10] } keys %many);
    check($here->get($key->('many-7')), 18);
    $here->delete_multi((keys %many)[0 .. 249]);
    check(scalar(keys %{ $there->get_multi(keys %many) }), 250);

    # Time: relative, absolute, past; and deletes.
    check($here->set($key->('t'), 'x', time() + 3600), 1);
    check($there->touch($key->('t'), 3600), 1);
    check($there->gat(3600, $key->('t')), 'x');
    check($there->gats(3600, $key->('t'))->[1], 'x');
    check($here->touch($key->('absent'), 3600), '');
    check($here->set($key->('past'), 'x', time() - 10), 1);
    check($there->get($key->('past')), undef);
    check($here->set($key->('second'), 'x', 1), 1);
    my $end = time() + 30;
    while (defined $there->get($key->('second'))) {
        die "an item of one second is there after thirty\n" if time() > $end;
        sleep 0.1;
    }
    check($here->delete($key->('a')), 1);
    check($there->delete($key->('a')), '');

    # Large values, as they are, packed, and too large.
    my $noise = join '', map { chr int rand 256 } 1 .. 900 << 10;
    $here->enable_compress(0);
    check($here->set($key->('large'), $noise), 1);
    check($there->get($key->('large')) eq $noise, 1);
    check($here->set($key->('large'), "$noise$noise") ? 1 : 0, 0);
    check($there->get($key->('large')), undef); # what was refused has removed what was there
    $here->enable_compress(1);
    my $even = "0123456789abcde\n" x (200 << 10);
    check($here->set($key->('packed'), $even), 1);
    check($there->get($key->('packed')) eq $even, 1);
}

for my $i (0 .. $#servers) {
    my %options = (compress_threshold => 10_000, max_size => 64 << 20);
    talk(connect_to([$servers[$i]], %options), connect_to([$servers[($i + 1) % @servers]], %options), $i);
}

# Clients that share their keys among the nodes by their own rule, Perl's and ketama's; one waits for no answer.
my %many = map { ("pl-hash-$_" => "$_") } 0 .. 299;
my $one = connect_to([$servers[0]]);
for my $hashing (connect_to(\@servers), connect_to(\@servers, ketama_points => 150), connect_to(\@servers, ketama_points => 150, nowait => 1)) {
    $hashing->set($_, $many{$_}) for keys %many;
    $hashing->nowait_push;
    check(listed($one->get_multi(keys %many)), listed(\%many));
    check(scalar(grep { /^\d+\.\d+\.\d+$/ } values %{ $hashing->server_versions }), scalar(keys %{ { map { $_ => 1 } @servers } }));
    $one->flush_all;
    check(listed($hashing->get_multi(keys %many)), '');
}
print "ok\n";
