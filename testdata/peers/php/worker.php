<?php
// Worker of the PHP extension: worker.php HOST PORT.
//
// Prints "ready", then one line a job, until it is killed. Like all workers on
// libgearman it grabs with GRAB_JOB_ALL; unlike the others it asks for the
// option "exceptions", which is a client's.
declare(strict_types=1);

[, $host, $port] = $argv;

function escape(string $s): string
{
    return preg_replace_callback('/[^\x20-\x5b\x5d-\x7e]/', fn ($m) => sprintf('\\x%02x', ord($m[0])), $s);
}

$functions = [
    'reverse' => fn (GearmanJob $job) => strrev($job->workload()),
    'upper' => fn (GearmanJob $job) => strtoupper($job->workload()),
    'echo_unique' => fn (GearmanJob $job) => $job->unique(),
    'chunks' => function (GearmanJob $job) {
        foreach (explode(' ', $job->workload()) as $chunk) {
            $job->sendData($chunk);
        }
        return 'done';
    },
    'status' => function (GearmanJob $job) {
        foreach ([1, 2, 3] as $n) {
            $job->sendStatus($n, 3);
        }
        return 'done';
    },
    // Reports 1/3 and then waits for a writer on the FIFO that the payload names.
    'gate' => function (GearmanJob $job) {
        $job->sendStatus(1, 3);
        file_get_contents($job->workload());
        return 'done';
    },
    'warn' => function (GearmanJob $job) {
        $job->sendWarning($job->workload());
        return 'done';
    },
    'exception' => function (GearmanJob $job) {
        $job->sendException($job->workload());
    },
    'fail' => function (GearmanJob $job) {
        $job->sendFail();
    },
];

$worker = new GearmanWorker();
$worker->addServer($host, (int) $port);
foreach ($functions as $name => $function) {
    $worker->addFunction($name, function (GearmanJob $job) use ($name, $function) {
        echo "job\t$name\t", escape($job->workload()), "\n";
        return $function($job);
    });
}
echo "ready\n";
while (@$worker->work() || in_array($worker->returnCode(), [GEARMAN_WORK_FAIL, GEARMAN_WORK_EXCEPTION], true)) {
}
fwrite(STDERR, 'work: ' . $worker->error() . "\n");
exit(1);
