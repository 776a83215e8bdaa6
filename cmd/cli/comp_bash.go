package cli

import (
	"fmt"
	"slices"
	"strings"
)

// BashCompletion returns the completion for bash 3.2 and later. It does not need the
// package bash-completion.
func BashCompletion(verbs []compVerb) string {
	var b strings.Builder
	root := verbs[0]
	b.WriteString(bashHead)
	bashSources(&b, root.completion)
	b.WriteString(bashCommand)
	b.WriteString("# _gm_verb VERB: sets its flags, the flags with a value, its subcommands, its arguments.\n_gm_verb() {\n    case $1 in\n")
	for _, v := range verbs {
		bashVerb(&b, v, root)
	}
	b.WriteString("    esac\n}\n\n")
	b.WriteString("# _gm_value VERB FLAG: proposes values of the flag.\n_gm_value() {\n    case $1:$2 in\n")
	for _, v := range verbs {
		for _, f := range v.Flags {
			if f.Kind == compNone {
				continue
			}
			var patterns []string
			for _, word := range f.words() {
				patterns = append(patterns, bashQuote(v.Path+":"+word))
			}
			fmt.Fprintf(&b, "    %s) %s ;;\n", strings.Join(patterns, "|"), bashPropose(f.Kind, f.choices))
		}
	}
	b.WriteString("    esac\n}\n\n")
	words, withValue := root.queryFlagWords()
	b.WriteString(strings.NewReplacer("TOPICS", strings.Join(root.topics, " "), "QUERY_FLAGS_WITH_VALUE", joinPatterns(withValue, " | "),
		"QUERY_FLAGS", joinPatterns(words, " | ")).Replace(bashTail))
	return b.String()
}

// bashSources writes the functions that propose values of a completion.
func bashSources(b *strings.Builder, c *Completion) {
	for _, q := range c.Queries {
		fmt.Fprintf(b, "_gm_%s() { _gm_lines < <(\"${words[0]}\" %s \"${conn[@]}\" 2>/dev/null | cut -f%d); }\n", q.Kind, q.Args, q.Field)
	}
	if s := c.Sections; s.Kind != "" {
		fmt.Fprintf(b, `_gm_%s() {
    _gm_lines < <(sed -n 's/^\[%s\.\([^]]*\)\].*/\1/p' \
        "${%s:-${XDG_CONFIG_HOME:-$HOME/.config}/%s}" 2>/dev/null | tr -d '"')
}
`, s.Kind, s.Table, s.Variable, s.Default)
	}
	if u := c.URLs; u.Kind != "" {
		fmt.Fprintf(b, "_gm_%s() {\n    case $cur in\n", u.Kind)
		for _, paths := range []struct {
			schemes []string
			compgen string
		}{{u.Dirs, "-d"}, {u.Files, "-f"}} {
			if len(paths.schemes) > 0 {
				fmt.Fprintf(b, "    %s*) compopt -o nospace 2>/dev/null; COMPREPLY=($(compgen %s -P \"${cur%%%%:*}:\" -- \"${cur#*:}\")) ;;\n",
					strings.Join(paths.schemes, "* | "), paths.compgen)
			}
		}
		fmt.Fprintf(b, "    *) compopt -o nospace 2>/dev/null; _gm_words %s ;;\n    esac\n}\n", strings.Join(u.schemes(), " "))
	}
}

func bashVerb(b *strings.Builder, v, root compVerb) {
	var flags, valued []string
	for _, f := range v.Flags {
		flags = append(flags, f.words()...)
		if f.Value != "" {
			valued = append(valued, f.words()...)
		}
	}
	choices := v.choices
	if slices.Equal(choices, manPages) {
		choices = root.pages()
	}
	args := "''"
	if v.args != compNone {
		args = bashQuote(bashPropose(v.args, choices))
	}
	end := "''"
	if v.endArgs {
		end = "1"
	}
	fmt.Fprintf(b, "    %s)\n        flags='%s'\n        valued='%s'\n        subs='%s' args=%s ends=%s\n        ;;\n",
		bashQuote(v.Path), strings.Join(flags, " "), strings.Join(valued, " "), strings.Join(v.names(), " "), args, end)
}

// bashPropose returns the command that proposes words of the kind.
func bashPropose(kind CompKind, choices []string) string {
	switch kind {
	case compChoices:
		return "_gm_words " + strings.Join(choices, " ")
	case compNone:
		return ":"
	}
	return "_gm_" + string(kind)
}

func bashQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

const bashHead = `# bash completion for gm; written by "gm completion bash"

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
`

const bashCommand = `
# A command line of its own: a command, then files.
_gm_command() {
    if [[ $nargs == 0 ]]; then COMPREPLY=($(compgen -c -- "$cur")); else _gm_files; fi
}

`

const bashTail = `_gm() {
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
            case $w in QUERY_FLAGS_WITH_VALUE) conn+=("$w") ;; esac
            if [[ " $valued " == *" $w "* ]]; then
                flag=$w
                i=$((i + 1))
                if ((i < n)); then
                    case $flag in QUERY_FLAGS) conn+=("$flag" "${words[i]}") ;; esac
                    flag=''
                fi
            fi
        elif [[ $subs ]]; then
            if [[ $w == help && ! $path ]]; then
                subs+=' TOPICS'
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
`
