# bash completion for gm; written by "gm completion bash"

_gm_words() { COMPREPLY=($(compgen -W "$*" -- "$cur")); }
_gm_files() { compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")); }
_gm_dirs() { compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- "$cur")); }

# Reads names from lines. Names with blanks or unusual characters are left out.
_gm_lines() {
    local line
    while IFS= read -r line; do
        [[ $line == "$cur"* && $line =~ ^[[:alnum:]_.:/@%+,=-]+$ ]] && COMPREPLY+=("$line")
    done
}
_gm_functions() { _gm_lines < <("${words[0]}" status -o tsv -t 300 "${conn[@]}" 2>/dev/null | cut -f1); }
_gm_handles() { _gm_lines < <("${words[0]}" jobs -o tsv -t 300 "${conn[@]}" 2>/dev/null | cut -f2); }
_gm_dead() { _gm_lines < <("${words[0]}" jobs --dead -o tsv -t 300 "${conn[@]}" 2>/dev/null | cut -f2); }
_gm_contexts() {
    _gm_lines < <(sed -n 's/^\[contexts\.\([^]]*\)\].*/\1/p' \
        "${GM_CONFIG:-${XDG_CONFIG_HOME:-$HOME/.config}/gm/config.toml}" 2>/dev/null | tr -d '"')
}
_gm_stores() {
    case $cur in
    disk:*) compopt -o nospace 2>/dev/null; COMPREPLY=($(compgen -d -P "${cur%%:*}:" -- "${cur#*:}")) ;;
    sqlite:* | tokyocabinet:*) compopt -o nospace 2>/dev/null; COMPREPLY=($(compgen -f -P "${cur%%:*}:" -- "${cur#*:}")) ;;
    *) compopt -o nospace 2>/dev/null; _gm_words disk: sqlite: tokyocabinet: postgres:// mysql:// redis:// memcached:// ;;
    esac
}

# A command line of its own: a command, then files.
_gm_command() {
    if [[ $nargs == 0 ]]; then COMPREPLY=($(compgen -c -- "$cur")); else _gm_files; fi
}

# _gm_verb VERB: sets its flags, the flags with a value, its subcommands, its arguments.
_gm_verb() {
    case $1 in
    '')
        flags='-s --server -p --port --context --trace --color -h --help --version'
        valued='-s --server -p --port --context --trace --color'
        subs='submit map pipe work tell serve status workers jobs job wait result retry cancel store outbox admin ping completion man version' args='' ends=''
        ;;
    'submit')
        flags='-f --function --first --reducer -u --unique -I --high -L --low -t --timeout --require-worker --status -k --keep-order --tag --line-buffer -P --prefix --out --out-anywhere --results -b --background -q --quiet --in --at -n --each-line --lines -N --stripped -0 --null -d --delimiter --block --csv --tsv --header --files --end -j --jobs --max-buffer --joblog --resume --new-output --retry-failed --dry-run --retries --halt --reconnect --propagate --bar --eta --progress -o --output -s --server -p --port --context --trace --max-payload --color -h --help'
        valued='-f --function --reducer -u --unique -t --timeout --out --results --in --at --lines -d --delimiter --block --header --end -j --jobs --max-buffer --joblog --retries --halt --reconnect --progress -o --output -s --server -p --port --context --trace --max-payload --color'
        subs='' args='_gm_files' ends=''
        ;;
    'map')
        flags='-f --function --reduce --arity -u --unique -I --high -L --low -t --timeout --require-worker --status -b --background -q --quiet --tier --unordered --tag --line-buffer -P --prefix --out --out-anywhere --results -n --each-line --lines -N --stripped -0 --null -d --delimiter --block --csv --tsv --header --files --end -j --jobs --max-buffer --joblog --resume --new-output --retry-failed --dry-run --retries --halt --reconnect --propagate --bar --eta --progress -o --output -s --server -p --port --context --trace --max-payload --color -h --help'
        valued='-f --function --reduce --arity -u --unique -t --timeout --tier --out --results --lines -d --delimiter --block --header --end -j --jobs --max-buffer --joblog --retries --halt --reconnect --progress -o --output -s --server -p --port --context --trace --max-payload --color'
        subs='' args='_gm_files' ends=''
        ;;
    'pipe')
        flags='-u --unique -I --high -L --low -t --timeout --require-worker --status --unordered --tag --line-buffer -P --prefix --out --out-anywhere --results -n --each-line --lines -N --stripped -0 --null -d --delimiter --block --csv --tsv --header --files --end -j --jobs --max-buffer --joblog --resume --new-output --retry-failed --dry-run --retries --halt --reconnect --propagate --bar --eta --progress -o --output -s --server -p --port --context --trace --max-payload --color -h --help'
        valued='-u --unique -t --timeout --out --results --lines -d --delimiter --block --header --end -j --jobs --max-buffer --joblog --retries --halt --reconnect --progress -o --output -s --server -p --port --context --trace --max-payload --color'
        subs='' args='_gm_functions' ends=''
        ;;
    'work')
        flags='-f --function --dir -j --jobs -c --count --until-empty --idle -i --id -v --verbose --shell -t --timeout --kill-after --stream -n --lines --exception --attempts --keep --max-jobs --max-age --max-rss --next --on-fail --next-priority -s --server -p --port --context --trace --max-payload --color -h --help'
        valued='-f --function --dir -j --jobs -c --count --idle -i --id -t --timeout --kill-after --max-jobs --max-age --max-rss --next --on-fail --next-priority -s --server -p --port --context --trace --max-payload --color'
        subs='' args='_gm_command' ends=1
        ;;
    'tell')
        flags='--color -h --help'
        valued='--color'
        subs='status warn data' args='' ends=''
        ;;
    'tell status')
        flags='--color -h --help'
        valued='--color'
        subs='' args='' ends=''
        ;;
    'tell warn')
        flags='--color -h --help'
        valued='--color'
        subs='' args='' ends=''
        ;;
    'tell data')
        flags='--color -h --help'
        valued='--color'
        subs='' args='' ends=''
        ;;
    'serve')
        flags='-L --listen -p --port --print-port --keepalive --user-timeout --store --data --sync --store-wait --store-timeout --memory --retry --dead-max --dead-age --keep-results --results-memory -j --job-retries -R --round-robin --exceptions -w --worker-wakeup --forget-functions --host --drain-timeout --outbox --work --work-jobs --max-payload --max-outbox --peer-timeout --log-level -v --verbose --log-format -l --log-file --syslog --trace -d --daemon -u --user -P --pid-file --config-file --color -h --help'
        valued='-L --listen -p --port --user-timeout --store --data --sync --store-wait --store-timeout --memory --retry --dead-max --dead-age --keep-results --results-memory -j --job-retries -w --worker-wakeup --forget-functions --host --drain-timeout --outbox --work --work-jobs --max-payload --max-outbox --peer-timeout --log-level --log-format -l --log-file --trace -u --user -P --pid-file --config-file --color'
        subs='' args='' ends=''
        ;;
    'status')
        flags='--by-server -w --watch -i --interval -c --count -o --output -s --server -p --port --context --trace -t --timeout --color -h --help'
        valued='-i --interval -c --count -o --output -s --server -p --port --context --trace -t --timeout --color'
        subs='' args='_gm_functions' ends=''
        ;;
    'workers')
        flags='-a --all -w --watch -i --interval -c --count -o --output -s --server -p --port --context --trace -t --timeout --color -h --help'
        valued='-i --interval -c --count -o --output -s --server -p --port --context --trace -t --timeout --color'
        subs='' args='_gm_functions' ends=''
        ;;
    'jobs')
        flags='-f --function --state --dead -n --limit -o --output -s --server -p --port --context --trace -t --timeout --color -h --help'
        valued='-f --function --state -n --limit -o --output -s --server -p --port --context --trace -t --timeout --color'
        subs='' args='_gm_functions' ends=''
        ;;
    'job')
        flags='--payload --follow -o --output -s --server -p --port --context --trace -t --timeout --color -h --help'
        valued='-o --output -s --server -p --port --context --trace -t --timeout --color'
        subs='' args='_gm_handles' ends=''
        ;;
    'wait')
        flags='-f --function --match -a --all -o --output -t --timeout -s --server -p --port --context --trace --color -h --help'
        valued='-f --function --match -o --output -t --timeout -s --server -p --port --context --trace --color'
        subs='' args='_gm_handles' ends=''
        ;;
    'result')
        flags='-s --server -p --port --context --trace -t --timeout --color -h --help'
        valued='-s --server -p --port --context --trace -t --timeout --color'
        subs='' args='_gm_handles' ends=''
        ;;
    'retry')
        flags='-f --function --match -a --all -o --output -s --server -p --port --context --trace -t --timeout --color -h --help'
        valued='-f --function --match -o --output -s --server -p --port --context --trace -t --timeout --color'
        subs='' args='_gm_dead' ends=''
        ;;
    'cancel')
        flags='--running -f --function --match -a --all -o --output -s --server -p --port --context --trace -t --timeout --color -h --help'
        valued='-f --function --match -o --output -s --server -p --port --context --trace -t --timeout --color'
        subs='' args='_gm_handles' ends=''
        ;;
    'store')
        flags='--color -h --help'
        valued='--color'
        subs='check compact dump load' args='' ends=''
        ;;
    'store check')
        flags='--color -h --help'
        valued='--color'
        subs='' args='_gm_stores' ends=''
        ;;
    'store compact')
        flags='--color -h --help'
        valued='--color'
        subs='' args='_gm_stores' ends=''
        ;;
    'store dump')
        flags='--color -h --help'
        valued='--color'
        subs='' args='_gm_stores' ends=''
        ;;
    'store load')
        flags='--merge --partial -o --output --color -h --help'
        valued='-o --output --color'
        subs='' args='_gm_stores' ends=''
        ;;
    'outbox')
        flags='--color -h --help'
        valued='--color'
        subs='install trigger run status dead retry purge' args='' ends=''
        ;;
    'outbox install')
        flags='--print --notify --color -h --help'
        valued='--color'
        subs='' args='_gm_stores' ends=''
        ;;
    'outbox trigger')
        flags='--table --on -f --function --columns --binary --json --job-priority --for --install --name --outbox --color -h --help'
        valued='--table --on -f --function --columns --binary --job-priority --for --name --outbox --color'
        subs='' args='_gm_stores' ends=''
        ;;
    'outbox run')
        flags='--max-attempts --batch -s --server -p --port --context --trace --color -h --help'
        valued='--max-attempts --batch -s --server -p --port --context --trace --color'
        subs='' args='_gm_stores' ends=''
        ;;
    'outbox status')
        flags='--max-waiting --max-age --max-dead -o --output --color -h --help'
        valued='--max-waiting --max-age --max-dead -o --output --color'
        subs='' args='_gm_stores' ends=''
        ;;
    'outbox dead')
        flags='-n --limit -o --output --color -h --help'
        valued='-n --limit -o --output --color'
        subs='' args='_gm_stores' ends=''
        ;;
    'outbox retry')
        flags='--all --color -h --help'
        valued='--color'
        subs='' args='_gm_stores' ends=''
        ;;
    'outbox purge')
        flags='--all -y --yes --color -h --help'
        valued='--color'
        subs='' args='_gm_stores' ends=''
        ;;
    'admin')
        flags='-s --server -p --port --context --trace -t --timeout --color -h --help'
        valued='-s --server -p --port --context --trace -t --timeout --color'
        subs='version pid verbose create drop maxqueue pause resume purge front policy shutdown show-jobs show-unique-jobs help' args='' ends=''
        ;;
    'admin version')
        flags='-o --output -s --server -p --port --context --trace -t --timeout --color -h --help'
        valued='-o --output -s --server -p --port --context --trace -t --timeout --color'
        subs='' args='' ends=''
        ;;
    'admin pid')
        flags='-o --output -s --server -p --port --context --trace -t --timeout --color -h --help'
        valued='-o --output -s --server -p --port --context --trace -t --timeout --color'
        subs='' args='' ends=''
        ;;
    'admin verbose')
        flags='-o --output -s --server -p --port --context --trace -t --timeout --color -h --help'
        valued='-o --output -s --server -p --port --context --trace -t --timeout --color'
        subs='' args='' ends=''
        ;;
    'admin create')
        flags='-s --server -p --port --context --trace -t --timeout --color -h --help'
        valued='-s --server -p --port --context --trace -t --timeout --color'
        subs='' args='_gm_functions' ends=''
        ;;
    'admin drop')
        flags='-y --yes -s --server -p --port --context --trace -t --timeout --color -h --help'
        valued='-s --server -p --port --context --trace -t --timeout --color'
        subs='' args='_gm_functions' ends=''
        ;;
    'admin maxqueue')
        flags='-s --server -p --port --context --trace -t --timeout --color -h --help'
        valued='-s --server -p --port --context --trace -t --timeout --color'
        subs='' args='_gm_functions' ends=''
        ;;
    'admin pause')
        flags='-s --server -p --port --context --trace -t --timeout --color -h --help'
        valued='-s --server -p --port --context --trace -t --timeout --color'
        subs='' args='_gm_functions' ends=''
        ;;
    'admin resume')
        flags='-s --server -p --port --context --trace -t --timeout --color -h --help'
        valued='-s --server -p --port --context --trace -t --timeout --color'
        subs='' args='_gm_functions' ends=''
        ;;
    'admin purge')
        flags='-y --yes --dead -o --output -s --server -p --port --context --trace -t --timeout --color -h --help'
        valued='-o --output -s --server -p --port --context --trace -t --timeout --color'
        subs='' args='_gm_functions' ends=''
        ;;
    'admin front')
        flags='-s --server -p --port --context --trace -t --timeout --color -h --help'
        valued='-s --server -p --port --context --trace -t --timeout --color'
        subs='' args='_gm_handles' ends=''
        ;;
    'admin policy')
        flags='-o --output -s --server -p --port --context --trace -t --timeout --color -h --help'
        valued='-o --output -s --server -p --port --context --trace -t --timeout --color'
        subs='' args='_gm_functions' ends=''
        ;;
    'admin shutdown')
        flags='-g --graceful -y --yes -s --server -p --port --context --trace -t --timeout --color -h --help'
        valued='-s --server -p --port --context --trace -t --timeout --color'
        subs='' args='' ends=''
        ;;
    'admin show-jobs')
        flags='-o --output -s --server -p --port --context --trace -t --timeout --color -h --help'
        valued='-o --output -s --server -p --port --context --trace -t --timeout --color'
        subs='' args='' ends=''
        ;;
    'admin show-unique-jobs')
        flags='-o --output -s --server -p --port --context --trace -t --timeout --color -h --help'
        valued='-o --output -s --server -p --port --context --trace -t --timeout --color'
        subs='' args='' ends=''
        ;;
    'admin help')
        flags='-o --output -s --server -p --port --context --trace -t --timeout --color -h --help'
        valued='-o --output -s --server -p --port --context --trace -t --timeout --color'
        subs='' args='' ends=''
        ;;
    'ping')
        flags='-c --count -i --interval -o --output -s --server -p --port --context --trace -t --timeout --color -h --help'
        valued='-c --count -i --interval -o --output -s --server -p --port --context --trace -t --timeout --color'
        subs='' args='' ends=''
        ;;
    'completion')
        flags='--color -h --help'
        valued='--color'
        subs='' args='_gm_words bash zsh fish powershell' ends=''
        ;;
    'man')
        flags='-d --dir --color -h --help'
        valued='-d --dir --color'
        subs='' args='_gm_words submit map pipe work tell serve status workers jobs job wait result retry cancel store outbox admin ping completion man version sql' ends=''
        ;;
    'version')
        flags='--color -h --help'
        valued='--color'
        subs='' args='' ends=''
        ;;
    esac
}

# _gm_value VERB FLAG: proposes values of the flag.
_gm_value() {
    case $1:$2 in
    ':--context') _gm_contexts ;;
    ':--trace') _gm_files ;;
    ':--color') _gm_words auto always never ;;
    'submit:-f'|'submit:--function') _gm_functions ;;
    'submit:--reducer') _gm_functions ;;
    'submit:--results') _gm_dirs ;;
    'submit:--joblog') _gm_files ;;
    'submit:--halt') _gm_words never now,fail=1 soon,fail=1 soon,fail=10% ;;
    'submit:--progress') _gm_words json ;;
    'submit:-o'|'submit:--output') _gm_words json jsonl ;;
    'submit:--context') _gm_contexts ;;
    'submit:--trace') _gm_files ;;
    'submit:--color') _gm_words auto always never ;;
    'map:-f'|'map:--function') _gm_functions ;;
    'map:--reduce') _gm_functions ;;
    'map:--results') _gm_dirs ;;
    'map:--joblog') _gm_files ;;
    'map:--halt') _gm_words never now,fail=1 soon,fail=1 soon,fail=10% ;;
    'map:--progress') _gm_words json ;;
    'map:-o'|'map:--output') _gm_words json jsonl ;;
    'map:--context') _gm_contexts ;;
    'map:--trace') _gm_files ;;
    'map:--color') _gm_words auto always never ;;
    'pipe:--results') _gm_dirs ;;
    'pipe:--joblog') _gm_files ;;
    'pipe:--halt') _gm_words never now,fail=1 soon,fail=1 soon,fail=10% ;;
    'pipe:--progress') _gm_words json ;;
    'pipe:-o'|'pipe:--output') _gm_words json jsonl ;;
    'pipe:--context') _gm_contexts ;;
    'pipe:--trace') _gm_files ;;
    'pipe:--color') _gm_words auto always never ;;
    'work:-f'|'work:--function') _gm_functions ;;
    'work:--dir') _gm_dirs ;;
    'work:--next') _gm_functions ;;
    'work:--on-fail') _gm_functions ;;
    'work:--next-priority') _gm_words high normal low same ;;
    'work:--context') _gm_contexts ;;
    'work:--trace') _gm_files ;;
    'work:--color') _gm_words auto always never ;;
    'tell:--color') _gm_words auto always never ;;
    'tell status:--color') _gm_words auto always never ;;
    'tell warn:--color') _gm_words auto always never ;;
    'tell data:--color') _gm_words auto always never ;;
    'serve:--store') _gm_stores ;;
    'serve:--data') _gm_dirs ;;
    'serve:--sync') _gm_words always interval never ;;
    'serve:--outbox') _gm_stores ;;
    'serve:--log-level') _gm_words debug info warn error ;;
    'serve:--log-format') _gm_words text json ;;
    'serve:-l'|'serve:--log-file') _gm_files ;;
    'serve:--trace') _gm_files ;;
    'serve:-P'|'serve:--pid-file') _gm_files ;;
    'serve:--config-file') _gm_files ;;
    'serve:--color') _gm_words auto always never ;;
    'status:-o'|'status:--output') _gm_words table tsv json jsonl ;;
    'status:--context') _gm_contexts ;;
    'status:--trace') _gm_files ;;
    'status:--color') _gm_words auto always never ;;
    'workers:-o'|'workers:--output') _gm_words table tsv json jsonl ;;
    'workers:--context') _gm_contexts ;;
    'workers:--trace') _gm_files ;;
    'workers:--color') _gm_words auto always never ;;
    'jobs:-f'|'jobs:--function') _gm_functions ;;
    'jobs:--state') _gm_words waiting delayed running dead ;;
    'jobs:-o'|'jobs:--output') _gm_words table tsv json jsonl ;;
    'jobs:--context') _gm_contexts ;;
    'jobs:--trace') _gm_files ;;
    'jobs:--color') _gm_words auto always never ;;
    'job:-o'|'job:--output') _gm_words table tsv json jsonl ;;
    'job:--context') _gm_contexts ;;
    'job:--trace') _gm_files ;;
    'job:--color') _gm_words auto always never ;;
    'wait:-f'|'wait:--function') _gm_functions ;;
    'wait:-o'|'wait:--output') _gm_words table tsv json jsonl ;;
    'wait:--context') _gm_contexts ;;
    'wait:--trace') _gm_files ;;
    'wait:--color') _gm_words auto always never ;;
    'result:--context') _gm_contexts ;;
    'result:--trace') _gm_files ;;
    'result:--color') _gm_words auto always never ;;
    'retry:-f'|'retry:--function') _gm_functions ;;
    'retry:-o'|'retry:--output') _gm_words table tsv json jsonl ;;
    'retry:--context') _gm_contexts ;;
    'retry:--trace') _gm_files ;;
    'retry:--color') _gm_words auto always never ;;
    'cancel:-f'|'cancel:--function') _gm_functions ;;
    'cancel:-o'|'cancel:--output') _gm_words table tsv json jsonl ;;
    'cancel:--context') _gm_contexts ;;
    'cancel:--trace') _gm_files ;;
    'cancel:--color') _gm_words auto always never ;;
    'store:--color') _gm_words auto always never ;;
    'store check:--color') _gm_words auto always never ;;
    'store compact:--color') _gm_words auto always never ;;
    'store dump:--color') _gm_words auto always never ;;
    'store load:-o'|'store load:--output') _gm_words table tsv json jsonl ;;
    'store load:--color') _gm_words auto always never ;;
    'outbox:--color') _gm_words auto always never ;;
    'outbox install:--color') _gm_words auto always never ;;
    'outbox trigger:--on') _gm_words insert update delete ;;
    'outbox trigger:-f'|'outbox trigger:--function') _gm_functions ;;
    'outbox trigger:--job-priority') _gm_words high normal low ;;
    'outbox trigger:--for') _gm_words postgres mysql ;;
    'outbox trigger:--color') _gm_words auto always never ;;
    'outbox run:--context') _gm_contexts ;;
    'outbox run:--trace') _gm_files ;;
    'outbox run:--color') _gm_words auto always never ;;
    'outbox status:-o'|'outbox status:--output') _gm_words table tsv json jsonl ;;
    'outbox status:--color') _gm_words auto always never ;;
    'outbox dead:-o'|'outbox dead:--output') _gm_words table tsv json jsonl ;;
    'outbox dead:--color') _gm_words auto always never ;;
    'outbox retry:--color') _gm_words auto always never ;;
    'outbox purge:--color') _gm_words auto always never ;;
    'admin:--context') _gm_contexts ;;
    'admin:--trace') _gm_files ;;
    'admin:--color') _gm_words auto always never ;;
    'admin version:-o'|'admin version:--output') _gm_words table tsv json jsonl ;;
    'admin version:--context') _gm_contexts ;;
    'admin version:--trace') _gm_files ;;
    'admin version:--color') _gm_words auto always never ;;
    'admin pid:-o'|'admin pid:--output') _gm_words table tsv json jsonl ;;
    'admin pid:--context') _gm_contexts ;;
    'admin pid:--trace') _gm_files ;;
    'admin pid:--color') _gm_words auto always never ;;
    'admin verbose:-o'|'admin verbose:--output') _gm_words table tsv json jsonl ;;
    'admin verbose:--context') _gm_contexts ;;
    'admin verbose:--trace') _gm_files ;;
    'admin verbose:--color') _gm_words auto always never ;;
    'admin create:--context') _gm_contexts ;;
    'admin create:--trace') _gm_files ;;
    'admin create:--color') _gm_words auto always never ;;
    'admin drop:--context') _gm_contexts ;;
    'admin drop:--trace') _gm_files ;;
    'admin drop:--color') _gm_words auto always never ;;
    'admin maxqueue:--context') _gm_contexts ;;
    'admin maxqueue:--trace') _gm_files ;;
    'admin maxqueue:--color') _gm_words auto always never ;;
    'admin pause:--context') _gm_contexts ;;
    'admin pause:--trace') _gm_files ;;
    'admin pause:--color') _gm_words auto always never ;;
    'admin resume:--context') _gm_contexts ;;
    'admin resume:--trace') _gm_files ;;
    'admin resume:--color') _gm_words auto always never ;;
    'admin purge:-o'|'admin purge:--output') _gm_words table tsv json jsonl ;;
    'admin purge:--context') _gm_contexts ;;
    'admin purge:--trace') _gm_files ;;
    'admin purge:--color') _gm_words auto always never ;;
    'admin front:--context') _gm_contexts ;;
    'admin front:--trace') _gm_files ;;
    'admin front:--color') _gm_words auto always never ;;
    'admin policy:-o'|'admin policy:--output') _gm_words table tsv json jsonl ;;
    'admin policy:--context') _gm_contexts ;;
    'admin policy:--trace') _gm_files ;;
    'admin policy:--color') _gm_words auto always never ;;
    'admin shutdown:--context') _gm_contexts ;;
    'admin shutdown:--trace') _gm_files ;;
    'admin shutdown:--color') _gm_words auto always never ;;
    'admin show-jobs:-o'|'admin show-jobs:--output') _gm_words table tsv json jsonl ;;
    'admin show-jobs:--context') _gm_contexts ;;
    'admin show-jobs:--trace') _gm_files ;;
    'admin show-jobs:--color') _gm_words auto always never ;;
    'admin show-unique-jobs:-o'|'admin show-unique-jobs:--output') _gm_words table tsv json jsonl ;;
    'admin show-unique-jobs:--context') _gm_contexts ;;
    'admin show-unique-jobs:--trace') _gm_files ;;
    'admin show-unique-jobs:--color') _gm_words auto always never ;;
    'admin help:-o'|'admin help:--output') _gm_words table tsv json jsonl ;;
    'admin help:--context') _gm_contexts ;;
    'admin help:--trace') _gm_files ;;
    'admin help:--color') _gm_words auto always never ;;
    'ping:-o'|'ping:--output') _gm_words table tsv json jsonl ;;
    'ping:--context') _gm_contexts ;;
    'ping:--trace') _gm_files ;;
    'ping:--color') _gm_words auto always never ;;
    'completion:--color') _gm_words auto always never ;;
    'man:-d'|'man:--dir') _gm_dirs ;;
    'man:--color') _gm_words auto always never ;;
    'version:--color') _gm_words auto always never ;;
    esac
}

_gm() {
    # Split words at blanks only; bash splits at : and = as well.
    local line=${COMP_LINE:0:COMP_POINT} words cur
    read -ra words <<<"$line"
    [[ $line == *[[:blank:]] ]] && words+=('')
    local n=$((${#words[@]} - 1))
    cur=${words[n]}

    local path='' flag='' nargs=0 rest='' conn=() i w flags valued subs args ends
    _gm_verb ''
    for ((i = 1; i < n; i++)); do
        w=${words[i]} flag=''
        if [[ $rest ]]; then
            nargs=$((nargs + 1))
        elif [[ $w == -- ]]; then
            rest=1
        elif [[ $w == -* ]]; then
            case $w in --server=* | --port=* | --context=*) conn+=("$w") ;; esac
            if [[ " $valued " == *" $w "* ]]; then
                flag=$w
                i=$((i + 1))
                if ((i < n)); then
                    case $flag in -s | --server | -p | --port | --context) conn+=("$flag" "${words[i]}") ;; esac
                    flag=''
                fi
            fi
        elif [[ $subs ]]; then
            if [[ $w == help && ! $path ]]; then
                subs+=' sql'
            elif [[ $w != help ]]; then
                path=${path:+$path }$w flags='' valued='' subs='' args='' ends=''
                _gm_verb "$path"
            fi
        else
            nargs=$((nargs + 1))
            [[ $ends ]] && rest=1
        fi
    done

    COMPREPLY=()
    if [[ $flag ]]; then
        _gm_value "$path" "$flag"
    elif [[ ! $rest && $cur == --*=* ]]; then
        flag=${cur%%=*} cur=${cur#*=}
        _gm_value "$path" "$flag"
    elif [[ ! $rest && $cur == -* ]]; then
        _gm_words $flags
    elif [[ $subs ]]; then
        _gm_words $subs
    elif [[ $args ]]; then
        $args
    fi

    # bash replaces only the text after the last : or =.
    local cut=${cur%"${cur##*[:=]}"}
    if [[ $cut && $COMP_WORDBREAKS == *[:=]* ]]; then
        for i in "${!COMPREPLY[@]}"; do COMPREPLY[i]=${COMPREPLY[i]#"$cut"}; done
    fi
}
complete -o bashdefault -F _gm gm
