# PowerShell completion for gm; written by "gm completion powershell"

$script:GmVerbs = @{
    '' = @{
        Args = @('')
        Subs = @(
            @('submit', 'submit jobs and print their results'),
            @('map', 'scatter records over workers, gather or reduce the results'),
            @('pipe', 'send each record through several functions'),
            @('work', 'do jobs: run a command for each'),
            @('tell', 'report from within a job of gm work'),
            @('serve', 'run a job server'),
            @('status', 'show the queues: waiting, running, workers'),
            @('workers', 'show who is connected and what they can do'),
            @('jobs', 'list jobs that wait, are delayed, run or are dead'),
            @('job', 'show one job'),
            @('wait', 'wait until jobs have ended'),
            @('result', 'print what a background job has ended with'),
            @('retry', 'have dead jobs tried again'),
            @('cancel', 'take jobs out of the queue'),
            @('store', 'verify, shrink or move what a job server has stored'),
            @('admin', 'ask a server about itself, and change it'),
            @('ping', 'see whether servers answer, and how fast'),
            @('completion', 'print completions for a shell'),
            @('man', 'show or write the manual pages'),
            @('version', 'print the version'))
        Flags = @(
            @{ Names = @('-s', '--server'); Text = 'HOST[:PORT] of a server, [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'PORT of servers named without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'NAME of the configuration''s context to use'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet, readable, to FILE'; Value = @('files') },
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null },
            @{ Names = @('--version'); Text = 'print the version'; Value = $null })
    }
    'submit' = @{
        Args = @('files')
        Subs = @()
        Flags = @(
            @{ Names = @('-f', '--function'); Text = 'FUNC to submit to'; Value = @('functions') },
            @{ Names = @('--first'); Text = 'the same job to each function, on each server: the first that completes counts'; Value = $null },
            @{ Names = @('--reducer'); Text = 'function FUNC that the worker is to reduce with'; Value = @('functions') },
            @{ Names = @('-u', '--unique'); Text = 'jobs of the same function and KEY are one job while it is queued or running'; Value = @('') },
            @{ Names = @('-I', '--high'); Text = 'high priority'; Value = $null },
            @{ Names = @('-L', '--low'); Text = 'low priority'; Value = $null },
            @{ Names = @('-t', '--timeout'); Text = 'give up a job that has not ended after TIME'; Value = @('') },
            @{ Names = @('--require-worker'); Text = 'exit with 3 if no worker can do the function, instead of waiting for one'; Value = $null },
            @{ Names = @('--status'); Text = 'print the progress of the jobs on stderr'; Value = $null },
            @{ Names = @('-k', '--keep-order'); Text = 'print results in the order of the records'; Value = $null },
            @{ Names = @('--tag'); Text = 'print the record, or the name of its file, and a tab before each line of its result'; Value = $null },
            @{ Names = @('--line-buffer'); Text = 'print each line of a result when it is complete, even if its job goes on'; Value = $null },
            @{ Names = @('-P', '--prefix'); Text = 'print the function and a colon before each line of a result'; Value = $null },
            @{ Names = @('--out'); Text = 'write each result to a file NAME'; Value = @('') },
            @{ Names = @('--out-anywhere'); Text = 'allow records to lead --out out of the folder that NAME begins with, as ../x and /x do'; Value = $null },
            @{ Names = @('--results'); Text = 'write each record to a folder DIR/NUMBER with the files stdout, stderr, exit and name'; Value = @('dirs') },
            @{ Names = @('-b', '--background'); Text = 'print the handle and do not wait for the result'; Value = $null },
            @{ Names = @('-q', '--quiet'); Text = 'do not print the handle'; Value = $null },
            @{ Names = @('--in'); Text = 'run it after a TIME such as 90s, 10m or 24h'; Value = @('') },
            @{ Names = @('--at'); Text = 'run it at TIME, never before: 15:04, "2006-01-02 15:04", RFC 3339, or @ and Unix seconds'; Value = @('') },
            @{ Names = @('-n', '--each-line'); Text = 'a job for each line of stdin, with its newline'; Value = $null },
            @{ Names = @('--lines'); Text = 'a job for N lines, or records of -0, -d, --csv or --tsv, with their ends'; Value = @('') },
            @{ Names = @('-N', '--stripped'); Text = 'a job for each line, without its newline'; Value = $null },
            @{ Names = @('-0', '--null'); Text = 'a job for each record that ends with NUL'; Value = $null },
            @{ Names = @('-d', '--delimiter'); Text = 'a job for each record that ends with DELIM, which may have \n, \t, \0, \xHH, \\ in it'; Value = @('') },
            @{ Names = @('--block'); Text = 'a job for each block of whole records with about SIZE bytes: 64K, 1M. A longer record is a block of its own'; Value = @('') },
            @{ Names = @('--csv'); Text = 'records are rows of CSV, with newlines allowed in quotes. The first row is a header, put before the rows of each job'; Value = $null },
            @{ Names = @('--tsv'); Text = 'the same with tabs instead of commas'; Value = $null },
            @{ Names = @('--header'); Text = 'the first N records are a header, put before the records of each job'; Value = @('') },
            @{ Names = @('--files'); Text = 'a job for each file'; Value = $null },
            @{ Names = @('--end'); Text = 'with -N, -0 and -d: text appended to each result that does not end with it'; Value = @('') },
            @{ Names = @('-j', '--jobs'); Text = 'at most N jobs in flight'; Value = @('') },
            @{ Names = @('--max-buffer'); Text = 'read no more records while those in flight and the waiting results have SIZE bytes'; Value = @('') },
            @{ Names = @('--joblog'); Text = 'log each record that has ended to FILE as a line of JSON'; Value = @('files') },
            @{ Names = @('--resume'); Text = 'leave out the records that --joblog has'; Value = $null },
            @{ Names = @('--new-output'); Text = 'let --resume go on although the earlier results are not where they were'; Value = $null },
            @{ Names = @('--retry-failed'); Text = 'like --resume, and do the failed records again'; Value = $null },
            @{ Names = @('--dry-run'); Text = 'print the records that would be submitted: number, function, bytes, record or file, name of the output, error'; Value = $null },
            @{ Names = @('--retries'); Text = 'submit a job that failed or was lost again, up to N times'; Value = @('') },
            @{ Names = @('--halt'); Text = 'WHEN failed records end the run: now,fail=1, or soon,fail=3 to wait for running jobs, or soon,fail=10%'; Value = @('choices', 'never', 'now,fail=1', 'soon,fail=1', 'soon,fail=10%') },
            @{ Names = @('--reconnect'); Text = 'wait up to TIME for a server that has gone away or is shutting down'; Value = @('') },
            @{ Names = @('--propagate'); Text = 'exit with the exit code of the worker''s command'; Value = $null },
            @{ Names = @('--bar'); Text = 'draw a bar of the progress on stderr, if it is a terminal'; Value = $null },
            @{ Names = @('--eta'); Text = 'show the number of records, the rate and the time left on stderr, if it is a terminal'; Value = $null },
            @{ Names = @('--progress'); Text = 'print the progress on stderr in FORMAT json, each second and at the end'; Value = @('choices', 'json') },
            @{ Names = @('-o', '--output'); Text = 'print the outcome of each job in FORMAT json or jsonl, instead of its result'; Value = @('choices', 'json', 'jsonl') },
            @{ Names = @('-s', '--server'); Text = 'HOST[:PORT] of a server, [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'PORT of servers named without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'NAME of the configuration''s context to use'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet, readable, to FILE'; Value = @('files') },
            @{ Names = @('--max-payload'); Text = 'a payload or a part of a result may have SIZE bytes: 1000, 64K, 64M, 1G'; Value = @('') },
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'map' = @{
        Args = @('files')
        Subs = @()
        Flags = @(
            @{ Names = @('-f', '--function'); Text = 'FUNC that each record goes to'; Value = @('functions') },
            @{ Names = @('--reduce'); Text = 'function FUNC that makes one result of some'; Value = @('functions') },
            @{ Names = @('--arity'); Text = 'how many results --reduce takes at a time: N from 2'; Value = @('') },
            @{ Names = @('-u', '--unique'); Text = 'jobs of the same function and KEY are one job while it is queued or running'; Value = @('') },
            @{ Names = @('-I', '--high'); Text = 'high priority'; Value = $null },
            @{ Names = @('-L', '--low'); Text = 'low priority'; Value = $null },
            @{ Names = @('-t', '--timeout'); Text = 'give up a job that has not ended after TIME'; Value = @('') },
            @{ Names = @('--require-worker'); Text = 'exit with 3 if no worker can do the function, instead of waiting for one'; Value = $null },
            @{ Names = @('--status'); Text = 'print the progress of the jobs on stderr'; Value = $null },
            @{ Names = @('-b', '--background'); Text = 'leave it to the workers, which must be gm work: print the handle and do not wait'; Value = $null },
            @{ Names = @('-q', '--quiet'); Text = 'do not print the handle'; Value = $null },
            @{ Names = @('--tier'); Text = 'with -b: parts of SIZE that are cut up again by the workers that get them'; Value = @('') },
            @{ Names = @('--unordered'); Text = 'print results as they come, each whole'; Value = $null },
            @{ Names = @('--tag'); Text = 'print the record, or the name of its file, and a tab before each line of its result'; Value = $null },
            @{ Names = @('--line-buffer'); Text = 'print each line of a result when it is complete, even if its job goes on'; Value = $null },
            @{ Names = @('-P', '--prefix'); Text = 'print the function and a colon before each line of a result'; Value = $null },
            @{ Names = @('--out'); Text = 'write each result to a file NAME'; Value = @('') },
            @{ Names = @('--out-anywhere'); Text = 'allow records to lead --out out of the folder that NAME begins with, as ../x and /x do'; Value = $null },
            @{ Names = @('--results'); Text = 'write each record to a folder DIR/NUMBER with the files stdout, stderr, exit and name'; Value = @('dirs') },
            @{ Names = @('-n', '--each-line'); Text = 'a job for each line of stdin, with its newline'; Value = $null },
            @{ Names = @('--lines'); Text = 'a job for N lines, or records of -0, -d, --csv or --tsv, with their ends'; Value = @('') },
            @{ Names = @('-N', '--stripped'); Text = 'a job for each line, without its newline'; Value = $null },
            @{ Names = @('-0', '--null'); Text = 'a job for each record that ends with NUL'; Value = $null },
            @{ Names = @('-d', '--delimiter'); Text = 'a job for each record that ends with DELIM, which may have \n, \t, \0, \xHH, \\ in it'; Value = @('') },
            @{ Names = @('--block'); Text = 'a job for each block of whole records with about SIZE bytes: 64K, 1M. A longer record is a block of its own'; Value = @('') },
            @{ Names = @('--csv'); Text = 'records are rows of CSV, with newlines allowed in quotes. The first row is a header, put before the rows of each job'; Value = $null },
            @{ Names = @('--tsv'); Text = 'the same with tabs instead of commas'; Value = $null },
            @{ Names = @('--header'); Text = 'the first N records are a header, put before the records of each job'; Value = @('') },
            @{ Names = @('--files'); Text = 'a job for each file'; Value = $null },
            @{ Names = @('--end'); Text = 'with -N, -0 and -d: text appended to each result that does not end with it'; Value = @('') },
            @{ Names = @('-j', '--jobs'); Text = 'at most N jobs in flight'; Value = @('') },
            @{ Names = @('--max-buffer'); Text = 'read no more records while those in flight and the waiting results have SIZE bytes'; Value = @('') },
            @{ Names = @('--joblog'); Text = 'log each record that has ended to FILE as a line of JSON'; Value = @('files') },
            @{ Names = @('--resume'); Text = 'leave out the records that --joblog has'; Value = $null },
            @{ Names = @('--new-output'); Text = 'let --resume go on although the earlier results are not where they were'; Value = $null },
            @{ Names = @('--retry-failed'); Text = 'like --resume, and do the failed records again'; Value = $null },
            @{ Names = @('--dry-run'); Text = 'print the records that would be submitted: number, function, bytes, record or file, name of the output, error'; Value = $null },
            @{ Names = @('--retries'); Text = 'submit a job that failed or was lost again, up to N times'; Value = @('') },
            @{ Names = @('--halt'); Text = 'WHEN failed records end the run: now,fail=1, or soon,fail=3 to wait for running jobs, or soon,fail=10%'; Value = @('choices', 'never', 'now,fail=1', 'soon,fail=1', 'soon,fail=10%') },
            @{ Names = @('--reconnect'); Text = 'wait up to TIME for a server that has gone away or is shutting down'; Value = @('') },
            @{ Names = @('--propagate'); Text = 'exit with the exit code of the worker''s command'; Value = $null },
            @{ Names = @('--bar'); Text = 'draw a bar of the progress on stderr, if it is a terminal'; Value = $null },
            @{ Names = @('--eta'); Text = 'show the number of records, the rate and the time left on stderr, if it is a terminal'; Value = $null },
            @{ Names = @('--progress'); Text = 'print the progress on stderr in FORMAT json, each second and at the end'; Value = @('choices', 'json') },
            @{ Names = @('-o', '--output'); Text = 'print the outcome of each job in FORMAT json or jsonl, instead of its result'; Value = @('choices', 'json', 'jsonl') },
            @{ Names = @('-s', '--server'); Text = 'HOST[:PORT] of a server, [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'PORT of servers named without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'NAME of the configuration''s context to use'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet, readable, to FILE'; Value = @('files') },
            @{ Names = @('--max-payload'); Text = 'a payload or a part of a result may have SIZE bytes: 1000, 64K, 64M, 1G'; Value = @('') },
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'pipe' = @{
        Args = @('functions')
        Subs = @()
        Flags = @(
            @{ Names = @('-u', '--unique'); Text = 'jobs of the same function and KEY are one job while it is queued or running'; Value = @('') },
            @{ Names = @('-I', '--high'); Text = 'high priority'; Value = $null },
            @{ Names = @('-L', '--low'); Text = 'low priority'; Value = $null },
            @{ Names = @('-t', '--timeout'); Text = 'give up a job that has not ended after TIME'; Value = @('') },
            @{ Names = @('--require-worker'); Text = 'exit with 3 if no worker can do the function, instead of waiting for one'; Value = $null },
            @{ Names = @('--status'); Text = 'print the progress of the jobs on stderr'; Value = $null },
            @{ Names = @('--unordered'); Text = 'print results as they come, each whole'; Value = $null },
            @{ Names = @('--tag'); Text = 'print the record, or the name of its file, and a tab before each line of its result'; Value = $null },
            @{ Names = @('--line-buffer'); Text = 'print each line of a result when it is complete, even if its job goes on'; Value = $null },
            @{ Names = @('-P', '--prefix'); Text = 'print the function and a colon before each line of a result'; Value = $null },
            @{ Names = @('--out'); Text = 'write each result to a file NAME'; Value = @('') },
            @{ Names = @('--out-anywhere'); Text = 'allow records to lead --out out of the folder that NAME begins with, as ../x and /x do'; Value = $null },
            @{ Names = @('--results'); Text = 'write each record to a folder DIR/NUMBER with the files stdout, stderr, exit and name'; Value = @('dirs') },
            @{ Names = @('-n', '--each-line'); Text = 'a job for each line of stdin, with its newline'; Value = $null },
            @{ Names = @('--lines'); Text = 'a job for N lines, or records of -0, -d, --csv or --tsv, with their ends'; Value = @('') },
            @{ Names = @('-N', '--stripped'); Text = 'a job for each line, without its newline'; Value = $null },
            @{ Names = @('-0', '--null'); Text = 'a job for each record that ends with NUL'; Value = $null },
            @{ Names = @('-d', '--delimiter'); Text = 'a job for each record that ends with DELIM, which may have \n, \t, \0, \xHH, \\ in it'; Value = @('') },
            @{ Names = @('--block'); Text = 'a job for each block of whole records with about SIZE bytes: 64K, 1M. A longer record is a block of its own'; Value = @('') },
            @{ Names = @('--csv'); Text = 'records are rows of CSV, with newlines allowed in quotes. The first row is a header, put before the rows of each job'; Value = $null },
            @{ Names = @('--tsv'); Text = 'the same with tabs instead of commas'; Value = $null },
            @{ Names = @('--header'); Text = 'the first N records are a header, put before the records of each job'; Value = @('') },
            @{ Names = @('--files'); Text = 'a job for each file'; Value = $null },
            @{ Names = @('--end'); Text = 'with -N, -0 and -d: text appended to each result that does not end with it'; Value = @('') },
            @{ Names = @('-j', '--jobs'); Text = 'at most N jobs in flight'; Value = @('') },
            @{ Names = @('--max-buffer'); Text = 'read no more records while those in flight and the waiting results have SIZE bytes'; Value = @('') },
            @{ Names = @('--joblog'); Text = 'log each record that has ended to FILE as a line of JSON'; Value = @('files') },
            @{ Names = @('--resume'); Text = 'leave out the records that --joblog has'; Value = $null },
            @{ Names = @('--new-output'); Text = 'let --resume go on although the earlier results are not where they were'; Value = $null },
            @{ Names = @('--retry-failed'); Text = 'like --resume, and do the failed records again'; Value = $null },
            @{ Names = @('--dry-run'); Text = 'print the records that would be submitted: number, function, bytes, record or file, name of the output, error'; Value = $null },
            @{ Names = @('--retries'); Text = 'submit a job that failed or was lost again, up to N times'; Value = @('') },
            @{ Names = @('--halt'); Text = 'WHEN failed records end the run: now,fail=1, or soon,fail=3 to wait for running jobs, or soon,fail=10%'; Value = @('choices', 'never', 'now,fail=1', 'soon,fail=1', 'soon,fail=10%') },
            @{ Names = @('--reconnect'); Text = 'wait up to TIME for a server that has gone away or is shutting down'; Value = @('') },
            @{ Names = @('--propagate'); Text = 'exit with the exit code of the worker''s command'; Value = $null },
            @{ Names = @('--bar'); Text = 'draw a bar of the progress on stderr, if it is a terminal'; Value = $null },
            @{ Names = @('--eta'); Text = 'show the number of records, the rate and the time left on stderr, if it is a terminal'; Value = $null },
            @{ Names = @('--progress'); Text = 'print the progress on stderr in FORMAT json, each second and at the end'; Value = @('choices', 'json') },
            @{ Names = @('-o', '--output'); Text = 'print the outcome of each job in FORMAT json or jsonl, instead of its result'; Value = @('choices', 'json', 'jsonl') },
            @{ Names = @('-s', '--server'); Text = 'HOST[:PORT] of a server, [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'PORT of servers named without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'NAME of the configuration''s context to use'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet, readable, to FILE'; Value = @('files') },
            @{ Names = @('--max-payload'); Text = 'a payload or a part of a result may have SIZE bytes: 1000, 64K, 64M, 1G'; Value = @('') },
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'work' = @{
        Args = @('command')
        Subs = @()
        Flags = @(
            @{ Names = @('-f', '--function'); Text = 'FUNC to do'; Value = @('functions') },
            @{ Names = @('--dir'); Text = 'each executable file in DIR is a function of its name'; Value = @('dirs') },
            @{ Names = @('-j', '--jobs'); Text = 'do N jobs at a time'; Value = @('') },
            @{ Names = @('-c', '--count'); Text = 'end after N jobs'; Value = @('') },
            @{ Names = @('--until-empty'); Text = 'end when no server has a job left'; Value = $null },
            @{ Names = @('--idle'); Text = 'with --until-empty, wait TIME for more jobs before the end'; Value = @('') },
            @{ Names = @('-i', '--id'); Text = 'ID that the server shows for this worker'; Value = @('') },
            @{ Names = @('-v', '--verbose'); Text = 'log each job on stderr'; Value = $null },
            @{ Names = @('--shell'); Text = 'CMD is a script for /bin/sh -c'; Value = $null },
            @{ Names = @('-t', '--timeout'); Text = 'stop and fail a job after TIME'; Value = @('') },
            @{ Names = @('--kill-after'); Text = 'TIME from SIGTERM to SIGKILL'; Value = @('') },
            @{ Names = @('--stream'); Text = 'send stdout while it is written, in pieces'; Value = $null },
            @{ Names = @('-n', '--lines'); Text = 'send stdout while it is written, a line at a time'; Value = $null },
            @{ Names = @('--exception'); Text = 'a failure is an exception, with the last of stderr as its text'; Value = $null },
            @{ Names = @('--attempts'); Text = 'ask the server which attempt a job is, for GM_ATTEMPT'; Value = $null },
            @{ Names = @('--keep'); Text = 'one child serves many jobs, a line in and a line out'; Value = $null },
            @{ Names = @('--max-jobs'); Text = 'replace the child after N jobs'; Value = @('') },
            @{ Names = @('--max-age'); Text = 'replace the child after TIME, between two jobs'; Value = @('') },
            @{ Names = @('--max-rss'); Text = 'replace the child when it occupies more than SIZE of memory, between two jobs'; Value = @('') },
            @{ Names = @('--next'); Text = 'submit each result to FUNC, in the background, before its job is completed'; Value = @('functions') },
            @{ Names = @('--on-fail'); Text = 'submit the payload of each job that fails to FUNC, in the background, before it is failed'; Value = @('functions') },
            @{ Names = @('--next-priority'); Text = 'PRIORITY of these jobs: high, normal, low, or same as the job''s, which only gm serve tells'; Value = @('choices', 'high', 'normal', 'low', 'same') },
            @{ Names = @('-s', '--server'); Text = 'HOST[:PORT] of a server, [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'PORT of servers named without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'NAME of the configuration''s context to use'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet, readable, to FILE'; Value = @('files') },
            @{ Names = @('--max-payload'); Text = 'a payload or a part of a result may have SIZE bytes: 1000, 64K, 64M, 1G'; Value = @('') },
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'tell' = @{
        Args = @('')
        Subs = @(
            @('status', 'report progress'),
            @('warn', 'send a warning'),
            @('data', 'send part of the result'))
        Flags = @(
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'tell status' = @{
        Args = @('')
        Subs = @()
        Flags = @(
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'tell warn' = @{
        Args = @('')
        Subs = @()
        Flags = @(
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'tell data' = @{
        Args = @('')
        Subs = @()
        Flags = @(
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'serve' = @{
        Args = @('')
        Subs = @()
        Flags = @(
            @{ Names = @('-L', '--listen'); Text = 'listen on ADDR: HOST, HOST:PORT, :PORT for all interfaces, [::1]:4730, or unix:/path[?mode=0660&group=NAME]'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'PORT of addresses without one, else GEARMAND_PORT'; Value = @('') },
            @{ Names = @('--print-port'); Text = 'print the port on stdout once it listens'; Value = $null },
            @{ Names = @('--keepalive'); Text = 'ask a silent TCP peer after TIME whether it is still there'; Value = $null },
            @{ Names = @('--user-timeout'); Text = 'give a TCP peer up that acknowledges nothing for TIME (Linux)'; Value = @('') },
            @{ Names = @('--store'); Text = 'keep background jobs in the store URL'; Value = @('stores') },
            @{ Names = @('--data'); Text = 'keep background jobs in the directory DIR: --store disk:DIR'; Value = @('dirs') },
            @{ Names = @('--sync'); Text = 'WHEN a disk or sqlite store brings jobs to the disk: always (before they are acknowledged, the default), interval (every second) or never (when the system likes to)'; Value = @('choices', 'always', 'interval', 'never') },
            @{ Names = @('--store-wait'); Text = 'wait for TIME for a store that can''t be reached at the start, such as a database that starts later'; Value = @('') },
            @{ Names = @('--store-timeout'); Text = 'refuse a job that the store has not taken after TIME'; Value = @('') },
            @{ Names = @('--memory'); Text = 'waiting payloads may occupy SIZE'; Value = @('') },
            @{ Names = @('--retry'); Text = 'try jobs that fail again: FUNCTION=N[,MIN..MAX], N times, -1 for ever, the first after MIN, each after twice the wait of the one before, up to MAX (1s..5m)'; Value = @('') },
            @{ Names = @('--dead-max'); Text = 'keep the last N background jobs of each function that have failed for good'; Value = @('') },
            @{ Names = @('--dead-age'); Text = 'and each for TIME, like 720h'; Value = @('') },
            @{ Names = @('--keep-results'); Text = 'keep for TIME how background jobs have ended, and their results, for gm wait and gm result'; Value = @('') },
            @{ Names = @('--results-memory'); Text = 'the results that are kept may occupy SIZE'; Value = @('') },
            @{ Names = @('-j', '--job-retries'); Text = 'a job that N workers have lost is dead'; Value = @('') },
            @{ Names = @('-R', '--round-robin'); Text = 'take a worker''s functions in turn, instead of one before the other'; Value = $null },
            @{ Names = @('--exceptions'); Text = 'send WORK_EXCEPTION to all clients, not only to those that ask for it'; Value = $null },
            @{ Names = @('-w', '--worker-wakeup'); Text = 'wake N sleeping workers for a job'; Value = @('') },
            @{ Names = @('--forget-functions'); Text = 'forget functions that nobody has used for TIME'; Value = @('') },
            @{ Names = @('--host'); Text = 'NAME in job handles'; Value = @('') },
            @{ Names = @('--drain-timeout'); Text = 'let running jobs end for at most TIME when stopping'; Value = @('') },
            @{ Names = @('--work'); Text = 'also be a worker: run FUNCTION=COMMAND by the shell for each job, without the variables of the store''s passwords'; Value = @('') },
            @{ Names = @('--work-jobs'); Text = 'run N jobs of a --work at a time'; Value = @('') },
            @{ Names = @('--max-payload'); Text = 'refuse payloads of more than SIZE'; Value = @('') },
            @{ Names = @('--max-outbox'); Text = 'drop a peer for which more than SIZE waits'; Value = @('') },
            @{ Names = @('--peer-timeout'); Text = 'drop a peer that for TIME takes nothing of much that waits for it, or sends no more of a packet'; Value = @('') },
            @{ Names = @('--log-level'); Text = 'log LEVEL and above: debug (every job), info, warn, error'; Value = @('choices', 'debug', 'info', 'warn', 'error') },
            @{ Names = @('-v', '--verbose'); Text = 'as --log-level debug, or the LEVEL in gearmand''s words: FATAL, ALERT, CRITICAL, ERROR, WARNING, NOTICE, INFO or DEBUG'; Value = $null },
            @{ Names = @('--log-format'); Text = 'FORMAT is text or json'; Value = @('choices', 'text', 'json') },
            @{ Names = @('-l', '--log-file'); Text = 'append the log to FILE, which SIGHUP opens anew'; Value = @('files') },
            @{ Names = @('--syslog'); Text = 'send the log to syslog, as daemon'; Value = $null },
            @{ Names = @('--trace'); Text = 'write every packet, readable, to FILE'; Value = @('files') },
            @{ Names = @('-d', '--daemon'); Text = 'go to the background once it serves'; Value = $null },
            @{ Names = @('-u', '--user'); Text = 'become the user NAME before anything is opened'; Value = @('') },
            @{ Names = @('-P', '--pid-file'); Text = 'write the process id to FILE once it serves'; Value = @('files') },
            @{ Names = @('--config-file'); Text = 'read more options from FILE, as on the command line, which goes first'; Value = @('files') },
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'status' = @{
        Args = @('functions')
        Subs = @()
        Flags = @(
            @{ Names = @('--by-server'); Text = 'a row for each function of each server, instead of sums'; Value = $null },
            @{ Names = @('-w', '--watch'); Text = 'go on showing, until interrupted'; Value = $null },
            @{ Names = @('-i', '--interval'); Text = 'time from one look to the next with --watch: a DURATION'; Value = @('') },
            @{ Names = @('-c', '--count'); Text = 'end --watch after N looks'; Value = @('') },
            @{ Names = @('-o', '--output'); Text = 'FORMAT of the rows: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('-s', '--server'); Text = 'HOST[:PORT] of a server, [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'PORT of servers named without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'NAME of the configuration''s context to use'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet, readable, to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'how long a server may take to answer: a DURATION like 500ms, 10s or 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'workers' = @{
        Args = @('functions')
        Subs = @()
        Flags = @(
            @{ Names = @('-a', '--all'); Text = 'also connections that offer no function'; Value = $null },
            @{ Names = @('-w', '--watch'); Text = 'go on showing, until interrupted'; Value = $null },
            @{ Names = @('-i', '--interval'); Text = 'time from one look to the next with --watch: a DURATION'; Value = @('') },
            @{ Names = @('-c', '--count'); Text = 'end --watch after N looks'; Value = @('') },
            @{ Names = @('-o', '--output'); Text = 'FORMAT of the rows: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('-s', '--server'); Text = 'HOST[:PORT] of a server, [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'PORT of servers named without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'NAME of the configuration''s context to use'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet, readable, to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'how long a server may take to answer: a DURATION like 500ms, 10s or 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'jobs' = @{
        Args = @('functions')
        Subs = @()
        Flags = @(
            @{ Names = @('-f', '--function'); Text = 'only jobs of FUNC, as by the argument'; Value = @('functions') },
            @{ Names = @('--state'); Text = 'only jobs in STATE: waiting, delayed, running or dead'; Value = @('choices', 'waiting', 'delayed', 'running', 'dead') },
            @{ Names = @('--dead'); Text = 'the dead jobs: --state dead'; Value = $null },
            @{ Names = @('-n', '--limit'); Text = 'at most N jobs of each server'; Value = @('') },
            @{ Names = @('-o', '--output'); Text = 'FORMAT of the rows: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('-s', '--server'); Text = 'HOST[:PORT] of a server, [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'PORT of servers named without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'NAME of the configuration''s context to use'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet, readable, to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'how long a server may take to answer: a DURATION like 500ms, 10s or 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'job' = @{
        Args = @('handles')
        Subs = @()
        Flags = @(
            @{ Names = @('--payload'); Text = 'print its payload instead, byte for byte (gm serve)'; Value = $null },
            @{ Names = @('--follow'); Text = 'print its result as it comes, until it ends (gm serve)'; Value = $null },
            @{ Names = @('-o', '--output'); Text = 'FORMAT of the rows: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('-s', '--server'); Text = 'HOST[:PORT] of a server, [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'PORT of servers named without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'NAME of the configuration''s context to use'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet, readable, to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'how long a server may take to answer: a DURATION like 500ms, 10s or 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'wait' = @{
        Args = @('handles')
        Subs = @()
        Flags = @(
            @{ Names = @('-f', '--function'); Text = 'jobs of FUNC, or of those that a pattern matches'; Value = @('functions') },
            @{ Names = @('--match'); Text = 'only those with TEXT in handle, unique, last error or payload'; Value = @('') },
            @{ Names = @('-a', '--all'); Text = 'all jobs of -f that have not ended'; Value = $null },
            @{ Names = @('-o', '--output'); Text = 'FORMAT of the rows: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('-t', '--timeout'); Text = 'give up after a DURATION like 500ms, 10s or 1m'; Value = @('') },
            @{ Names = @('-s', '--server'); Text = 'HOST[:PORT] of a server, [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'PORT of servers named without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'NAME of the configuration''s context to use'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet, readable, to FILE'; Value = @('files') },
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'result' = @{
        Args = @('handles')
        Subs = @()
        Flags = @(
            @{ Names = @('-s', '--server'); Text = 'HOST[:PORT] of a server, [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'PORT of servers named without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'NAME of the configuration''s context to use'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet, readable, to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'how long a server may take to answer: a DURATION like 500ms, 10s or 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'retry' = @{
        Args = @('dead')
        Subs = @()
        Flags = @(
            @{ Names = @('-f', '--function'); Text = 'jobs of FUNC, or of those that a pattern matches'; Value = @('functions') },
            @{ Names = @('--match'); Text = 'only those with TEXT in handle, unique, last error or payload'; Value = @('') },
            @{ Names = @('-a', '--all'); Text = 'all dead jobs of -f'; Value = $null },
            @{ Names = @('-o', '--output'); Text = 'FORMAT of the rows: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('-s', '--server'); Text = 'HOST[:PORT] of a server, [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'PORT of servers named without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'NAME of the configuration''s context to use'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet, readable, to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'how long a server may take to answer: a DURATION like 500ms, 10s or 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'cancel' = @{
        Args = @('handles')
        Subs = @()
        Flags = @(
            @{ Names = @('--running'); Text = 'also stop jobs that run, if their workers are gm work'; Value = $null },
            @{ Names = @('-f', '--function'); Text = 'jobs of FUNC, or of those that a pattern matches'; Value = @('functions') },
            @{ Names = @('--match'); Text = 'only those with TEXT in handle, unique, last error or payload'; Value = @('') },
            @{ Names = @('-a', '--all'); Text = 'all jobs of -f that have not ended'; Value = $null },
            @{ Names = @('-o', '--output'); Text = 'FORMAT of the rows: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('-s', '--server'); Text = 'HOST[:PORT] of a server, [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'PORT of servers named without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'NAME of the configuration''s context to use'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet, readable, to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'how long a server may take to answer: a DURATION like 500ms, 10s or 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'store' = @{
        Args = @('')
        Subs = @(
            @('check', 'verify a store'),
            @('compact', 'give back the room of what a store has forgotten'),
            @('dump', 'print all that a store has, as JSON lines'),
            @('load', 'put the lines of gm store dump into a store'))
        Flags = @(
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'store check' = @{
        Args = @('stores')
        Subs = @()
        Flags = @(
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'store compact' = @{
        Args = @('stores')
        Subs = @()
        Flags = @(
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'store dump' = @{
        Args = @('stores')
        Subs = @()
        Flags = @(
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'store load' = @{
        Args = @('stores')
        Subs = @()
        Flags = @(
            @{ Names = @('--merge'); Text = 'add to what the store has'; Value = $null },
            @{ Names = @('--partial'); Text = 'the lines are not a whole dump'; Value = $null },
            @{ Names = @('-o', '--output'); Text = 'FORMAT of the rows: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'admin' = @{
        Args = @('')
        Subs = @(
            @('version', 'print the server''s version'),
            @('pid', 'print the server''s process id'),
            @('verbose', 'print how much the server logs'),
            @('create', 'make functions known before a worker comes'),
            @('drop', 'forget functions that have no workers'),
            @('maxqueue', 'limit how many jobs a function may have'),
            @('pause', 'hand out no more jobs of functions (gm serve)'),
            @('resume', 'hand out jobs of paused functions again (gm serve)'),
            @('purge', 'drop the waiting and delayed jobs of functions (gm serve)'),
            @('front', 'move waiting jobs to the head of their queue (gm serve)'),
            @('policy', 'say how often jobs that fail are tried again (gm serve)'),
            @('shutdown', 'stop the server'),
            @('show-jobs', 'list handles, attempts, ignored and queued of all jobs'),
            @('show-unique-jobs', 'list the uniques of all jobs'),
            @('help', 'list the server''s own commands (gm serve)'))
        Flags = @(
            @{ Names = @('-s', '--server'); Text = 'HOST[:PORT] of a server, [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'PORT of servers named without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'NAME of the configuration''s context to use'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet, readable, to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'how long a server may take to answer: a DURATION like 500ms, 10s or 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'admin version' = @{
        Args = @('')
        Subs = @()
        Flags = @(
            @{ Names = @('-o', '--output'); Text = 'FORMAT of the rows: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('-s', '--server'); Text = 'HOST[:PORT] of a server, [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'PORT of servers named without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'NAME of the configuration''s context to use'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet, readable, to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'how long a server may take to answer: a DURATION like 500ms, 10s or 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'admin pid' = @{
        Args = @('')
        Subs = @()
        Flags = @(
            @{ Names = @('-o', '--output'); Text = 'FORMAT of the rows: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('-s', '--server'); Text = 'HOST[:PORT] of a server, [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'PORT of servers named without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'NAME of the configuration''s context to use'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet, readable, to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'how long a server may take to answer: a DURATION like 500ms, 10s or 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'admin verbose' = @{
        Args = @('')
        Subs = @()
        Flags = @(
            @{ Names = @('-o', '--output'); Text = 'FORMAT of the rows: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('-s', '--server'); Text = 'HOST[:PORT] of a server, [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'PORT of servers named without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'NAME of the configuration''s context to use'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet, readable, to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'how long a server may take to answer: a DURATION like 500ms, 10s or 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'admin create' = @{
        Args = @('functions')
        Subs = @()
        Flags = @(
            @{ Names = @('-s', '--server'); Text = 'HOST[:PORT] of a server, [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'PORT of servers named without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'NAME of the configuration''s context to use'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet, readable, to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'how long a server may take to answer: a DURATION like 500ms, 10s or 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'admin drop' = @{
        Args = @('functions')
        Subs = @()
        Flags = @(
            @{ Names = @('-y', '--yes'); Text = 'do not ask'; Value = $null },
            @{ Names = @('-s', '--server'); Text = 'HOST[:PORT] of a server, [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'PORT of servers named without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'NAME of the configuration''s context to use'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet, readable, to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'how long a server may take to answer: a DURATION like 500ms, 10s or 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'admin maxqueue' = @{
        Args = @('functions')
        Subs = @()
        Flags = @(
            @{ Names = @('-s', '--server'); Text = 'HOST[:PORT] of a server, [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'PORT of servers named without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'NAME of the configuration''s context to use'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet, readable, to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'how long a server may take to answer: a DURATION like 500ms, 10s or 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'admin pause' = @{
        Args = @('functions')
        Subs = @()
        Flags = @(
            @{ Names = @('-s', '--server'); Text = 'HOST[:PORT] of a server, [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'PORT of servers named without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'NAME of the configuration''s context to use'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet, readable, to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'how long a server may take to answer: a DURATION like 500ms, 10s or 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'admin resume' = @{
        Args = @('functions')
        Subs = @()
        Flags = @(
            @{ Names = @('-s', '--server'); Text = 'HOST[:PORT] of a server, [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'PORT of servers named without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'NAME of the configuration''s context to use'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet, readable, to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'how long a server may take to answer: a DURATION like 500ms, 10s or 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'admin purge' = @{
        Args = @('functions')
        Subs = @()
        Flags = @(
            @{ Names = @('-y', '--yes'); Text = 'do not ask'; Value = $null },
            @{ Names = @('--dead'); Text = 'forget the dead jobs instead'; Value = $null },
            @{ Names = @('-o', '--output'); Text = 'FORMAT of the rows: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('-s', '--server'); Text = 'HOST[:PORT] of a server, [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'PORT of servers named without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'NAME of the configuration''s context to use'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet, readable, to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'how long a server may take to answer: a DURATION like 500ms, 10s or 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'admin front' = @{
        Args = @('handles')
        Subs = @()
        Flags = @(
            @{ Names = @('-s', '--server'); Text = 'HOST[:PORT] of a server, [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'PORT of servers named without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'NAME of the configuration''s context to use'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet, readable, to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'how long a server may take to answer: a DURATION like 500ms, 10s or 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'admin policy' = @{
        Args = @('functions')
        Subs = @()
        Flags = @(
            @{ Names = @('-o', '--output'); Text = 'FORMAT of the rows: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('-s', '--server'); Text = 'HOST[:PORT] of a server, [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'PORT of servers named without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'NAME of the configuration''s context to use'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet, readable, to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'how long a server may take to answer: a DURATION like 500ms, 10s or 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'admin shutdown' = @{
        Args = @('')
        Subs = @()
        Flags = @(
            @{ Names = @('-g', '--graceful'); Text = 'let running jobs end first'; Value = $null },
            @{ Names = @('-y', '--yes'); Text = 'do not ask'; Value = $null },
            @{ Names = @('-s', '--server'); Text = 'HOST[:PORT] of a server, [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'PORT of servers named without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'NAME of the configuration''s context to use'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet, readable, to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'how long a server may take to answer: a DURATION like 500ms, 10s or 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'admin show-jobs' = @{
        Args = @('')
        Subs = @()
        Flags = @(
            @{ Names = @('-o', '--output'); Text = 'FORMAT of the rows: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('-s', '--server'); Text = 'HOST[:PORT] of a server, [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'PORT of servers named without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'NAME of the configuration''s context to use'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet, readable, to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'how long a server may take to answer: a DURATION like 500ms, 10s or 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'admin show-unique-jobs' = @{
        Args = @('')
        Subs = @()
        Flags = @(
            @{ Names = @('-o', '--output'); Text = 'FORMAT of the rows: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('-s', '--server'); Text = 'HOST[:PORT] of a server, [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'PORT of servers named without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'NAME of the configuration''s context to use'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet, readable, to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'how long a server may take to answer: a DURATION like 500ms, 10s or 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'admin help' = @{
        Args = @('')
        Subs = @()
        Flags = @(
            @{ Names = @('-o', '--output'); Text = 'FORMAT of the rows: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('-s', '--server'); Text = 'HOST[:PORT] of a server, [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'PORT of servers named without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'NAME of the configuration''s context to use'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet, readable, to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'how long a server may take to answer: a DURATION like 500ms, 10s or 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'ping' = @{
        Args = @('')
        Subs = @()
        Flags = @(
            @{ Names = @('-c', '--count'); Text = 'ping each server N times'; Value = @('') },
            @{ Names = @('-i', '--interval'); Text = 'time from one ping to the next: a DURATION'; Value = @('') },
            @{ Names = @('-o', '--output'); Text = 'FORMAT of the rows: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('-s', '--server'); Text = 'HOST[:PORT] of a server, [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'PORT of servers named without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'NAME of the configuration''s context to use'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet, readable, to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'how long a server may take to answer: a DURATION like 500ms, 10s or 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'completion' = @{
        Args = @('choices', 'bash', 'zsh', 'fish', 'powershell')
        Subs = @()
        Flags = @(
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'man' = @{
        Args = @('choices', 'submit', 'map', 'pipe', 'work', 'tell', 'serve', 'status', 'workers', 'jobs', 'job', 'wait', 'result', 'retry', 'cancel', 'store', 'admin', 'ping', 'completion', 'man', 'version')
        Subs = @()
        Flags = @(
            @{ Names = @('-d', '--dir'); Text = 'write all pages to the directory DIR, which is made if need be'; Value = @('dirs') },
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'version' = @{
        Args = @('')
        Subs = @()
        Flags = @(
            @{ Names = @('--color'); Text = 'colour on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
}

# Proposals for a value: a list of its kind and, for some, the words.
function script:Get-GmValue($Value, $Connection, $Word) {
    switch ($Value[0]) {
        'choices' { $Value | Select-Object -Skip 1 }
        'functions' { & gm status -o tsv -t 300 @Connection 2>$null | ForEach-Object { ($_ -split "`t")[0] } }
        'dead' { & gm jobs --dead -o tsv -t 300 @Connection 2>$null | ForEach-Object { ($_ -split "`t")[1] } }
        'contexts' {
            $file = if ($env:GM_CONFIG) { $env:GM_CONFIG } else { Join-Path $HOME '.config/gm/config.toml' }
            Select-String -Path $file -Pattern '^\[contexts\.([^\]]*)\]' -ErrorAction SilentlyContinue |
                ForEach-Object { $_.Matches[0].Groups[1].Value.Trim('"') }
        }
        'stores' {
            if ($Word -match '^(disk|sqlite|tokyocabinet):(.*)$') {
                $scheme = $Matches[1]
                Get-ChildItem -Path ($Matches[2] + '*') -ErrorAction SilentlyContinue | ForEach-Object { $scheme + ':' + $_.FullName }
            } else {
                'disk:', 'sqlite:', 'tokyocabinet:', 'postgres://', 'mysql://', 'redis://', 'memcached://'
            }
        }
        'handles' { & gm jobs -o tsv -t 300 @Connection 2>$null | ForEach-Object { ($_ -split "`t")[1] } }
    }
}

Register-ArgumentCompleter -Native -CommandName gm -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $words = @($commandAst.CommandElements |
        Where-Object { $_.Extent.EndOffset -lt $cursorPosition -or $_.Extent.EndOffset -eq $cursorPosition -and $wordToComplete -eq '' } |
        ForEach-Object { $_.Extent.Text } | Select-Object -Skip 1)
    $path = @()
    $verb = $script:GmVerbs['']
    $pending = $null
    $connection = @()
    foreach ($word in $words) {
        if ($pending) {
            if ($pending.Names -contains '--server' -or $pending.Names -contains '--port' -or $pending.Names -contains '--context') {
                $connection += @($pending.Names[-1], $word)
            }
            $pending = $null
        } elseif ($word.StartsWith('-')) {
            $pending = $verb.Flags | Where-Object { $_.Names -ccontains $word -and $null -ne $_.Value } | Select-Object -First 1
        } elseif ($verb.Subs.Count -gt 0 -and $word -ne 'help') {
            $path += $word
            $verb = $script:GmVerbs[$path -join ' ']
            if ($null -eq $verb) { return }
        }
    }

    $proposals = if ($pending) {
        Get-GmValue $pending.Value $connection $wordToComplete | ForEach-Object { , @($_, $_) }
    } elseif ($wordToComplete.StartsWith('-')) {
        foreach ($flag in $verb.Flags) { foreach ($name in $flag.Names) { , @($name, $flag.Text) } }
    } elseif ($verb.Subs.Count -gt 0) {
        $verb.Subs
    } else {
        Get-GmValue $verb.Args $connection $wordToComplete | ForEach-Object { , @($_, $_) }
    }
    foreach ($p in $proposals) {
        if ($p[0].StartsWith($wordToComplete) -or $wordToComplete -match '^(disk|sqlite|tokyocabinet):') {
            [System.Management.Automation.CompletionResult]::new($p[0], $p[0], 'ParameterValue', $p[1])
        }
    }
}
