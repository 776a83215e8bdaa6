# Worker of the Perl client library: worker.pl HOST PORT.
#
# Prints "ready", then one line a job, until it is killed. Facts about
# Gearman::Worker 2.004 that a server has to live with:
#   - it grabs with GRAB_JOB only, so that a function never sees the unique;
#   - it sends PRE_SLEEP right after connecting, then GRAB_JOB: a NOOP may come
#     before the answer to the grab;
#   - a result that Perl takes for false ("" and "0") goes out as the bare
#     handle, with no NUL after it, and "0" is lost;
#   - send_work_status drops the denominator; Job::set_status does not;
#   - a handler that dies sends WORK_EXCEPTION and then WORK_FAIL;
#   - an ERROR in place of the answer to a grab kills the worker.
use strict;
use warnings;
use Gearman::Worker;

my ($host, $port) = @ARGV;
$| = 1;

sub escape {
    my $s = shift;
    $s =~ s/([^\x20-\x5b\x5d-\x7e])/sprintf '\\x%02x', ord $1/ge;
    return $s;
}

my $worker = Gearman::Worker->new;
$worker->job_servers("$host:$port");

my %functions = (
    reverse => sub { scalar reverse $_[0]->arg },
    upper   => sub { uc $_[0]->arg },
    chunks  => sub {
        my $job = shift;
        $worker->send_work_data($job, $_) for split / /, $job->arg;
        return 'done';
    },
    status => sub {
        my $job = shift;
        $job->set_status($_, 3) for 1 .. 3;
        return 'done';
    },
    # Reports 1/3 and then waits for a writer on the FIFO that the payload names.
    gate => sub {
        my $job = shift;
        $job->set_status(1, 3);
        open my $fifo, '<', $job->arg or die "open gate: $!";
        my $line = <$fifo>;
        return 'done';
    },
    warn => sub {
        my $job = shift;
        $worker->send_work_warning($job, $job->arg);
        return 'done';
    },
    exception => sub { $worker->send_work_exception($_[0], $_[0]->arg); return },
    die       => sub { die $_[0]->arg . "\n" },
    fail      => sub { return undef },
);
for my $name (keys %functions) {
    my $code = $functions{$name};
    $worker->register_function(
        $name => sub {
            print "job\t$name\t", escape($_[0]->arg), "\n";
            return $code->($_[0]);
        }
    );
}
print "ready\n";
$worker->work while 1;
