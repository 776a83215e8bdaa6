# PowerShell completion for gm; written by "gm completion powershell"

$script:GmVerbs = @{
    '' = @{
        Args = @('')
        Subs = @(
            @('submit', 'submit jobs and print their results'),
            @('map', 'scatter records over workers, gather or reduce the results'),
            @('pipe', 'send each record through several functions'),
            @('work', 'do jobs: run a command for each one'),
            @('tell', 'report from within a job of gm work'),
            @('serve', 'run a job server'),
            @('status', 'show the queues: jobs and workers of each function'),
            @('workers', 'show connections and the functions that they serve'),
            @('jobs', 'list waiting, delayed, running and dead jobs'),
            @('job', 'show one job'),
            @('wait', 'wait until jobs have ended'),
            @('result', 'print the result of a background job'),
            @('retry', 'retry dead jobs'),
            @('cancel', 'remove jobs from the queue'),
            @('store', 'verify, shrink or move the store of a job server'),
            @('outbox', 'move jobs from a table of a database to the servers'),
            @('admin', 'query and change a server'),
            @('ping', 'measure the response times of servers'),
            @('completion', 'print completions for a shell'),
            @('man', 'show or write the manual pages'),
            @('version', 'print the version'))
        Flags = @(
            @{ Names = @('-s', '--server'); Text = 'connect to HOST[:PORT], [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'use PORT for servers without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'use the context NAME of the configuration'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet as text to FILE'; Value = @('files') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null },
            @{ Names = @('--version'); Text = 'print the version'; Value = $null })
    }
    'submit' = @{
        Args = @('files')
        Subs = @()
        Flags = @(
            @{ Names = @('-f', '--function'); Text = 'submit to the function FUNC'; Value = @('functions') },
            @{ Names = @('--first'); Text = 'submit the job to each function on each server'; Value = $null },
            @{ Names = @('--reducer'); Text = 'let the worker reduce with the function FUNC'; Value = @('functions') },
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
            @{ Names = @('--in'); Text = 'run the job after TIME, such as 90s, 10m or 24h'; Value = @('') },
            @{ Names = @('--at'); Text = 'run the job at TIME, never before: 15:04, "2006-01-02 15:04", RFC 3339, or @ and Unix seconds'; Value = @('') },
            @{ Names = @('-n', '--each-line'); Text = 'a job for each line of stdin, with its newline'; Value = $null },
            @{ Names = @('--lines'); Text = 'a job for N lines, or records of -0, -d, --csv or --tsv, with their ends'; Value = @('') },
            @{ Names = @('-N', '--stripped'); Text = 'a job for each line, without its newline'; Value = $null },
            @{ Names = @('-0', '--null'); Text = 'a job for each record that ends with NUL'; Value = $null },
            @{ Names = @('-d', '--delimiter'); Text = 'a job for each record that ends with DELIM, which may have \n, \t, \0, \xHH, \\ in it'; Value = @('') },
            @{ Names = @('--block'); Text = 'a job for each block of whole records with about SIZE bytes: 64K, 1M. A longer record is a block of its own'; Value = @('') },
            @{ Names = @('--csv'); Text = 'records are rows of CSV, with newlines allowed in quotes. The first row is a header, put before the rows of each job'; Value = $null },
            @{ Names = @('--tsv'); Text = 'like --csv, with tabs instead of commas'; Value = $null },
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
            @{ Names = @('-s', '--server'); Text = 'connect to HOST[:PORT], [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'use PORT for servers without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'use the context NAME of the configuration'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet as text to FILE'; Value = @('files') },
            @{ Names = @('--max-payload'); Text = 'accept payloads and parts of results up to SIZE bytes: 1000, 64K, 64M, 1G'; Value = @('') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'map' = @{
        Args = @('files')
        Subs = @()
        Flags = @(
            @{ Names = @('-f', '--function'); Text = 'send each record to the function FUNC'; Value = @('functions') },
            @{ Names = @('--reduce'); Text = 'combine the results into one with the function FUNC'; Value = @('functions') },
            @{ Names = @('--arity'); Text = 'combine N results at a time, at least 2'; Value = @('') },
            @{ Names = @('-u', '--unique'); Text = 'jobs of the same function and KEY are one job while it is queued or running'; Value = @('') },
            @{ Names = @('-I', '--high'); Text = 'high priority'; Value = $null },
            @{ Names = @('-L', '--low'); Text = 'low priority'; Value = $null },
            @{ Names = @('-t', '--timeout'); Text = 'give up a job that has not ended after TIME'; Value = @('') },
            @{ Names = @('--require-worker'); Text = 'exit with 3 if no worker can do the function, instead of waiting for one'; Value = $null },
            @{ Names = @('--status'); Text = 'print the progress of the jobs on stderr'; Value = $null },
            @{ Names = @('-b', '--background'); Text = 'print the handle and leave all to the workers, which must be gm work'; Value = $null },
            @{ Names = @('-q', '--quiet'); Text = 'do not print the handle'; Value = $null },
            @{ Names = @('--tier'); Text = 'with -b: first cut the input into parts of SIZE, whose workers cut them into blocks'; Value = @('') },
            @{ Names = @('--unordered'); Text = 'print results as they arrive, each as a whole'; Value = $null },
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
            @{ Names = @('--tsv'); Text = 'like --csv, with tabs instead of commas'; Value = $null },
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
            @{ Names = @('-s', '--server'); Text = 'connect to HOST[:PORT], [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'use PORT for servers without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'use the context NAME of the configuration'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet as text to FILE'; Value = @('files') },
            @{ Names = @('--max-payload'); Text = 'accept payloads and parts of results up to SIZE bytes: 1000, 64K, 64M, 1G'; Value = @('') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
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
            @{ Names = @('--unordered'); Text = 'print results as they arrive, each as a whole'; Value = $null },
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
            @{ Names = @('--tsv'); Text = 'like --csv, with tabs instead of commas'; Value = $null },
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
            @{ Names = @('-s', '--server'); Text = 'connect to HOST[:PORT], [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'use PORT for servers without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'use the context NAME of the configuration'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet as text to FILE'; Value = @('files') },
            @{ Names = @('--max-payload'); Text = 'accept payloads and parts of results up to SIZE bytes: 1000, 64K, 64M, 1G'; Value = @('') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'work' = @{
        Args = @('command')
        Subs = @()
        Flags = @(
            @{ Names = @('-f', '--function'); Text = 'serve the function FUNC'; Value = @('functions') },
            @{ Names = @('--dir'); Text = 'serve each executable file in DIR as the function of its name'; Value = @('dirs') },
            @{ Names = @('-j', '--jobs'); Text = 'do at most N jobs at a time'; Value = @('') },
            @{ Names = @('-c', '--count'); Text = 'end after N jobs'; Value = @('') },
            @{ Names = @('--until-empty'); Text = 'end when no server has a job for this worker'; Value = $null },
            @{ Names = @('--idle'); Text = 'with --until-empty: first wait TIME for more jobs'; Value = @('') },
            @{ Names = @('-i', '--id'); Text = 'set the ID that the server shows for this worker'; Value = @('') },
            @{ Names = @('-v', '--verbose'); Text = 'log each job on stderr'; Value = $null },
            @{ Names = @('--shell'); Text = 'run CMD as a script with /bin/sh -c'; Value = $null },
            @{ Names = @('-t', '--timeout'); Text = 'stop and fail a job after TIME'; Value = @('') },
            @{ Names = @('--kill-after'); Text = 'wait TIME from SIGTERM to SIGKILL'; Value = @('') },
            @{ Names = @('--stream'); Text = 'send stdout while it is written, in pieces'; Value = $null },
            @{ Names = @('-n', '--lines'); Text = 'send stdout while it is written, a line at a time'; Value = $null },
            @{ Names = @('--exception'); Text = 'report a failure as an exception, with the end of stderr as its text'; Value = $null },
            @{ Names = @('--attempts'); Text = 'get the number of the attempt from the server, for GM_ATTEMPT'; Value = $null },
            @{ Names = @('--keep'); Text = 'run one child for many jobs, with a line for each payload and each result'; Value = $null },
            @{ Names = @('--max-jobs'); Text = 'replace the child after N jobs'; Value = @('') },
            @{ Names = @('--max-age'); Text = 'replace the child after TIME, between two jobs'; Value = @('') },
            @{ Names = @('--max-rss'); Text = 'replace the child when it occupies more than SIZE of memory, between two jobs'; Value = @('') },
            @{ Names = @('--next'); Text = 'submit each result to FUNC, in the background, before its job is completed'; Value = @('functions') },
            @{ Names = @('--on-fail'); Text = 'submit the payload of each job that fails to FUNC, in the background, before it is failed'; Value = @('functions') },
            @{ Names = @('--next-priority'); Text = 'submit these jobs with PRIORITY high, normal, low, or same: that of the job, which only gm serve reports'; Value = @('choices', 'high', 'normal', 'low', 'same') },
            @{ Names = @('-s', '--server'); Text = 'connect to HOST[:PORT], [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'use PORT for servers without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'use the context NAME of the configuration'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet as text to FILE'; Value = @('files') },
            @{ Names = @('--max-payload'); Text = 'accept payloads and parts of results up to SIZE bytes: 1000, 64K, 64M, 1G'; Value = @('') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'tell' = @{
        Args = @('')
        Subs = @(
            @('status', 'report progress'),
            @('warn', 'send a warning'),
            @('data', 'send part of the result'))
        Flags = @(
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'tell status' = @{
        Args = @('')
        Subs = @()
        Flags = @(
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'tell warn' = @{
        Args = @('')
        Subs = @()
        Flags = @(
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'tell data' = @{
        Args = @('')
        Subs = @()
        Flags = @(
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'serve' = @{
        Args = @('')
        Subs = @()
        Flags = @(
            @{ Names = @('-L', '--listen'); Text = 'listen on ADDR: HOST, HOST:PORT, :PORT for all interfaces, [::1]:4730, or unix:/path[?mode=0660&group=NAME]'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'use PORT for addresses without one'; Value = @('') },
            @{ Names = @('--print-port'); Text = 'print the port on stdout when the server listens'; Value = $null },
            @{ Names = @('--keepalive'); Text = 'probe a silent TCP peer after TIME'; Value = $null },
            @{ Names = @('--user-timeout'); Text = 'drop a TCP peer that acknowledges nothing for TIME (Linux)'; Value = @('') },
            @{ Names = @('--store'); Text = 'keep background jobs in the store URL'; Value = @('stores') },
            @{ Names = @('--data'); Text = 'keep background jobs in the directory DIR, like --store disk:DIR'; Value = @('dirs') },
            @{ Names = @('--sync'); Text = 'WHEN a disk or sqlite store syncs: always (before a job is acknowledged), interval (every second) or never (left to the system). Acknowledged jobs survive a crash of the server in each case, a crash of the machine with always'; Value = @('choices', 'always', 'interval', 'never') },
            @{ Names = @('--store-wait'); Text = 'at the start, wait up to TIME for a store that cannot be reached, such as a database that starts later'; Value = @('') },
            @{ Names = @('--store-timeout'); Text = 'refuse a job that the store has not stored after TIME'; Value = @('') },
            @{ Names = @('--memory'); Text = 'keep up to SIZE of waiting payloads in memory'; Value = @('') },
            @{ Names = @('--retry'); Text = 'retry failed jobs: FUNCTION=N[,MIN..MAX], N times (-1 is no limit), after MIN at first and twice as long each time, up to MAX'; Value = @('') },
            @{ Names = @('--dead-max'); Text = 'keep the last N dead jobs of each function: background jobs that have failed for good'; Value = @('') },
            @{ Names = @('--dead-age'); Text = 'keep each dead job for TIME, such as 30d'; Value = @('') },
            @{ Names = @('--keep-results'); Text = 'keep outcomes and results of background jobs for TIME, for gm wait, gm result and clients that submit a job once'; Value = @('') },
            @{ Names = @('--results-memory'); Text = 'keep up to SIZE of results'; Value = @('') },
            @{ Names = @('-j', '--job-retries'); Text = 'give up a job that N workers have lost'; Value = @('') },
            @{ Names = @('-R', '--round-robin'); Text = 'serve the functions of a worker in turn, not one before the other'; Value = $null },
            @{ Names = @('--exceptions'); Text = 'send WORK_EXCEPTION to all clients, not only to those that request it'; Value = $null },
            @{ Names = @('-w', '--worker-wakeup'); Text = 'wake N sleeping workers for each job'; Value = @('') },
            @{ Names = @('--forget-functions'); Text = 'forget functions that were not used for TIME'; Value = @('') },
            @{ Names = @('--host'); Text = 'use NAME as the host in job handles'; Value = @('') },
            @{ Names = @('--drain-timeout'); Text = 'when stopping, wait at most TIME for running jobs'; Value = @('') },
            @{ Names = @('--outbox'); Text = 'also submit the jobs of the outbox at URL, as gm outbox run does'; Value = @('stores') },
            @{ Names = @('--work'); Text = 'also run a worker: FUNCTION=COMMAND runs the command by the shell for each job, without the variables of the store''s passwords'; Value = @('') },
            @{ Names = @('--work-jobs'); Text = 'run at most N jobs of each --work at a time'; Value = @('') },
            @{ Names = @('--max-payload'); Text = 'refuse payloads larger than SIZE'; Value = @('') },
            @{ Names = @('--max-outbox'); Text = 'drop a peer that leaves more than SIZE unread'; Value = @('') },
            @{ Names = @('--peer-timeout'); Text = 'drop a peer that for TIME reads nothing of a large backlog, or sends nothing of a packet that it has begun'; Value = @('') },
            @{ Names = @('--log-level'); Text = 'log lines of LEVEL and above: debug (every job), info, warn, error'; Value = @('choices', 'debug', 'info', 'warn', 'error') },
            @{ Names = @('-v', '--verbose'); Text = 'log like --log-level debug, or from LEVEL in gearmand''s words: FATAL, ALERT, CRITICAL, ERROR, WARNING, NOTICE, INFO or DEBUG'; Value = $null },
            @{ Names = @('--log-format'); Text = 'log in FORMAT, text or json'; Value = @('choices', 'text', 'json') },
            @{ Names = @('-l', '--log-file'); Text = 'append the log to FILE, which SIGHUP reopens'; Value = @('files') },
            @{ Names = @('--syslog'); Text = 'send the log to syslog, as facility daemon'; Value = $null },
            @{ Names = @('--trace'); Text = 'write every packet as text to FILE'; Value = @('files') },
            @{ Names = @('-d', '--daemon'); Text = 'go to the background when the server listens'; Value = $null },
            @{ Names = @('-u', '--user'); Text = 'become the user NAME before opening anything'; Value = @('') },
            @{ Names = @('-P', '--pid-file'); Text = 'write the process id to FILE when the server listens'; Value = @('files') },
            @{ Names = @('--config-file'); Text = 'read more options from FILE, in the form of the command line, which has precedence'; Value = @('files') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'status' = @{
        Args = @('functions')
        Subs = @()
        Flags = @(
            @{ Names = @('--by-server'); Text = 'show a row for each function of each server, not the sums'; Value = $null },
            @{ Names = @('-w', '--watch'); Text = 'repeat the output until interrupted'; Value = $null },
            @{ Names = @('-i', '--interval'); Text = 'with --watch: wait DURATION from one output to the next'; Value = @('') },
            @{ Names = @('-c', '--count'); Text = 'with --watch: end after N outputs'; Value = @('') },
            @{ Names = @('-o', '--output'); Text = 'print rows in FORMAT: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('-s', '--server'); Text = 'connect to HOST[:PORT], [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'use PORT for servers without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'use the context NAME of the configuration'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet as text to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'workers' = @{
        Args = @('functions')
        Subs = @()
        Flags = @(
            @{ Names = @('-a', '--all'); Text = 'show connections without a function too'; Value = $null },
            @{ Names = @('-w', '--watch'); Text = 'repeat the output until interrupted'; Value = $null },
            @{ Names = @('-i', '--interval'); Text = 'with --watch: wait DURATION from one output to the next'; Value = @('') },
            @{ Names = @('-c', '--count'); Text = 'with --watch: end after N outputs'; Value = @('') },
            @{ Names = @('-o', '--output'); Text = 'print rows in FORMAT: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('-s', '--server'); Text = 'connect to HOST[:PORT], [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'use PORT for servers without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'use the context NAME of the configuration'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet as text to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'jobs' = @{
        Args = @('functions')
        Subs = @()
        Flags = @(
            @{ Names = @('-f', '--function'); Text = 'list only jobs of FUNC, like the argument'; Value = @('functions') },
            @{ Names = @('--state'); Text = 'list only jobs in STATE: waiting, delayed, running or dead'; Value = @('choices', 'waiting', 'delayed', 'running', 'dead') },
            @{ Names = @('--dead'); Text = 'list the dead jobs, like --state dead'; Value = $null },
            @{ Names = @('-n', '--limit'); Text = 'list at most N jobs of each server'; Value = @('') },
            @{ Names = @('-o', '--output'); Text = 'print rows in FORMAT: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('-s', '--server'); Text = 'connect to HOST[:PORT], [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'use PORT for servers without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'use the context NAME of the configuration'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet as text to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'job' = @{
        Args = @('handles')
        Subs = @()
        Flags = @(
            @{ Names = @('--payload'); Text = 'print only the payload, byte for byte (gm serve)'; Value = $null },
            @{ Names = @('--follow'); Text = 'print the result as it arrives, until the job ends (gm serve)'; Value = $null },
            @{ Names = @('-o', '--output'); Text = 'print rows in FORMAT: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('-s', '--server'); Text = 'connect to HOST[:PORT], [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'use PORT for servers without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'use the context NAME of the configuration'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet as text to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'wait' = @{
        Args = @('handles')
        Subs = @()
        Flags = @(
            @{ Names = @('-f', '--function'); Text = 'select jobs of FUNC, or of the functions that a pattern matches'; Value = @('functions') },
            @{ Names = @('--match'); Text = 'select jobs with TEXT in handle, unique, last error or payload'; Value = @('') },
            @{ Names = @('-a', '--all'); Text = 'wait for all jobs of -f that have not ended'; Value = $null },
            @{ Names = @('-o', '--output'); Text = 'print rows in FORMAT: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('-t', '--timeout'); Text = 'give up after DURATION, such as 500ms, 10s or 1m'; Value = @('') },
            @{ Names = @('-s', '--server'); Text = 'connect to HOST[:PORT], [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'use PORT for servers without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'use the context NAME of the configuration'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet as text to FILE'; Value = @('files') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'result' = @{
        Args = @('handles')
        Subs = @()
        Flags = @(
            @{ Names = @('-s', '--server'); Text = 'connect to HOST[:PORT], [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'use PORT for servers without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'use the context NAME of the configuration'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet as text to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'retry' = @{
        Args = @('dead')
        Subs = @()
        Flags = @(
            @{ Names = @('-f', '--function'); Text = 'select jobs of FUNC, or of the functions that a pattern matches'; Value = @('functions') },
            @{ Names = @('--match'); Text = 'select jobs with TEXT in handle, unique, last error or payload'; Value = @('') },
            @{ Names = @('-a', '--all'); Text = 'retry all dead jobs of -f'; Value = $null },
            @{ Names = @('-o', '--output'); Text = 'print rows in FORMAT: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('-s', '--server'); Text = 'connect to HOST[:PORT], [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'use PORT for servers without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'use the context NAME of the configuration'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet as text to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'cancel' = @{
        Args = @('handles')
        Subs = @()
        Flags = @(
            @{ Names = @('--running'); Text = 'also stop running jobs, if their workers are gm work'; Value = $null },
            @{ Names = @('-f', '--function'); Text = 'select jobs of FUNC, or of the functions that a pattern matches'; Value = @('functions') },
            @{ Names = @('--match'); Text = 'select jobs with TEXT in handle, unique, last error or payload'; Value = @('') },
            @{ Names = @('-a', '--all'); Text = 'cancel all jobs of -f that have not ended'; Value = $null },
            @{ Names = @('-o', '--output'); Text = 'print rows in FORMAT: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('-s', '--server'); Text = 'connect to HOST[:PORT], [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'use PORT for servers without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'use the context NAME of the configuration'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet as text to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'store' = @{
        Args = @('')
        Subs = @(
            @('check', 'verify a store'),
            @('compact', 'free the space of deleted jobs'),
            @('dump', 'print a store as JSON lines'),
            @('load', 'load the lines of gm store dump into a store'))
        Flags = @(
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'store check' = @{
        Args = @('stores')
        Subs = @()
        Flags = @(
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'store compact' = @{
        Args = @('stores')
        Subs = @()
        Flags = @(
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'store dump' = @{
        Args = @('stores')
        Subs = @()
        Flags = @(
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'store load' = @{
        Args = @('stores')
        Subs = @()
        Flags = @(
            @{ Names = @('--merge'); Text = 'add to a store that is not empty'; Value = $null },
            @{ Names = @('--partial'); Text = 'accept lines that are not a whole dump'; Value = $null },
            @{ Names = @('-o', '--output'); Text = 'print rows in FORMAT: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'outbox' = @{
        Args = @('')
        Subs = @(
            @('install', 'create the table of an outbox'),
            @('trigger', 'create or print a trigger that makes jobs of changed rows'),
            @('run', 'submit the jobs of an outbox until a signal'),
            @('status', 'show the numbers of rows in an outbox'),
            @('dead', 'list the dead rows of an outbox'),
            @('retry', 'submit dead rows of an outbox again'),
            @('purge', 'delete dead rows of an outbox'))
        Flags = @(
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'outbox install' = @{
        Args = @('stores')
        Subs = @()
        Flags = @(
            @{ Names = @('--print'); Text = 'print the statements for psql or mysql, and change nothing'; Value = $null },
            @{ Names = @('--notify'); Text = 'also create a trigger that notifies idle relays, for PostgreSQL'; Value = $null },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'outbox trigger' = @{
        Args = @('stores')
        Subs = @()
        Flags = @(
            @{ Names = @('--table'); Text = 'watch the table NAME or SCHEMA.NAME'; Value = @('') },
            @{ Names = @('--on'); Text = 'send a job on EVENT: insert, update or delete'; Value = @('choices', 'insert', 'update', 'delete') },
            @{ Names = @('-f', '--function'); Text = 'the jobs are for FUNC'; Value = @('functions') },
            @{ Names = @('--columns'); Text = 'send the column NAME'; Value = @('') },
            @{ Names = @('--binary'); Text = 'the column NAME has bytes, which JSON gets in hexadecimal after \x'; Value = @('') },
            @{ Names = @('--json'); Text = 'send the old and the new row as JSON'; Value = $null },
            @{ Names = @('--job-priority'); Text = 'the jobs have the PRIORITY high, normal or low'; Value = @('choices', 'high', 'normal', 'low') },
            @{ Names = @('--for'); Text = 'print the statements for DATABASE, postgres or mysql, without connecting to one'; Value = @('choices', 'postgres', 'mysql') },
            @{ Names = @('--install'); Text = 'create the trigger in the database, and print nothing'; Value = $null },
            @{ Names = @('--name'); Text = 'call the trigger NAME, and replace one of that name'; Value = @('') },
            @{ Names = @('--outbox'); Text = 'the outbox is the table NAME or SCHEMA.NAME'; Value = @('') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'outbox run' = @{
        Args = @('stores')
        Subs = @()
        Flags = @(
            @{ Names = @('--max-attempts'); Text = 'give up a row after N refusals'; Value = @('') },
            @{ Names = @('--batch'); Text = 'submit at most N rows in one transaction'; Value = @('') },
            @{ Names = @('-s', '--server'); Text = 'connect to HOST[:PORT], [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'use PORT for servers without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'use the context NAME of the configuration'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet as text to FILE'; Value = @('files') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'outbox status' = @{
        Args = @('stores')
        Subs = @()
        Flags = @(
            @{ Names = @('--max-waiting'); Text = 'exit with 1 if more than N rows wait'; Value = @('') },
            @{ Names = @('--max-age'); Text = 'exit with 1 if the first row has waited longer than TIME'; Value = @('') },
            @{ Names = @('--max-dead'); Text = 'exit with 1 if more than N rows are dead'; Value = @('') },
            @{ Names = @('-o', '--output'); Text = 'print rows in FORMAT: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'outbox dead' = @{
        Args = @('stores')
        Subs = @()
        Flags = @(
            @{ Names = @('-n', '--limit'); Text = 'list at most N rows'; Value = @('') },
            @{ Names = @('-o', '--output'); Text = 'print rows in FORMAT: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'outbox retry' = @{
        Args = @('stores')
        Subs = @()
        Flags = @(
            @{ Names = @('--all'); Text = 'retry all dead rows'; Value = $null },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'outbox purge' = @{
        Args = @('stores')
        Subs = @()
        Flags = @(
            @{ Names = @('--all'); Text = 'delete all dead rows'; Value = $null },
            @{ Names = @('-y', '--yes'); Text = 'do not ask for confirmation'; Value = $null },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'admin' = @{
        Args = @('')
        Subs = @(
            @('version', 'print the server''s version'),
            @('pid', 'print the server''s process id'),
            @('verbose', 'print the log level of the server'),
            @('create', 'create functions before a worker serves them'),
            @('drop', 'forget functions that have no workers'),
            @('maxqueue', 'limit the number of jobs of a function'),
            @('pause', 'stop handing out the jobs of functions (gm serve)'),
            @('resume', 'hand out jobs of paused functions again (gm serve)'),
            @('purge', 'drop the waiting and delayed jobs of functions (gm serve)'),
            @('front', 'move waiting jobs to the head of their queue (gm serve)'),
            @('policy', 'set the retries of failed jobs (gm serve)'),
            @('shutdown', 'stop the server'),
            @('show-jobs', 'list handles, attempts, ignored and queued of all jobs'),
            @('show-unique-jobs', 'list the uniques of all jobs'),
            @('help', 'list the server''s own commands (gm serve)'))
        Flags = @(
            @{ Names = @('-s', '--server'); Text = 'connect to HOST[:PORT], [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'use PORT for servers without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'use the context NAME of the configuration'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet as text to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'admin version' = @{
        Args = @('')
        Subs = @()
        Flags = @(
            @{ Names = @('-o', '--output'); Text = 'print rows in FORMAT: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('-s', '--server'); Text = 'connect to HOST[:PORT], [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'use PORT for servers without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'use the context NAME of the configuration'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet as text to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'admin pid' = @{
        Args = @('')
        Subs = @()
        Flags = @(
            @{ Names = @('-o', '--output'); Text = 'print rows in FORMAT: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('-s', '--server'); Text = 'connect to HOST[:PORT], [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'use PORT for servers without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'use the context NAME of the configuration'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet as text to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'admin verbose' = @{
        Args = @('')
        Subs = @()
        Flags = @(
            @{ Names = @('-o', '--output'); Text = 'print rows in FORMAT: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('-s', '--server'); Text = 'connect to HOST[:PORT], [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'use PORT for servers without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'use the context NAME of the configuration'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet as text to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'admin create' = @{
        Args = @('functions')
        Subs = @()
        Flags = @(
            @{ Names = @('-s', '--server'); Text = 'connect to HOST[:PORT], [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'use PORT for servers without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'use the context NAME of the configuration'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet as text to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'admin drop' = @{
        Args = @('functions')
        Subs = @()
        Flags = @(
            @{ Names = @('-y', '--yes'); Text = 'do not ask for confirmation'; Value = $null },
            @{ Names = @('-s', '--server'); Text = 'connect to HOST[:PORT], [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'use PORT for servers without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'use the context NAME of the configuration'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet as text to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'admin maxqueue' = @{
        Args = @('functions')
        Subs = @()
        Flags = @(
            @{ Names = @('-s', '--server'); Text = 'connect to HOST[:PORT], [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'use PORT for servers without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'use the context NAME of the configuration'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet as text to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'admin pause' = @{
        Args = @('functions')
        Subs = @()
        Flags = @(
            @{ Names = @('-s', '--server'); Text = 'connect to HOST[:PORT], [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'use PORT for servers without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'use the context NAME of the configuration'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet as text to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'admin resume' = @{
        Args = @('functions')
        Subs = @()
        Flags = @(
            @{ Names = @('-s', '--server'); Text = 'connect to HOST[:PORT], [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'use PORT for servers without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'use the context NAME of the configuration'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet as text to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'admin purge' = @{
        Args = @('functions')
        Subs = @()
        Flags = @(
            @{ Names = @('-y', '--yes'); Text = 'do not ask for confirmation'; Value = $null },
            @{ Names = @('--dead'); Text = 'forget the dead jobs, not the waiting ones'; Value = $null },
            @{ Names = @('-o', '--output'); Text = 'print rows in FORMAT: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('-s', '--server'); Text = 'connect to HOST[:PORT], [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'use PORT for servers without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'use the context NAME of the configuration'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet as text to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'admin front' = @{
        Args = @('handles')
        Subs = @()
        Flags = @(
            @{ Names = @('-s', '--server'); Text = 'connect to HOST[:PORT], [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'use PORT for servers without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'use the context NAME of the configuration'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet as text to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'admin policy' = @{
        Args = @('functions')
        Subs = @()
        Flags = @(
            @{ Names = @('-o', '--output'); Text = 'print rows in FORMAT: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('-s', '--server'); Text = 'connect to HOST[:PORT], [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'use PORT for servers without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'use the context NAME of the configuration'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet as text to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'admin shutdown' = @{
        Args = @('')
        Subs = @()
        Flags = @(
            @{ Names = @('-g', '--graceful'); Text = 'wait until running jobs have ended'; Value = $null },
            @{ Names = @('-y', '--yes'); Text = 'do not ask for confirmation'; Value = $null },
            @{ Names = @('-s', '--server'); Text = 'connect to HOST[:PORT], [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'use PORT for servers without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'use the context NAME of the configuration'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet as text to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'admin show-jobs' = @{
        Args = @('')
        Subs = @()
        Flags = @(
            @{ Names = @('-o', '--output'); Text = 'print rows in FORMAT: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('-s', '--server'); Text = 'connect to HOST[:PORT], [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'use PORT for servers without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'use the context NAME of the configuration'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet as text to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'admin show-unique-jobs' = @{
        Args = @('')
        Subs = @()
        Flags = @(
            @{ Names = @('-o', '--output'); Text = 'print rows in FORMAT: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('-s', '--server'); Text = 'connect to HOST[:PORT], [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'use PORT for servers without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'use the context NAME of the configuration'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet as text to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'admin help' = @{
        Args = @('')
        Subs = @()
        Flags = @(
            @{ Names = @('-o', '--output'); Text = 'print rows in FORMAT: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('-s', '--server'); Text = 'connect to HOST[:PORT], [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'use PORT for servers without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'use the context NAME of the configuration'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet as text to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'ping' = @{
        Args = @('')
        Subs = @()
        Flags = @(
            @{ Names = @('-c', '--count'); Text = 'ping each server N times'; Value = @('') },
            @{ Names = @('-i', '--interval'); Text = 'wait DURATION from one ping to the next'; Value = @('') },
            @{ Names = @('-o', '--output'); Text = 'print rows in FORMAT: table, tsv, json or jsonl'; Value = @('choices', 'table', 'tsv', 'json', 'jsonl') },
            @{ Names = @('-s', '--server'); Text = 'connect to HOST[:PORT], [::1]:4730 or unix:/path'; Value = @('') },
            @{ Names = @('-p', '--port'); Text = 'use PORT for servers without one'; Value = @('') },
            @{ Names = @('--context'); Text = 'use the context NAME of the configuration'; Value = @('contexts') },
            @{ Names = @('--trace'); Text = 'write every packet as text to FILE'; Value = @('files') },
            @{ Names = @('-t', '--timeout'); Text = 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m'; Value = @('') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'completion' = @{
        Args = @('choices', 'bash', 'zsh', 'fish', 'powershell')
        Subs = @()
        Flags = @(
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'man' = @{
        Args = @('choices', 'submit', 'map', 'pipe', 'work', 'tell', 'serve', 'status', 'workers', 'jobs', 'job', 'wait', 'result', 'retry', 'cancel', 'store', 'outbox', 'admin', 'ping', 'completion', 'man', 'version', 'sql')
        Subs = @()
        Flags = @(
            @{ Names = @('-d', '--dir'); Text = 'write all pages into the directory DIR, and create it if necessary'; Value = @('dirs') },
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
    'version' = @{
        Args = @('')
        Subs = @()
        Flags = @(
            @{ Names = @('--color'); Text = 'use colours on a terminal: WHEN is auto, always or never'; Value = @('choices', 'auto', 'always', 'never') },
            @{ Names = @('-h', '--help'); Text = 'print this help'; Value = $null })
    }
}

# Proposals for a value: a list of its kind and, for some, the words.
function script:Get-GmValue($Value, $Connection, $Word) {
    switch ($Value[0]) {
        'choices' { $Value | Select-Object -Skip 1 }
        'functions' { & gm status -o tsv -t 300 @Connection 2>$null | ForEach-Object { ($_ -split "`t")[0] } }
        'handles' { & gm jobs -o tsv -t 300 @Connection 2>$null | ForEach-Object { ($_ -split "`t")[1] } }
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
    $topics = @()
    foreach ($word in $words) {
        if ($pending) {
            if ($pending.Names -contains '--server' -or $pending.Names -contains '--port' -or $pending.Names -contains '--context') {
                $connection += @($pending.Names[-1], $word)
            }
            $pending = $null
        } elseif ($word.StartsWith('-')) {
            $pending = $verb.Flags | Where-Object { $_.Names -ccontains $word -and $null -ne $_.Value } | Select-Object -First 1
        } elseif ($word -eq 'help' -and $path.Count -eq 0) {
            $topics = @('sql')
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
        if ($path.Count -eq 0) { $topics | ForEach-Object { , @($_, $_) } }
    } else {
        Get-GmValue $verb.Args $connection $wordToComplete | ForEach-Object { , @($_, $_) }
    }
    foreach ($p in $proposals) {
        if ($p[0].StartsWith($wordToComplete) -or $wordToComplete -match '^(disk|sqlite|tokyocabinet):') {
            [System.Management.Automation.CompletionResult]::new($p[0], $p[0], 'ParameterValue', $p[1])
        }
    }
}
