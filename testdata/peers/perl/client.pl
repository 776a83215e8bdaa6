# Client of the Perl client library: client.pl HOST PORT SCENARIO [ARGS].
#
# Facts about Gearman::Client 2.004 that a server has to live with:
#   - an empty unique goes out empty, a payload of "0" goes out empty;
#   - each submission waits for its own JOB_CREATED before the next one, and
#     whatever arrives in between is handled as an event;
#   - it keeps a list of tasks for each handle and takes one off for each
#     WORK_COMPLETE or WORK_FAIL: who coalesces two submissions of one
#     connection must answer twice, or the second task waits for ever;
#   - it never learns packet types above 34 and drops the connection on one.
use strict;
use warnings;
use Gearman::Client;
use Time::HiRes qw(sleep);

my ($host, $port, $scenario, @args) = @ARGV;
$| = 1;

sub escape {
    my $s = shift;
    $s =~ s/([^\x20-\x5b\x5d-\x7e])/sprintf '\\x%02x', ord $1/ge;
    return $s;
}

sub payload {
    my $arg = shift;
    return $arg unless $arg =~ s/^@//;
    open my $file, '<:raw', $arg or die "open $arg: $!";
    local $/;
    return scalar <$file>;
}

sub say_line { print join("\t", @_), "\n" }

# A task that prints whatever happens to it, each line after @prefix.
sub task {
    my ($function, $payload, $options, @prefix) = @_;
    return Gearman::Task->new(
        $function,
        \$payload,
        {
            on_data      => sub { say_line(@prefix, 'data',      escape(${ $_[0] })) },
            on_warning   => sub { say_line(@prefix, 'warning',   escape(${ $_[0] })) },
            on_status    => sub { say_line(@prefix, 'status',    @_) },
            on_exception => sub { say_line(@prefix, 'exception', escape($_[0])) },
            on_complete  => sub { say_line(@prefix, 'result',    escape(${ $_[0] })) },
            on_fail      => sub { say_line(@prefix, 'FAIL') },
            %$options,
        }
    );
}

# The library calls a handle "host:port//handle".
sub bare { my $handle = shift // ''; $handle =~ s{^.*//}{}; return $handle }

my $client = Gearman::Client->new(
    job_servers => ["$host:$port"],
    exceptions  => $scenario eq 'exception' ? 1 : 0,
);

sub foreground {
    my ($priority, $function, $payload) = @_;
    $client->do_task(task($function, payload($payload), { priority => $priority }));
}

sub background {
    my ($priority, $function, $payload) = @_;
    my $handle = $client->dispatch_background(
        task($function, payload($payload), { priority => $priority }));
    say_line('handle', bare($handle));
}

my %scenarios = (
    fg        => sub { foreground('normal', @_) },
    high      => sub { foreground('high',   @_) },
    low       => sub { foreground('low',    @_) },
    exception => sub { foreground('normal', @_) },
    bg        => sub { background('normal', @_) },
    'high-bg' => sub { background('high',   @_) },
    'low-bg'  => sub { background('low',    @_) },
    unique    => sub {
        my ($function, $key, @payloads) = @_;
        my $set = $client->new_task_set;
        my $n   = 0;
        for my $payload (@payloads) {
            my $handle = $set->add_task(task($function, $payload, { uniq => $key }, ++$n));
            say_line('created', bare($handle));
        }
        $set->wait;
    },
    status => sub {
        my ($function, $payload) = @_;
        my $handle = $client->dispatch_background(task($function, $payload, {}));
        my $last = '';
        while (1) {
            my $status = $client->get_status($handle);
            my $now = join "\t", $status->known, $status->running, @{ $status->progress || [0, 0] };
            say_line('status', $last = $now) if $now ne $last;
            last unless $status->known;
            sleep 0.01;
        }
    },
    parallel => sub {
        my ($function, $count) = @_;
        my $set = $client->new_task_set;
        my $right = 0;
        for my $i (1 .. $count) {
            $set->add_task(
                $function => "job-$i",
                { on_complete => sub { $right++ if ${ $_[0] } eq reverse "job-$i" } }
            );
        }
        $set->wait;
        say_line('ok', $right);
    },
    tasks => sub {
        my $set = $client->new_task_set;
        for (@_) {
            my ($function, $payload) = split /=/, $_, 2;
            $set->add_task(task($function, $payload, {}, $function));
        }
        $set->wait;
    },
);

my $run = $scenarios{$scenario};
if (!$run) {
    say_line('unsupported');
    exit 3;
}
$run->(@args);
