# fish completion for gm; written by "gm completion fish"

set -g __gm_valued --arity --at --batch --binary --block --color --columns --config-file --context --count --data --dead-age --dead-max --delimiter --dir --drain-timeout --end --for --forget-functions --function --halt --header --host --id --idle --in --interval --job-priority --job-retries --joblog --jobs --keep-results --kill-after --limit --lines --listen --log-file --log-format --log-level --match --max-age --max-attempts --max-buffer --max-dead --max-jobs --max-outbox --max-payload --max-rss --max-waiting --memory --name --next --next-priority --on --on-fail --out --outbox --output --peer-timeout --pid-file --port --progress --reconnect --reduce --reducer --results --results-memory --retries --retry --server --state --store --store-timeout --store-wait --sync --table --tier --timeout --trace --unique --user --user-timeout --work --work-jobs --worker-wakeup -L -P -c -d -f -i -j -l -n -o -p -s -t -u -w

# The words before the cursor that are neither flags nor their values.
function __gm_words
    set -l skip 0
    for t in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
        else if contains -- $t $__gm_valued
            set skip 1
        else if not string match -q -- '-*' $t
            echo $t
        end
    end
end

# Succeeds if these words begin with the verb.
function __gm_at
    set -l words (__gm_words)
    string match -q -- "$argv *" "$words "
end

# Succeeds if these words are the verb.
function __gm_at_only
    set -l words (__gm_words)
    test "$words" = "$argv"
end

# The flags of the command line that gm needs to list values.
function __gm_conn
    set -l next 0
    for t in (commandline -opc)
        if test $next = 1
            printf '%s\n' $t
            set next 0
        else
            switch $t
                case '--server=*' '--port=*' '--context=*'
                    printf '%s\n' $t
                case -s --server -p --port --context
                    printf '%s\n' $t
                    set next 1
            end
        end
    end
end

function __gm_functions
    gm status -o tsv -t 300 (__gm_conn) 2>/dev/null | string replace -r '\t.*' ''
end

function __gm_handles
    gm jobs -o tsv -t 300 (__gm_conn) 2>/dev/null | string replace -r '^[^\t]*\t([^\t]*).*' '$1'
end

function __gm_dead
    gm jobs --dead -o tsv -t 300 (__gm_conn) 2>/dev/null | string replace -r '^[^\t]*\t([^\t]*).*' '$1'
end

function __gm_contexts
    set -l file ~/.config/gm/config.toml
    set -q XDG_CONFIG_HOME; and set file $XDG_CONFIG_HOME/gm/config.toml
    set -q GM_CONFIG; and set file $GM_CONFIG
    test -r $file; or return
    string replace -rf '^\[contexts\.([^\]]*)\].*' '$1' <$file 2>/dev/null | string trim -c '"'
end

# URLs, with file names after some schemes.
function __gm_stores
    set -l token (string replace -r '^--[a-z-]+=' '' -- (commandline -ct))
    set -l scheme (string match -r '^(?:disk|sqlite|tokyocabinet):' -- $token)
    if test -z "$scheme"
        printf '%s\n' disk: sqlite: tokyocabinet: postgres:// mysql:// redis:// memcached://
        return
    end
    set -l rest (string replace -- $scheme '' $token)
    for path in $rest*
        test -d $path; and set path $path/
        echo $scheme$path
    end
end

complete -c gm -f
complete -c gm -n '__gm_at_only help' -a 'submit map pipe work tell serve status workers jobs job wait result retry cancel store outbox admin ping completion man version sql'

complete -c gm -n '__gm_at_only ' -a submit -d 'submit jobs and print their results'
complete -c gm -n '__gm_at_only ' -a map -d 'scatter records over workers, gather or reduce the results'
complete -c gm -n '__gm_at_only ' -a pipe -d 'send each record through several functions'
complete -c gm -n '__gm_at_only ' -a work -d 'do jobs: run a command for each one'
complete -c gm -n '__gm_at_only ' -a tell -d 'report from within a job of gm work'
complete -c gm -n '__gm_at_only ' -a serve -d 'run a job server'
complete -c gm -n '__gm_at_only ' -a status -d 'show the queues: jobs and workers of each function'
complete -c gm -n '__gm_at_only ' -a workers -d 'show connections and the functions that they serve'
complete -c gm -n '__gm_at_only ' -a jobs -d 'list waiting, delayed, running and dead jobs'
complete -c gm -n '__gm_at_only ' -a job -d 'show one job'
complete -c gm -n '__gm_at_only ' -a wait -d 'wait until jobs have ended'
complete -c gm -n '__gm_at_only ' -a result -d 'print the result of a background job'
complete -c gm -n '__gm_at_only ' -a retry -d 'retry dead jobs'
complete -c gm -n '__gm_at_only ' -a cancel -d 'remove jobs from the queue'
complete -c gm -n '__gm_at_only ' -a store -d 'verify, shrink or move the store of a job server'
complete -c gm -n '__gm_at_only ' -a outbox -d 'move jobs from a table of a database to the servers'
complete -c gm -n '__gm_at_only ' -a admin -d 'query and change a server'
complete -c gm -n '__gm_at_only ' -a ping -d 'measure the response times of servers'
complete -c gm -n '__gm_at_only ' -a completion -d 'print completions for a shell'
complete -c gm -n '__gm_at_only ' -a man -d 'show or write the manual pages'
complete -c gm -n '__gm_at_only ' -a version -d 'print the version'
complete -c gm -n '__gm_at_only ' -s s -l server -d 'connect to HOST[:PORT], [::1]:4730 or unix:/path' -x
complete -c gm -n '__gm_at_only ' -s p -l port -d 'use PORT for servers without one' -x
complete -c gm -n '__gm_at_only ' -l context -d 'use the context NAME of the configuration' -x -a '(__gm_contexts)'
complete -c gm -n '__gm_at_only ' -l trace -d 'write every packet as text to FILE' -r -F
complete -c gm -n '__gm_at_only ' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at_only ' -s h -l help -d 'print this help'
complete -c gm -n '__gm_at_only ' -l version -d 'print the version'

complete -c gm -n '__gm_at submit' -F
complete -c gm -n '__gm_at submit' -s f -l function -d 'submit to the function FUNC' -x -a '(__gm_functions)'
complete -c gm -n '__gm_at submit' -l first -d 'submit the job to each function on each server'
complete -c gm -n '__gm_at submit' -l reducer -d 'let the worker reduce with the function FUNC' -x -a '(__gm_functions)'
complete -c gm -n '__gm_at submit' -s u -l unique -d 'jobs of the same function and KEY are one job while it is queued or running' -x
complete -c gm -n '__gm_at submit' -s I -l high -d 'high priority'
complete -c gm -n '__gm_at submit' -s L -l low -d 'low priority'
complete -c gm -n '__gm_at submit' -s t -l timeout -d 'give up a job that has not ended after TIME' -x
complete -c gm -n '__gm_at submit' -l require-worker -d 'exit with 3 if no worker can do the function, instead of waiting for one'
complete -c gm -n '__gm_at submit' -l status -d 'print the progress of the jobs on stderr'
complete -c gm -n '__gm_at submit' -s k -l keep-order -d 'print results in the order of the records'
complete -c gm -n '__gm_at submit' -l tag -d 'print the record, or the name of its file, and a tab before each line of its result'
complete -c gm -n '__gm_at submit' -l line-buffer -d 'print each line of a result when it is complete, even if its job goes on'
complete -c gm -n '__gm_at submit' -s P -l prefix -d 'print the function and a colon before each line of a result'
complete -c gm -n '__gm_at submit' -l out -d 'write each result to a file NAME' -x
complete -c gm -n '__gm_at submit' -l out-anywhere -d 'allow records to lead --out out of the folder that NAME begins with, as ../x and /x do'
complete -c gm -n '__gm_at submit' -l results -d 'write each record to a folder DIR/NUMBER with the files stdout, stderr, exit and name' -x -a '(__fish_complete_directories)'
complete -c gm -n '__gm_at submit' -s b -l background -d 'print the handle and do not wait for the result'
complete -c gm -n '__gm_at submit' -s q -l quiet -d 'do not print the handle'
complete -c gm -n '__gm_at submit' -l in -d 'run the job after TIME, such as 90s, 10m or 24h' -x
complete -c gm -n '__gm_at submit' -l at -d 'run the job at TIME, never before: 15:04, "2006-01-02 15:04", RFC 3339, or @ and Unix seconds' -x
complete -c gm -n '__gm_at submit' -s n -l each-line -d 'a job for each line of stdin, with its newline'
complete -c gm -n '__gm_at submit' -l lines -d 'a job for N lines, or records of -0, -d, --csv or --tsv, with their ends' -x
complete -c gm -n '__gm_at submit' -s N -l stripped -d 'a job for each line, without its newline'
complete -c gm -n '__gm_at submit' -s 0 -l null -d 'a job for each record that ends with NUL'
complete -c gm -n '__gm_at submit' -s d -l delimiter -d 'a job for each record that ends with DELIM, which may have \\n, \\t, \\0, \\xHH, \\\\ in it' -x
complete -c gm -n '__gm_at submit' -l block -d 'a job for each block of whole records with about SIZE bytes: 64K, 1M. A longer record is a block of its own' -x
complete -c gm -n '__gm_at submit' -l csv -d 'records are rows of CSV, with newlines allowed in quotes. The first row is a header, put before the rows of each job'
complete -c gm -n '__gm_at submit' -l tsv -d 'like --csv, with tabs instead of commas'
complete -c gm -n '__gm_at submit' -l header -d 'the first N records are a header, put before the records of each job' -x
complete -c gm -n '__gm_at submit' -l files -d 'a job for each file'
complete -c gm -n '__gm_at submit' -l end -d 'with -N, -0 and -d: text appended to each result that does not end with it' -x
complete -c gm -n '__gm_at submit' -s j -l jobs -d 'at most N jobs in flight' -x
complete -c gm -n '__gm_at submit' -l max-buffer -d 'read no more records while those in flight and the waiting results have SIZE bytes' -x
complete -c gm -n '__gm_at submit' -l joblog -d 'log each record that has ended to FILE as a line of JSON' -r -F
complete -c gm -n '__gm_at submit' -l resume -d 'leave out the records that --joblog has'
complete -c gm -n '__gm_at submit' -l new-output -d 'let --resume go on although the earlier results are not where they were'
complete -c gm -n '__gm_at submit' -l retry-failed -d 'like --resume, and do the failed records again'
complete -c gm -n '__gm_at submit' -l dry-run -d 'print the records that would be submitted: number, function, bytes, record or file, name of the output, error'
complete -c gm -n '__gm_at submit' -l retries -d 'submit a job that failed or was lost again, up to N times' -x
complete -c gm -n '__gm_at submit' -l halt -d 'WHEN failed records end the run: now,fail=1, or soon,fail=3 to wait for running jobs, or soon,fail=10%' -x -a 'never now,fail=1 soon,fail=1 soon,fail=10%'
complete -c gm -n '__gm_at submit' -l reconnect -d 'wait up to TIME for a server that has gone away or is shutting down' -x
complete -c gm -n '__gm_at submit' -l propagate -d 'exit with the exit code of the worker\'s command'
complete -c gm -n '__gm_at submit' -l bar -d 'draw a bar of the progress on stderr, if it is a terminal'
complete -c gm -n '__gm_at submit' -l eta -d 'show the number of records, the rate and the time left on stderr, if it is a terminal'
complete -c gm -n '__gm_at submit' -l progress -d 'print the progress on stderr in FORMAT json, each second and at the end' -x -a 'json'
complete -c gm -n '__gm_at submit' -s o -l output -d 'print the outcome of each job in FORMAT json or jsonl, instead of its result' -x -a 'json jsonl'
complete -c gm -n '__gm_at submit' -s s -l server -d 'connect to HOST[:PORT], [::1]:4730 or unix:/path' -x
complete -c gm -n '__gm_at submit' -s p -l port -d 'use PORT for servers without one' -x
complete -c gm -n '__gm_at submit' -l context -d 'use the context NAME of the configuration' -x -a '(__gm_contexts)'
complete -c gm -n '__gm_at submit' -l trace -d 'write every packet as text to FILE' -r -F
complete -c gm -n '__gm_at submit' -l max-payload -d 'accept payloads and parts of results up to SIZE bytes: 1000, 64K, 64M, 1G' -x
complete -c gm -n '__gm_at submit' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at submit' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at map' -F
complete -c gm -n '__gm_at map' -s f -l function -d 'send each record to the function FUNC' -x -a '(__gm_functions)'
complete -c gm -n '__gm_at map' -l reduce -d 'combine the results into one with the function FUNC' -x -a '(__gm_functions)'
complete -c gm -n '__gm_at map' -l arity -d 'combine N results at a time, at least 2' -x
complete -c gm -n '__gm_at map' -s u -l unique -d 'jobs of the same function and KEY are one job while it is queued or running' -x
complete -c gm -n '__gm_at map' -s I -l high -d 'high priority'
complete -c gm -n '__gm_at map' -s L -l low -d 'low priority'
complete -c gm -n '__gm_at map' -s t -l timeout -d 'give up a job that has not ended after TIME' -x
complete -c gm -n '__gm_at map' -l require-worker -d 'exit with 3 if no worker can do the function, instead of waiting for one'
complete -c gm -n '__gm_at map' -l status -d 'print the progress of the jobs on stderr'
complete -c gm -n '__gm_at map' -s b -l background -d 'print the handle and leave all to the workers, which must be gm work'
complete -c gm -n '__gm_at map' -s q -l quiet -d 'do not print the handle'
complete -c gm -n '__gm_at map' -l tier -d 'with -b: first cut the input into parts of SIZE, whose workers cut them into blocks' -x
complete -c gm -n '__gm_at map' -l unordered -d 'print results as they arrive, each as a whole'
complete -c gm -n '__gm_at map' -l tag -d 'print the record, or the name of its file, and a tab before each line of its result'
complete -c gm -n '__gm_at map' -l line-buffer -d 'print each line of a result when it is complete, even if its job goes on'
complete -c gm -n '__gm_at map' -s P -l prefix -d 'print the function and a colon before each line of a result'
complete -c gm -n '__gm_at map' -l out -d 'write each result to a file NAME' -x
complete -c gm -n '__gm_at map' -l out-anywhere -d 'allow records to lead --out out of the folder that NAME begins with, as ../x and /x do'
complete -c gm -n '__gm_at map' -l results -d 'write each record to a folder DIR/NUMBER with the files stdout, stderr, exit and name' -x -a '(__fish_complete_directories)'
complete -c gm -n '__gm_at map' -s n -l each-line -d 'a job for each line of stdin, with its newline'
complete -c gm -n '__gm_at map' -l lines -d 'a job for N lines, or records of -0, -d, --csv or --tsv, with their ends' -x
complete -c gm -n '__gm_at map' -s N -l stripped -d 'a job for each line, without its newline'
complete -c gm -n '__gm_at map' -s 0 -l null -d 'a job for each record that ends with NUL'
complete -c gm -n '__gm_at map' -s d -l delimiter -d 'a job for each record that ends with DELIM, which may have \\n, \\t, \\0, \\xHH, \\\\ in it' -x
complete -c gm -n '__gm_at map' -l block -d 'a job for each block of whole records with about SIZE bytes: 64K, 1M. A longer record is a block of its own' -x
complete -c gm -n '__gm_at map' -l csv -d 'records are rows of CSV, with newlines allowed in quotes. The first row is a header, put before the rows of each job'
complete -c gm -n '__gm_at map' -l tsv -d 'like --csv, with tabs instead of commas'
complete -c gm -n '__gm_at map' -l header -d 'the first N records are a header, put before the records of each job' -x
complete -c gm -n '__gm_at map' -l files -d 'a job for each file'
complete -c gm -n '__gm_at map' -l end -d 'with -N, -0 and -d: text appended to each result that does not end with it' -x
complete -c gm -n '__gm_at map' -s j -l jobs -d 'at most N jobs in flight' -x
complete -c gm -n '__gm_at map' -l max-buffer -d 'read no more records while those in flight and the waiting results have SIZE bytes' -x
complete -c gm -n '__gm_at map' -l joblog -d 'log each record that has ended to FILE as a line of JSON' -r -F
complete -c gm -n '__gm_at map' -l resume -d 'leave out the records that --joblog has'
complete -c gm -n '__gm_at map' -l new-output -d 'let --resume go on although the earlier results are not where they were'
complete -c gm -n '__gm_at map' -l retry-failed -d 'like --resume, and do the failed records again'
complete -c gm -n '__gm_at map' -l dry-run -d 'print the records that would be submitted: number, function, bytes, record or file, name of the output, error'
complete -c gm -n '__gm_at map' -l retries -d 'submit a job that failed or was lost again, up to N times' -x
complete -c gm -n '__gm_at map' -l halt -d 'WHEN failed records end the run: now,fail=1, or soon,fail=3 to wait for running jobs, or soon,fail=10%' -x -a 'never now,fail=1 soon,fail=1 soon,fail=10%'
complete -c gm -n '__gm_at map' -l reconnect -d 'wait up to TIME for a server that has gone away or is shutting down' -x
complete -c gm -n '__gm_at map' -l propagate -d 'exit with the exit code of the worker\'s command'
complete -c gm -n '__gm_at map' -l bar -d 'draw a bar of the progress on stderr, if it is a terminal'
complete -c gm -n '__gm_at map' -l eta -d 'show the number of records, the rate and the time left on stderr, if it is a terminal'
complete -c gm -n '__gm_at map' -l progress -d 'print the progress on stderr in FORMAT json, each second and at the end' -x -a 'json'
complete -c gm -n '__gm_at map' -s o -l output -d 'print the outcome of each job in FORMAT json or jsonl, instead of its result' -x -a 'json jsonl'
complete -c gm -n '__gm_at map' -s s -l server -d 'connect to HOST[:PORT], [::1]:4730 or unix:/path' -x
complete -c gm -n '__gm_at map' -s p -l port -d 'use PORT for servers without one' -x
complete -c gm -n '__gm_at map' -l context -d 'use the context NAME of the configuration' -x -a '(__gm_contexts)'
complete -c gm -n '__gm_at map' -l trace -d 'write every packet as text to FILE' -r -F
complete -c gm -n '__gm_at map' -l max-payload -d 'accept payloads and parts of results up to SIZE bytes: 1000, 64K, 64M, 1G' -x
complete -c gm -n '__gm_at map' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at map' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at pipe' -a '(__gm_functions)'
complete -c gm -n '__gm_at pipe' -s u -l unique -d 'jobs of the same function and KEY are one job while it is queued or running' -x
complete -c gm -n '__gm_at pipe' -s I -l high -d 'high priority'
complete -c gm -n '__gm_at pipe' -s L -l low -d 'low priority'
complete -c gm -n '__gm_at pipe' -s t -l timeout -d 'give up a job that has not ended after TIME' -x
complete -c gm -n '__gm_at pipe' -l require-worker -d 'exit with 3 if no worker can do the function, instead of waiting for one'
complete -c gm -n '__gm_at pipe' -l status -d 'print the progress of the jobs on stderr'
complete -c gm -n '__gm_at pipe' -l unordered -d 'print results as they arrive, each as a whole'
complete -c gm -n '__gm_at pipe' -l tag -d 'print the record, or the name of its file, and a tab before each line of its result'
complete -c gm -n '__gm_at pipe' -l line-buffer -d 'print each line of a result when it is complete, even if its job goes on'
complete -c gm -n '__gm_at pipe' -s P -l prefix -d 'print the function and a colon before each line of a result'
complete -c gm -n '__gm_at pipe' -l out -d 'write each result to a file NAME' -x
complete -c gm -n '__gm_at pipe' -l out-anywhere -d 'allow records to lead --out out of the folder that NAME begins with, as ../x and /x do'
complete -c gm -n '__gm_at pipe' -l results -d 'write each record to a folder DIR/NUMBER with the files stdout, stderr, exit and name' -x -a '(__fish_complete_directories)'
complete -c gm -n '__gm_at pipe' -s n -l each-line -d 'a job for each line of stdin, with its newline'
complete -c gm -n '__gm_at pipe' -l lines -d 'a job for N lines, or records of -0, -d, --csv or --tsv, with their ends' -x
complete -c gm -n '__gm_at pipe' -s N -l stripped -d 'a job for each line, without its newline'
complete -c gm -n '__gm_at pipe' -s 0 -l null -d 'a job for each record that ends with NUL'
complete -c gm -n '__gm_at pipe' -s d -l delimiter -d 'a job for each record that ends with DELIM, which may have \\n, \\t, \\0, \\xHH, \\\\ in it' -x
complete -c gm -n '__gm_at pipe' -l block -d 'a job for each block of whole records with about SIZE bytes: 64K, 1M. A longer record is a block of its own' -x
complete -c gm -n '__gm_at pipe' -l csv -d 'records are rows of CSV, with newlines allowed in quotes. The first row is a header, put before the rows of each job'
complete -c gm -n '__gm_at pipe' -l tsv -d 'like --csv, with tabs instead of commas'
complete -c gm -n '__gm_at pipe' -l header -d 'the first N records are a header, put before the records of each job' -x
complete -c gm -n '__gm_at pipe' -l files -d 'a job for each file'
complete -c gm -n '__gm_at pipe' -l end -d 'with -N, -0 and -d: text appended to each result that does not end with it' -x
complete -c gm -n '__gm_at pipe' -s j -l jobs -d 'at most N jobs in flight' -x
complete -c gm -n '__gm_at pipe' -l max-buffer -d 'read no more records while those in flight and the waiting results have SIZE bytes' -x
complete -c gm -n '__gm_at pipe' -l joblog -d 'log each record that has ended to FILE as a line of JSON' -r -F
complete -c gm -n '__gm_at pipe' -l resume -d 'leave out the records that --joblog has'
complete -c gm -n '__gm_at pipe' -l new-output -d 'let --resume go on although the earlier results are not where they were'
complete -c gm -n '__gm_at pipe' -l retry-failed -d 'like --resume, and do the failed records again'
complete -c gm -n '__gm_at pipe' -l dry-run -d 'print the records that would be submitted: number, function, bytes, record or file, name of the output, error'
complete -c gm -n '__gm_at pipe' -l retries -d 'submit a job that failed or was lost again, up to N times' -x
complete -c gm -n '__gm_at pipe' -l halt -d 'WHEN failed records end the run: now,fail=1, or soon,fail=3 to wait for running jobs, or soon,fail=10%' -x -a 'never now,fail=1 soon,fail=1 soon,fail=10%'
complete -c gm -n '__gm_at pipe' -l reconnect -d 'wait up to TIME for a server that has gone away or is shutting down' -x
complete -c gm -n '__gm_at pipe' -l propagate -d 'exit with the exit code of the worker\'s command'
complete -c gm -n '__gm_at pipe' -l bar -d 'draw a bar of the progress on stderr, if it is a terminal'
complete -c gm -n '__gm_at pipe' -l eta -d 'show the number of records, the rate and the time left on stderr, if it is a terminal'
complete -c gm -n '__gm_at pipe' -l progress -d 'print the progress on stderr in FORMAT json, each second and at the end' -x -a 'json'
complete -c gm -n '__gm_at pipe' -s o -l output -d 'print the outcome of each job in FORMAT json or jsonl, instead of its result' -x -a 'json jsonl'
complete -c gm -n '__gm_at pipe' -s s -l server -d 'connect to HOST[:PORT], [::1]:4730 or unix:/path' -x
complete -c gm -n '__gm_at pipe' -s p -l port -d 'use PORT for servers without one' -x
complete -c gm -n '__gm_at pipe' -l context -d 'use the context NAME of the configuration' -x -a '(__gm_contexts)'
complete -c gm -n '__gm_at pipe' -l trace -d 'write every packet as text to FILE' -r -F
complete -c gm -n '__gm_at pipe' -l max-payload -d 'accept payloads and parts of results up to SIZE bytes: 1000, 64K, 64M, 1G' -x
complete -c gm -n '__gm_at pipe' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at pipe' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at work' -a '(__fish_complete_subcommand)'
complete -c gm -n '__gm_at work' -s f -l function -d 'serve the function FUNC' -x -a '(__gm_functions)'
complete -c gm -n '__gm_at work' -l dir -d 'serve each executable file in DIR as the function of its name' -x -a '(__fish_complete_directories)'
complete -c gm -n '__gm_at work' -s j -l jobs -d 'do at most N jobs at a time' -x
complete -c gm -n '__gm_at work' -s c -l count -d 'end after N jobs' -x
complete -c gm -n '__gm_at work' -l until-empty -d 'end when no server has a job for this worker'
complete -c gm -n '__gm_at work' -l idle -d 'with --until-empty: first wait TIME for more jobs' -x
complete -c gm -n '__gm_at work' -s i -l id -d 'set the ID that the server shows for this worker' -x
complete -c gm -n '__gm_at work' -s v -l verbose -d 'log each job on stderr'
complete -c gm -n '__gm_at work' -l shell -d 'run CMD as a script with /bin/sh -c'
complete -c gm -n '__gm_at work' -s t -l timeout -d 'stop and fail a job after TIME' -x
complete -c gm -n '__gm_at work' -l kill-after -d 'wait TIME from SIGTERM to SIGKILL' -x
complete -c gm -n '__gm_at work' -l stream -d 'send stdout while it is written, in pieces'
complete -c gm -n '__gm_at work' -s n -l lines -d 'send stdout while it is written, a line at a time'
complete -c gm -n '__gm_at work' -l exception -d 'report a failure as an exception, with the end of stderr as its text'
complete -c gm -n '__gm_at work' -l attempts -d 'get the number of the attempt from the server, for GM_ATTEMPT'
complete -c gm -n '__gm_at work' -l keep -d 'run one child for many jobs, with a line for each payload and each result'
complete -c gm -n '__gm_at work' -l max-jobs -d 'replace the child after N jobs' -x
complete -c gm -n '__gm_at work' -l max-age -d 'replace the child after TIME, between two jobs' -x
complete -c gm -n '__gm_at work' -l max-rss -d 'replace the child when it occupies more than SIZE of memory, between two jobs' -x
complete -c gm -n '__gm_at work' -l next -d 'submit each result to FUNC, in the background, before its job is completed' -x -a '(__gm_functions)'
complete -c gm -n '__gm_at work' -l on-fail -d 'submit the payload of each job that fails to FUNC, in the background, before it is failed' -x -a '(__gm_functions)'
complete -c gm -n '__gm_at work' -l next-priority -d 'submit these jobs with PRIORITY high, normal, low, or same: that of the job, which only gm serve reports' -x -a 'high normal low same'
complete -c gm -n '__gm_at work' -s s -l server -d 'connect to HOST[:PORT], [::1]:4730 or unix:/path' -x
complete -c gm -n '__gm_at work' -s p -l port -d 'use PORT for servers without one' -x
complete -c gm -n '__gm_at work' -l context -d 'use the context NAME of the configuration' -x -a '(__gm_contexts)'
complete -c gm -n '__gm_at work' -l trace -d 'write every packet as text to FILE' -r -F
complete -c gm -n '__gm_at work' -l max-payload -d 'accept payloads and parts of results up to SIZE bytes: 1000, 64K, 64M, 1G' -x
complete -c gm -n '__gm_at work' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at work' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at_only tell' -a status -d 'report progress'
complete -c gm -n '__gm_at_only tell' -a warn -d 'send a warning'
complete -c gm -n '__gm_at_only tell' -a data -d 'send part of the result'
complete -c gm -n '__gm_at_only tell' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at_only tell' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at tell status' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at tell status' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at tell warn' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at tell warn' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at tell data' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at tell data' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at serve' -s L -l listen -d 'listen on ADDR: HOST, HOST:PORT, :PORT for all interfaces, [::1]:4730, or unix:/path[?mode=0660&group=NAME]' -x
complete -c gm -n '__gm_at serve' -s p -l port -d 'use PORT for addresses without one' -x
complete -c gm -n '__gm_at serve' -l print-port -d 'print the port on stdout when the server listens'
complete -c gm -n '__gm_at serve' -l keepalive -d 'probe a silent TCP peer after TIME'
complete -c gm -n '__gm_at serve' -l user-timeout -d 'drop a TCP peer that acknowledges nothing for TIME (Linux)' -x
complete -c gm -n '__gm_at serve' -l store -d 'keep background jobs in the store URL' -x -a '(__gm_stores)'
complete -c gm -n '__gm_at serve' -l data -d 'keep background jobs in the directory DIR, like --store disk:DIR' -x -a '(__fish_complete_directories)'
complete -c gm -n '__gm_at serve' -l sync -d 'WHEN a disk or sqlite store syncs: always (before a job is acknowledged), interval (every second) or never (left to the system). Acknowledged jobs survive a crash of the server in each case, a crash of the machine with always' -x -a 'always interval never'
complete -c gm -n '__gm_at serve' -l store-wait -d 'at the start, wait up to TIME for a store that cannot be reached, such as a database that starts later' -x
complete -c gm -n '__gm_at serve' -l store-timeout -d 'refuse a job that the store has not stored after TIME' -x
complete -c gm -n '__gm_at serve' -l memory -d 'keep up to SIZE of waiting payloads in memory' -x
complete -c gm -n '__gm_at serve' -l retry -d 'retry failed jobs: FUNCTION=N[,MIN..MAX], N times (-1 is no limit), after MIN at first and twice as long each time, up to MAX' -x
complete -c gm -n '__gm_at serve' -l dead-max -d 'keep the last N dead jobs of each function: background jobs that have failed for good' -x
complete -c gm -n '__gm_at serve' -l dead-age -d 'keep each dead job for TIME, such as 30d' -x
complete -c gm -n '__gm_at serve' -l keep-results -d 'keep outcomes and results of background jobs for TIME, for gm wait, gm result and clients that submit a job once' -x
complete -c gm -n '__gm_at serve' -l results-memory -d 'keep up to SIZE of results' -x
complete -c gm -n '__gm_at serve' -s j -l job-retries -d 'give up a job that N workers have lost' -x
complete -c gm -n '__gm_at serve' -s R -l round-robin -d 'serve the functions of a worker in turn, not one before the other'
complete -c gm -n '__gm_at serve' -l exceptions -d 'send WORK_EXCEPTION to all clients, not only to those that request it'
complete -c gm -n '__gm_at serve' -s w -l worker-wakeup -d 'wake N sleeping workers for each job' -x
complete -c gm -n '__gm_at serve' -l forget-functions -d 'forget functions that were not used for TIME' -x
complete -c gm -n '__gm_at serve' -l host -d 'use NAME as the host in job handles' -x
complete -c gm -n '__gm_at serve' -l drain-timeout -d 'when stopping, wait at most TIME for running jobs' -x
complete -c gm -n '__gm_at serve' -l outbox -d 'also submit the jobs of the outbox at URL, as gm outbox run does' -x -a '(__gm_stores)'
complete -c gm -n '__gm_at serve' -l work -d 'also run a worker: FUNCTION=COMMAND runs the command by the shell for each job, without the variables of the store\'s passwords' -x
complete -c gm -n '__gm_at serve' -l work-jobs -d 'run at most N jobs of each --work at a time' -x
complete -c gm -n '__gm_at serve' -l max-payload -d 'refuse payloads larger than SIZE' -x
complete -c gm -n '__gm_at serve' -l max-outbox -d 'drop a peer that leaves more than SIZE unread' -x
complete -c gm -n '__gm_at serve' -l peer-timeout -d 'drop a peer that for TIME reads nothing of a large backlog, or sends nothing of a packet that it has begun' -x
complete -c gm -n '__gm_at serve' -l log-level -d 'log lines of LEVEL and above: debug (every job), info, warn, error' -x -a 'debug info warn error'
complete -c gm -n '__gm_at serve' -s v -l verbose -d 'log like --log-level debug, or from LEVEL in gearmand\'s words: FATAL, ALERT, CRITICAL, ERROR, WARNING, NOTICE, INFO or DEBUG'
complete -c gm -n '__gm_at serve' -l log-format -d 'log in FORMAT, text or json' -x -a 'text json'
complete -c gm -n '__gm_at serve' -s l -l log-file -d 'append the log to FILE, which SIGHUP reopens' -r -F
complete -c gm -n '__gm_at serve' -l syslog -d 'send the log to syslog, as facility daemon'
complete -c gm -n '__gm_at serve' -l trace -d 'write every packet as text to FILE' -r -F
complete -c gm -n '__gm_at serve' -s d -l daemon -d 'go to the background when the server listens'
complete -c gm -n '__gm_at serve' -s u -l user -d 'become the user NAME before opening anything' -x
complete -c gm -n '__gm_at serve' -s P -l pid-file -d 'write the process id to FILE when the server listens' -r -F
complete -c gm -n '__gm_at serve' -l config-file -d 'read more options from FILE, in the form of the command line, which has precedence' -r -F
complete -c gm -n '__gm_at serve' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at serve' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at status' -a '(__gm_functions)'
complete -c gm -n '__gm_at status' -l by-server -d 'show a row for each function of each server, not the sums'
complete -c gm -n '__gm_at status' -s w -l watch -d 'repeat the output until interrupted'
complete -c gm -n '__gm_at status' -s i -l interval -d 'with --watch: wait DURATION from one output to the next' -x
complete -c gm -n '__gm_at status' -s c -l count -d 'with --watch: end after N outputs' -x
complete -c gm -n '__gm_at status' -s o -l output -d 'print rows in FORMAT: table, tsv, json or jsonl' -x -a 'table tsv json jsonl'
complete -c gm -n '__gm_at status' -s s -l server -d 'connect to HOST[:PORT], [::1]:4730 or unix:/path' -x
complete -c gm -n '__gm_at status' -s p -l port -d 'use PORT for servers without one' -x
complete -c gm -n '__gm_at status' -l context -d 'use the context NAME of the configuration' -x -a '(__gm_contexts)'
complete -c gm -n '__gm_at status' -l trace -d 'write every packet as text to FILE' -r -F
complete -c gm -n '__gm_at status' -s t -l timeout -d 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m' -x
complete -c gm -n '__gm_at status' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at status' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at workers' -a '(__gm_functions)'
complete -c gm -n '__gm_at workers' -s a -l all -d 'show connections without a function too'
complete -c gm -n '__gm_at workers' -s w -l watch -d 'repeat the output until interrupted'
complete -c gm -n '__gm_at workers' -s i -l interval -d 'with --watch: wait DURATION from one output to the next' -x
complete -c gm -n '__gm_at workers' -s c -l count -d 'with --watch: end after N outputs' -x
complete -c gm -n '__gm_at workers' -s o -l output -d 'print rows in FORMAT: table, tsv, json or jsonl' -x -a 'table tsv json jsonl'
complete -c gm -n '__gm_at workers' -s s -l server -d 'connect to HOST[:PORT], [::1]:4730 or unix:/path' -x
complete -c gm -n '__gm_at workers' -s p -l port -d 'use PORT for servers without one' -x
complete -c gm -n '__gm_at workers' -l context -d 'use the context NAME of the configuration' -x -a '(__gm_contexts)'
complete -c gm -n '__gm_at workers' -l trace -d 'write every packet as text to FILE' -r -F
complete -c gm -n '__gm_at workers' -s t -l timeout -d 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m' -x
complete -c gm -n '__gm_at workers' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at workers' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at jobs' -a '(__gm_functions)'
complete -c gm -n '__gm_at jobs' -s f -l function -d 'list only jobs of FUNC, like the argument' -x -a '(__gm_functions)'
complete -c gm -n '__gm_at jobs' -l state -d 'list only jobs in STATE: waiting, delayed, running or dead' -x -a 'waiting delayed running dead'
complete -c gm -n '__gm_at jobs' -l dead -d 'list the dead jobs, like --state dead'
complete -c gm -n '__gm_at jobs' -s n -l limit -d 'list at most N jobs of each server' -x
complete -c gm -n '__gm_at jobs' -s o -l output -d 'print rows in FORMAT: table, tsv, json or jsonl' -x -a 'table tsv json jsonl'
complete -c gm -n '__gm_at jobs' -s s -l server -d 'connect to HOST[:PORT], [::1]:4730 or unix:/path' -x
complete -c gm -n '__gm_at jobs' -s p -l port -d 'use PORT for servers without one' -x
complete -c gm -n '__gm_at jobs' -l context -d 'use the context NAME of the configuration' -x -a '(__gm_contexts)'
complete -c gm -n '__gm_at jobs' -l trace -d 'write every packet as text to FILE' -r -F
complete -c gm -n '__gm_at jobs' -s t -l timeout -d 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m' -x
complete -c gm -n '__gm_at jobs' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at jobs' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at job' -a '(__gm_handles)'
complete -c gm -n '__gm_at job' -l payload -d 'print only the payload, byte for byte (gm serve)'
complete -c gm -n '__gm_at job' -l follow -d 'print the result as it arrives, until the job ends (gm serve)'
complete -c gm -n '__gm_at job' -s o -l output -d 'print rows in FORMAT: table, tsv, json or jsonl' -x -a 'table tsv json jsonl'
complete -c gm -n '__gm_at job' -s s -l server -d 'connect to HOST[:PORT], [::1]:4730 or unix:/path' -x
complete -c gm -n '__gm_at job' -s p -l port -d 'use PORT for servers without one' -x
complete -c gm -n '__gm_at job' -l context -d 'use the context NAME of the configuration' -x -a '(__gm_contexts)'
complete -c gm -n '__gm_at job' -l trace -d 'write every packet as text to FILE' -r -F
complete -c gm -n '__gm_at job' -s t -l timeout -d 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m' -x
complete -c gm -n '__gm_at job' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at job' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at wait' -a '(__gm_handles)'
complete -c gm -n '__gm_at wait' -s f -l function -d 'select jobs of FUNC, or of the functions that a pattern matches' -x -a '(__gm_functions)'
complete -c gm -n '__gm_at wait' -l match -d 'select jobs with TEXT in handle, unique, last error or payload' -x
complete -c gm -n '__gm_at wait' -s a -l all -d 'wait for all jobs of -f that have not ended'
complete -c gm -n '__gm_at wait' -s o -l output -d 'print rows in FORMAT: table, tsv, json or jsonl' -x -a 'table tsv json jsonl'
complete -c gm -n '__gm_at wait' -s t -l timeout -d 'give up after DURATION, such as 500ms, 10s or 1m' -x
complete -c gm -n '__gm_at wait' -s s -l server -d 'connect to HOST[:PORT], [::1]:4730 or unix:/path' -x
complete -c gm -n '__gm_at wait' -s p -l port -d 'use PORT for servers without one' -x
complete -c gm -n '__gm_at wait' -l context -d 'use the context NAME of the configuration' -x -a '(__gm_contexts)'
complete -c gm -n '__gm_at wait' -l trace -d 'write every packet as text to FILE' -r -F
complete -c gm -n '__gm_at wait' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at wait' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at result' -a '(__gm_handles)'
complete -c gm -n '__gm_at result' -s s -l server -d 'connect to HOST[:PORT], [::1]:4730 or unix:/path' -x
complete -c gm -n '__gm_at result' -s p -l port -d 'use PORT for servers without one' -x
complete -c gm -n '__gm_at result' -l context -d 'use the context NAME of the configuration' -x -a '(__gm_contexts)'
complete -c gm -n '__gm_at result' -l trace -d 'write every packet as text to FILE' -r -F
complete -c gm -n '__gm_at result' -s t -l timeout -d 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m' -x
complete -c gm -n '__gm_at result' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at result' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at retry' -a '(__gm_dead)'
complete -c gm -n '__gm_at retry' -s f -l function -d 'select jobs of FUNC, or of the functions that a pattern matches' -x -a '(__gm_functions)'
complete -c gm -n '__gm_at retry' -l match -d 'select jobs with TEXT in handle, unique, last error or payload' -x
complete -c gm -n '__gm_at retry' -s a -l all -d 'retry all dead jobs of -f'
complete -c gm -n '__gm_at retry' -s o -l output -d 'print rows in FORMAT: table, tsv, json or jsonl' -x -a 'table tsv json jsonl'
complete -c gm -n '__gm_at retry' -s s -l server -d 'connect to HOST[:PORT], [::1]:4730 or unix:/path' -x
complete -c gm -n '__gm_at retry' -s p -l port -d 'use PORT for servers without one' -x
complete -c gm -n '__gm_at retry' -l context -d 'use the context NAME of the configuration' -x -a '(__gm_contexts)'
complete -c gm -n '__gm_at retry' -l trace -d 'write every packet as text to FILE' -r -F
complete -c gm -n '__gm_at retry' -s t -l timeout -d 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m' -x
complete -c gm -n '__gm_at retry' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at retry' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at cancel' -a '(__gm_handles)'
complete -c gm -n '__gm_at cancel' -l running -d 'also stop running jobs, if their workers are gm work'
complete -c gm -n '__gm_at cancel' -s f -l function -d 'select jobs of FUNC, or of the functions that a pattern matches' -x -a '(__gm_functions)'
complete -c gm -n '__gm_at cancel' -l match -d 'select jobs with TEXT in handle, unique, last error or payload' -x
complete -c gm -n '__gm_at cancel' -s a -l all -d 'cancel all jobs of -f that have not ended'
complete -c gm -n '__gm_at cancel' -s o -l output -d 'print rows in FORMAT: table, tsv, json or jsonl' -x -a 'table tsv json jsonl'
complete -c gm -n '__gm_at cancel' -s s -l server -d 'connect to HOST[:PORT], [::1]:4730 or unix:/path' -x
complete -c gm -n '__gm_at cancel' -s p -l port -d 'use PORT for servers without one' -x
complete -c gm -n '__gm_at cancel' -l context -d 'use the context NAME of the configuration' -x -a '(__gm_contexts)'
complete -c gm -n '__gm_at cancel' -l trace -d 'write every packet as text to FILE' -r -F
complete -c gm -n '__gm_at cancel' -s t -l timeout -d 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m' -x
complete -c gm -n '__gm_at cancel' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at cancel' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at_only store' -a check -d 'verify a store'
complete -c gm -n '__gm_at_only store' -a compact -d 'free the space of deleted jobs'
complete -c gm -n '__gm_at_only store' -a dump -d 'print a store as JSON lines'
complete -c gm -n '__gm_at_only store' -a load -d 'load the lines of gm store dump into a store'
complete -c gm -n '__gm_at_only store' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at_only store' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at store check' -a '(__gm_stores)'
complete -c gm -n '__gm_at store check' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at store check' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at store compact' -a '(__gm_stores)'
complete -c gm -n '__gm_at store compact' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at store compact' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at store dump' -a '(__gm_stores)'
complete -c gm -n '__gm_at store dump' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at store dump' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at store load' -a '(__gm_stores)'
complete -c gm -n '__gm_at store load' -l merge -d 'add to a store that is not empty'
complete -c gm -n '__gm_at store load' -l partial -d 'accept lines that are not a whole dump'
complete -c gm -n '__gm_at store load' -s o -l output -d 'print rows in FORMAT: table, tsv, json or jsonl' -x -a 'table tsv json jsonl'
complete -c gm -n '__gm_at store load' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at store load' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at_only outbox' -a install -d 'create the table of an outbox'
complete -c gm -n '__gm_at_only outbox' -a trigger -d 'create or print a trigger that makes jobs of changed rows'
complete -c gm -n '__gm_at_only outbox' -a run -d 'submit the jobs of an outbox until a signal'
complete -c gm -n '__gm_at_only outbox' -a status -d 'show the numbers of rows in an outbox'
complete -c gm -n '__gm_at_only outbox' -a dead -d 'list the dead rows of an outbox'
complete -c gm -n '__gm_at_only outbox' -a retry -d 'submit dead rows of an outbox again'
complete -c gm -n '__gm_at_only outbox' -a purge -d 'delete dead rows of an outbox'
complete -c gm -n '__gm_at_only outbox' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at_only outbox' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at outbox install' -a '(__gm_stores)'
complete -c gm -n '__gm_at outbox install' -l print -d 'print the statements for psql or mysql, and change nothing'
complete -c gm -n '__gm_at outbox install' -l notify -d 'also create a trigger that notifies idle relays, for PostgreSQL'
complete -c gm -n '__gm_at outbox install' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at outbox install' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at outbox trigger' -a '(__gm_stores)'
complete -c gm -n '__gm_at outbox trigger' -l table -d 'watch the table NAME or SCHEMA.NAME' -x
complete -c gm -n '__gm_at outbox trigger' -l on -d 'send a job on EVENT: insert, update or delete' -x -a 'insert update delete'
complete -c gm -n '__gm_at outbox trigger' -s f -l function -d 'the jobs are for FUNC' -x -a '(__gm_functions)'
complete -c gm -n '__gm_at outbox trigger' -l columns -d 'send the column NAME' -x
complete -c gm -n '__gm_at outbox trigger' -l binary -d 'the column NAME has bytes, which JSON gets in hexadecimal after \\x' -x
complete -c gm -n '__gm_at outbox trigger' -l json -d 'send the old and the new row as JSON'
complete -c gm -n '__gm_at outbox trigger' -l job-priority -d 'the jobs have the PRIORITY high, normal or low' -x -a 'high normal low'
complete -c gm -n '__gm_at outbox trigger' -l for -d 'print the statements for DATABASE, postgres or mysql, without connecting to one' -x -a 'postgres mysql'
complete -c gm -n '__gm_at outbox trigger' -l install -d 'create the trigger in the database, and print nothing'
complete -c gm -n '__gm_at outbox trigger' -l name -d 'call the trigger NAME, and replace one of that name' -x
complete -c gm -n '__gm_at outbox trigger' -l outbox -d 'the outbox is the table NAME or SCHEMA.NAME' -x
complete -c gm -n '__gm_at outbox trigger' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at outbox trigger' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at outbox run' -a '(__gm_stores)'
complete -c gm -n '__gm_at outbox run' -l max-attempts -d 'give up a row after N refusals' -x
complete -c gm -n '__gm_at outbox run' -l batch -d 'submit at most N rows in one transaction' -x
complete -c gm -n '__gm_at outbox run' -s s -l server -d 'connect to HOST[:PORT], [::1]:4730 or unix:/path' -x
complete -c gm -n '__gm_at outbox run' -s p -l port -d 'use PORT for servers without one' -x
complete -c gm -n '__gm_at outbox run' -l context -d 'use the context NAME of the configuration' -x -a '(__gm_contexts)'
complete -c gm -n '__gm_at outbox run' -l trace -d 'write every packet as text to FILE' -r -F
complete -c gm -n '__gm_at outbox run' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at outbox run' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at outbox status' -a '(__gm_stores)'
complete -c gm -n '__gm_at outbox status' -l max-waiting -d 'exit with 1 if more than N rows wait' -x
complete -c gm -n '__gm_at outbox status' -l max-age -d 'exit with 1 if the first row has waited longer than TIME' -x
complete -c gm -n '__gm_at outbox status' -l max-dead -d 'exit with 1 if more than N rows are dead' -x
complete -c gm -n '__gm_at outbox status' -s o -l output -d 'print rows in FORMAT: table, tsv, json or jsonl' -x -a 'table tsv json jsonl'
complete -c gm -n '__gm_at outbox status' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at outbox status' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at outbox dead' -a '(__gm_stores)'
complete -c gm -n '__gm_at outbox dead' -s n -l limit -d 'list at most N rows' -x
complete -c gm -n '__gm_at outbox dead' -s o -l output -d 'print rows in FORMAT: table, tsv, json or jsonl' -x -a 'table tsv json jsonl'
complete -c gm -n '__gm_at outbox dead' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at outbox dead' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at outbox retry' -a '(__gm_stores)'
complete -c gm -n '__gm_at outbox retry' -l all -d 'retry all dead rows'
complete -c gm -n '__gm_at outbox retry' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at outbox retry' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at outbox purge' -a '(__gm_stores)'
complete -c gm -n '__gm_at outbox purge' -l all -d 'delete all dead rows'
complete -c gm -n '__gm_at outbox purge' -s y -l yes -d 'do not ask for confirmation'
complete -c gm -n '__gm_at outbox purge' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at outbox purge' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at_only admin' -a version -d 'print the server\'s version'
complete -c gm -n '__gm_at_only admin' -a pid -d 'print the server\'s process id'
complete -c gm -n '__gm_at_only admin' -a verbose -d 'print the log level of the server'
complete -c gm -n '__gm_at_only admin' -a create -d 'create functions before a worker serves them'
complete -c gm -n '__gm_at_only admin' -a drop -d 'forget functions that have no workers'
complete -c gm -n '__gm_at_only admin' -a maxqueue -d 'limit the number of jobs of a function'
complete -c gm -n '__gm_at_only admin' -a pause -d 'stop handing out the jobs of functions (gm serve)'
complete -c gm -n '__gm_at_only admin' -a resume -d 'hand out jobs of paused functions again (gm serve)'
complete -c gm -n '__gm_at_only admin' -a purge -d 'drop the waiting and delayed jobs of functions (gm serve)'
complete -c gm -n '__gm_at_only admin' -a front -d 'move waiting jobs to the head of their queue (gm serve)'
complete -c gm -n '__gm_at_only admin' -a policy -d 'set the retries of failed jobs (gm serve)'
complete -c gm -n '__gm_at_only admin' -a shutdown -d 'stop the server'
complete -c gm -n '__gm_at_only admin' -a show-jobs -d 'list handles, attempts, ignored and queued of all jobs'
complete -c gm -n '__gm_at_only admin' -a show-unique-jobs -d 'list the uniques of all jobs'
complete -c gm -n '__gm_at_only admin' -a help -d 'list the server\'s own commands (gm serve)'
complete -c gm -n '__gm_at_only admin' -s s -l server -d 'connect to HOST[:PORT], [::1]:4730 or unix:/path' -x
complete -c gm -n '__gm_at_only admin' -s p -l port -d 'use PORT for servers without one' -x
complete -c gm -n '__gm_at_only admin' -l context -d 'use the context NAME of the configuration' -x -a '(__gm_contexts)'
complete -c gm -n '__gm_at_only admin' -l trace -d 'write every packet as text to FILE' -r -F
complete -c gm -n '__gm_at_only admin' -s t -l timeout -d 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m' -x
complete -c gm -n '__gm_at_only admin' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at_only admin' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at admin version' -s o -l output -d 'print rows in FORMAT: table, tsv, json or jsonl' -x -a 'table tsv json jsonl'
complete -c gm -n '__gm_at admin version' -s s -l server -d 'connect to HOST[:PORT], [::1]:4730 or unix:/path' -x
complete -c gm -n '__gm_at admin version' -s p -l port -d 'use PORT for servers without one' -x
complete -c gm -n '__gm_at admin version' -l context -d 'use the context NAME of the configuration' -x -a '(__gm_contexts)'
complete -c gm -n '__gm_at admin version' -l trace -d 'write every packet as text to FILE' -r -F
complete -c gm -n '__gm_at admin version' -s t -l timeout -d 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m' -x
complete -c gm -n '__gm_at admin version' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at admin version' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at admin pid' -s o -l output -d 'print rows in FORMAT: table, tsv, json or jsonl' -x -a 'table tsv json jsonl'
complete -c gm -n '__gm_at admin pid' -s s -l server -d 'connect to HOST[:PORT], [::1]:4730 or unix:/path' -x
complete -c gm -n '__gm_at admin pid' -s p -l port -d 'use PORT for servers without one' -x
complete -c gm -n '__gm_at admin pid' -l context -d 'use the context NAME of the configuration' -x -a '(__gm_contexts)'
complete -c gm -n '__gm_at admin pid' -l trace -d 'write every packet as text to FILE' -r -F
complete -c gm -n '__gm_at admin pid' -s t -l timeout -d 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m' -x
complete -c gm -n '__gm_at admin pid' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at admin pid' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at admin verbose' -s o -l output -d 'print rows in FORMAT: table, tsv, json or jsonl' -x -a 'table tsv json jsonl'
complete -c gm -n '__gm_at admin verbose' -s s -l server -d 'connect to HOST[:PORT], [::1]:4730 or unix:/path' -x
complete -c gm -n '__gm_at admin verbose' -s p -l port -d 'use PORT for servers without one' -x
complete -c gm -n '__gm_at admin verbose' -l context -d 'use the context NAME of the configuration' -x -a '(__gm_contexts)'
complete -c gm -n '__gm_at admin verbose' -l trace -d 'write every packet as text to FILE' -r -F
complete -c gm -n '__gm_at admin verbose' -s t -l timeout -d 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m' -x
complete -c gm -n '__gm_at admin verbose' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at admin verbose' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at admin create' -a '(__gm_functions)'
complete -c gm -n '__gm_at admin create' -s s -l server -d 'connect to HOST[:PORT], [::1]:4730 or unix:/path' -x
complete -c gm -n '__gm_at admin create' -s p -l port -d 'use PORT for servers without one' -x
complete -c gm -n '__gm_at admin create' -l context -d 'use the context NAME of the configuration' -x -a '(__gm_contexts)'
complete -c gm -n '__gm_at admin create' -l trace -d 'write every packet as text to FILE' -r -F
complete -c gm -n '__gm_at admin create' -s t -l timeout -d 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m' -x
complete -c gm -n '__gm_at admin create' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at admin create' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at admin drop' -a '(__gm_functions)'
complete -c gm -n '__gm_at admin drop' -s y -l yes -d 'do not ask for confirmation'
complete -c gm -n '__gm_at admin drop' -s s -l server -d 'connect to HOST[:PORT], [::1]:4730 or unix:/path' -x
complete -c gm -n '__gm_at admin drop' -s p -l port -d 'use PORT for servers without one' -x
complete -c gm -n '__gm_at admin drop' -l context -d 'use the context NAME of the configuration' -x -a '(__gm_contexts)'
complete -c gm -n '__gm_at admin drop' -l trace -d 'write every packet as text to FILE' -r -F
complete -c gm -n '__gm_at admin drop' -s t -l timeout -d 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m' -x
complete -c gm -n '__gm_at admin drop' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at admin drop' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at admin maxqueue' -a '(__gm_functions)'
complete -c gm -n '__gm_at admin maxqueue' -s s -l server -d 'connect to HOST[:PORT], [::1]:4730 or unix:/path' -x
complete -c gm -n '__gm_at admin maxqueue' -s p -l port -d 'use PORT for servers without one' -x
complete -c gm -n '__gm_at admin maxqueue' -l context -d 'use the context NAME of the configuration' -x -a '(__gm_contexts)'
complete -c gm -n '__gm_at admin maxqueue' -l trace -d 'write every packet as text to FILE' -r -F
complete -c gm -n '__gm_at admin maxqueue' -s t -l timeout -d 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m' -x
complete -c gm -n '__gm_at admin maxqueue' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at admin maxqueue' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at admin pause' -a '(__gm_functions)'
complete -c gm -n '__gm_at admin pause' -s s -l server -d 'connect to HOST[:PORT], [::1]:4730 or unix:/path' -x
complete -c gm -n '__gm_at admin pause' -s p -l port -d 'use PORT for servers without one' -x
complete -c gm -n '__gm_at admin pause' -l context -d 'use the context NAME of the configuration' -x -a '(__gm_contexts)'
complete -c gm -n '__gm_at admin pause' -l trace -d 'write every packet as text to FILE' -r -F
complete -c gm -n '__gm_at admin pause' -s t -l timeout -d 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m' -x
complete -c gm -n '__gm_at admin pause' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at admin pause' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at admin resume' -a '(__gm_functions)'
complete -c gm -n '__gm_at admin resume' -s s -l server -d 'connect to HOST[:PORT], [::1]:4730 or unix:/path' -x
complete -c gm -n '__gm_at admin resume' -s p -l port -d 'use PORT for servers without one' -x
complete -c gm -n '__gm_at admin resume' -l context -d 'use the context NAME of the configuration' -x -a '(__gm_contexts)'
complete -c gm -n '__gm_at admin resume' -l trace -d 'write every packet as text to FILE' -r -F
complete -c gm -n '__gm_at admin resume' -s t -l timeout -d 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m' -x
complete -c gm -n '__gm_at admin resume' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at admin resume' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at admin purge' -a '(__gm_functions)'
complete -c gm -n '__gm_at admin purge' -s y -l yes -d 'do not ask for confirmation'
complete -c gm -n '__gm_at admin purge' -l dead -d 'forget the dead jobs, not the waiting ones'
complete -c gm -n '__gm_at admin purge' -s o -l output -d 'print rows in FORMAT: table, tsv, json or jsonl' -x -a 'table tsv json jsonl'
complete -c gm -n '__gm_at admin purge' -s s -l server -d 'connect to HOST[:PORT], [::1]:4730 or unix:/path' -x
complete -c gm -n '__gm_at admin purge' -s p -l port -d 'use PORT for servers without one' -x
complete -c gm -n '__gm_at admin purge' -l context -d 'use the context NAME of the configuration' -x -a '(__gm_contexts)'
complete -c gm -n '__gm_at admin purge' -l trace -d 'write every packet as text to FILE' -r -F
complete -c gm -n '__gm_at admin purge' -s t -l timeout -d 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m' -x
complete -c gm -n '__gm_at admin purge' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at admin purge' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at admin front' -a '(__gm_handles)'
complete -c gm -n '__gm_at admin front' -s s -l server -d 'connect to HOST[:PORT], [::1]:4730 or unix:/path' -x
complete -c gm -n '__gm_at admin front' -s p -l port -d 'use PORT for servers without one' -x
complete -c gm -n '__gm_at admin front' -l context -d 'use the context NAME of the configuration' -x -a '(__gm_contexts)'
complete -c gm -n '__gm_at admin front' -l trace -d 'write every packet as text to FILE' -r -F
complete -c gm -n '__gm_at admin front' -s t -l timeout -d 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m' -x
complete -c gm -n '__gm_at admin front' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at admin front' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at admin policy' -a '(__gm_functions)'
complete -c gm -n '__gm_at admin policy' -s o -l output -d 'print rows in FORMAT: table, tsv, json or jsonl' -x -a 'table tsv json jsonl'
complete -c gm -n '__gm_at admin policy' -s s -l server -d 'connect to HOST[:PORT], [::1]:4730 or unix:/path' -x
complete -c gm -n '__gm_at admin policy' -s p -l port -d 'use PORT for servers without one' -x
complete -c gm -n '__gm_at admin policy' -l context -d 'use the context NAME of the configuration' -x -a '(__gm_contexts)'
complete -c gm -n '__gm_at admin policy' -l trace -d 'write every packet as text to FILE' -r -F
complete -c gm -n '__gm_at admin policy' -s t -l timeout -d 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m' -x
complete -c gm -n '__gm_at admin policy' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at admin policy' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at admin shutdown' -s g -l graceful -d 'wait until running jobs have ended'
complete -c gm -n '__gm_at admin shutdown' -s y -l yes -d 'do not ask for confirmation'
complete -c gm -n '__gm_at admin shutdown' -s s -l server -d 'connect to HOST[:PORT], [::1]:4730 or unix:/path' -x
complete -c gm -n '__gm_at admin shutdown' -s p -l port -d 'use PORT for servers without one' -x
complete -c gm -n '__gm_at admin shutdown' -l context -d 'use the context NAME of the configuration' -x -a '(__gm_contexts)'
complete -c gm -n '__gm_at admin shutdown' -l trace -d 'write every packet as text to FILE' -r -F
complete -c gm -n '__gm_at admin shutdown' -s t -l timeout -d 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m' -x
complete -c gm -n '__gm_at admin shutdown' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at admin shutdown' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at admin show-jobs' -s o -l output -d 'print rows in FORMAT: table, tsv, json or jsonl' -x -a 'table tsv json jsonl'
complete -c gm -n '__gm_at admin show-jobs' -s s -l server -d 'connect to HOST[:PORT], [::1]:4730 or unix:/path' -x
complete -c gm -n '__gm_at admin show-jobs' -s p -l port -d 'use PORT for servers without one' -x
complete -c gm -n '__gm_at admin show-jobs' -l context -d 'use the context NAME of the configuration' -x -a '(__gm_contexts)'
complete -c gm -n '__gm_at admin show-jobs' -l trace -d 'write every packet as text to FILE' -r -F
complete -c gm -n '__gm_at admin show-jobs' -s t -l timeout -d 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m' -x
complete -c gm -n '__gm_at admin show-jobs' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at admin show-jobs' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at admin show-unique-jobs' -s o -l output -d 'print rows in FORMAT: table, tsv, json or jsonl' -x -a 'table tsv json jsonl'
complete -c gm -n '__gm_at admin show-unique-jobs' -s s -l server -d 'connect to HOST[:PORT], [::1]:4730 or unix:/path' -x
complete -c gm -n '__gm_at admin show-unique-jobs' -s p -l port -d 'use PORT for servers without one' -x
complete -c gm -n '__gm_at admin show-unique-jobs' -l context -d 'use the context NAME of the configuration' -x -a '(__gm_contexts)'
complete -c gm -n '__gm_at admin show-unique-jobs' -l trace -d 'write every packet as text to FILE' -r -F
complete -c gm -n '__gm_at admin show-unique-jobs' -s t -l timeout -d 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m' -x
complete -c gm -n '__gm_at admin show-unique-jobs' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at admin show-unique-jobs' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at admin help' -s o -l output -d 'print rows in FORMAT: table, tsv, json or jsonl' -x -a 'table tsv json jsonl'
complete -c gm -n '__gm_at admin help' -s s -l server -d 'connect to HOST[:PORT], [::1]:4730 or unix:/path' -x
complete -c gm -n '__gm_at admin help' -s p -l port -d 'use PORT for servers without one' -x
complete -c gm -n '__gm_at admin help' -l context -d 'use the context NAME of the configuration' -x -a '(__gm_contexts)'
complete -c gm -n '__gm_at admin help' -l trace -d 'write every packet as text to FILE' -r -F
complete -c gm -n '__gm_at admin help' -s t -l timeout -d 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m' -x
complete -c gm -n '__gm_at admin help' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at admin help' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at ping' -s c -l count -d 'ping each server N times' -x
complete -c gm -n '__gm_at ping' -s i -l interval -d 'wait DURATION from one ping to the next' -x
complete -c gm -n '__gm_at ping' -s o -l output -d 'print rows in FORMAT: table, tsv, json or jsonl' -x -a 'table tsv json jsonl'
complete -c gm -n '__gm_at ping' -s s -l server -d 'connect to HOST[:PORT], [::1]:4730 or unix:/path' -x
complete -c gm -n '__gm_at ping' -s p -l port -d 'use PORT for servers without one' -x
complete -c gm -n '__gm_at ping' -l context -d 'use the context NAME of the configuration' -x -a '(__gm_contexts)'
complete -c gm -n '__gm_at ping' -l trace -d 'write every packet as text to FILE' -r -F
complete -c gm -n '__gm_at ping' -s t -l timeout -d 'wait at most DURATION for the answer of a server: 500ms, 10s, 1m' -x
complete -c gm -n '__gm_at ping' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at ping' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at completion' -a 'bash zsh fish powershell'
complete -c gm -n '__gm_at completion' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at completion' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at man' -a 'submit map pipe work tell serve status workers jobs job wait result retry cancel store outbox admin ping completion man version sql'
complete -c gm -n '__gm_at man' -s d -l dir -d 'write all pages into the directory DIR, and create it if necessary' -x -a '(__fish_complete_directories)'
complete -c gm -n '__gm_at man' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at man' -s h -l help -d 'print this help'

complete -c gm -n '__gm_at version' -l color -d 'use colours on a terminal: WHEN is auto, always or never' -x -a 'auto always never'
complete -c gm -n '__gm_at version' -s h -l help -d 'print this help'
