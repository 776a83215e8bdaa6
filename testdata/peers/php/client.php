<?php
// Client of the PHP extension: client.php HOST PORT SCENARIO [ARGS].
//
// Facts about the extension (2.1.0, on libgearman) that a server has to live
// with:
//   - it sends OPTION_REQ "exceptions" unasked, twice;
//   - the last task that was added is the first one submitted;
//   - doHigh and its kin return the pieces of WORK_DATA and the result joined.
declare(strict_types=1);

[, $host, $port, $scenario] = $argv;
$args = array_slice($argv, 4);

function escape(string $s): string
{
    return preg_replace_callback('/[^\x20-\x5b\x5d-\x7e]/', fn ($m) => sprintf('\\x%02x', ord($m[0])), $s);
}

function payload(string $arg): string
{
    return str_starts_with($arg, '@') ? file_get_contents(substr($arg, 1)) : $arg;
}

function line(string|int ...$fields): void
{
    echo implode("\t", $fields), "\n";
}

// Prints whatever happens to the tasks of $client, each line after the task's
// context where it has one.
function printEvents(GearmanClient $client, callable $prefix): void
{
    $client->setDataCallback(fn ($t) => line(...$prefix($t), ...['data', escape($t->data())]));
    $client->setWarningCallback(fn ($t) => line(...$prefix($t), ...['warning', escape($t->data())]));
    $client->setStatusCallback(fn ($t) => line(...$prefix($t), ...['status', $t->taskNumerator(), $t->taskDenominator()]));
    $client->setExceptionCallback(fn ($t) => line(...$prefix($t), ...['exception', escape($t->data())]));
    $client->setCompleteCallback(fn ($t) => line(...$prefix($t), ...['result', escape($t->data())]));
    $client->setFailCallback(fn ($t) => line(...$prefix($t), ...['FAIL']));
}

// Runs one job as a task and prints all its events.
function task(GearmanClient $client, string $function, string $payload): void
{
    printEvents($client, fn () => []);
    $client->addTask($function, payload($payload));
    $client->runTasks();
}

// Runs one job with doHigh or doLow. Older extensions return from them for every
// packet until the job is over; this one returns once, with the pieces joined.
function foreground(GearmanClient $client, string $method, string $function, string $payload): void
{
    $payload = payload($payload);
    do {
        $data = @$client->$method($function, $payload);
        switch ($client->returnCode()) {
            case GEARMAN_WORK_DATA:
                line('data', escape($data));
                break;
            case GEARMAN_WORK_WARNING:
                line('warning', escape($data));
                break;
            case GEARMAN_WORK_STATUS:
                line('status', ...$client->doStatus());
                break;
            case GEARMAN_WORK_FAIL:
                line('FAIL');
                return;
            case GEARMAN_WORK_EXCEPTION:
                line('exception', escape((string) $data));
                return;
            case GEARMAN_SUCCESS:
                line('result', escape($data));
                return;
            default:
                throw new RuntimeException("$method: " . $client->error());
        }
    } while (true);
}

function background(GearmanClient $client, string $method, string $function, string $payload): void
{
    $handle = $client->$method($function, payload($payload));
    if ($client->returnCode() !== GEARMAN_SUCCESS) {
        throw new RuntimeException("$method: " . $client->error());
    }
    line('handle', $handle);
}

$client = new GearmanClient();
$client->addServer($host, (int) $port);

$scenarios = [
    'fg' => fn (...$a) => task($client, ...$a),
    'high' => fn (...$a) => foreground($client, 'doHigh', ...$a),
    'low' => fn (...$a) => foreground($client, 'doLow', ...$a),
    'bg' => fn (...$a) => background($client, 'doBackground', ...$a),
    'high-bg' => fn (...$a) => background($client, 'doHighBackground', ...$a),
    'low-bg' => fn (...$a) => background($client, 'doLowBackground', ...$a),
    'exception' => function (string $function, string $payload) use ($client) {
        $client->enableExceptionHandler();
        task($client, $function, $payload);
    },
    'unique' => function (string $function, string $key, string ...$payloads) use ($client) {
        $client->setCreatedCallback(fn ($t) => line('created', $t->jobHandle()));
        $number = [];
        printEvents($client, function ($t) use (&$number) {
            return [array_search($t, $number, true)];
        });
        // Backwards, so that the first payload is the first on the wire.
        foreach (array_reverse($payloads, true) as $i => $payload) {
            $number[$i + 1] = $client->addTask($function, $payload, null, $key);
        }
        $client->runTasks();
    },
    'status' => function (string $function, string $payload) use ($client) {
        $handle = $client->doBackground($function, $payload);
        $last = [];
        do {
            [$known, $running, $n, $d] = $client->jobStatus($handle);
            $now = [(int) $known, (int) $running, $n, $d];
            if ($now !== $last) {
                line('status', ...$now);
                $last = $now;
            }
            usleep(10_000);
        } while ($known);
    },
    'parallel' => function (string $function, string $count) use ($client) {
        $right = 0;
        $client->setCompleteCallback(function ($t, $payload) use (&$right) {
            $right += $t->data() === strrev($payload) ? 1 : 0;
        });
        for ($i = 1; $i <= (int) $count; $i++) {
            $client->addTask($function, "job-$i", "job-$i");
        }
        $client->runTasks();
        line('ok', $right);
    },
    'tasks' => function (string ...$tasks) use ($client) {
        printEvents($client, fn ($t) => [$t->functionName()]);
        foreach ($tasks as $task) {
            [$function, $payload] = explode('=', $task, 2);
            $client->addTask($function, $payload);
        }
        $client->runTasks();
    },
];

if (!isset($scenarios[$scenario])) {
    line('unsupported');
    exit(3);
}
$scenarios[$scenario](...$args);
