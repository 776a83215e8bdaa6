package cli

import (
	"fmt"
	"slices"
	"strings"
)

// zshCompletion returns the completion for zsh, with a function for each verb.
func zshCompletion(verbs []compVerb) string {
	var b strings.Builder
	b.WriteString(strings.Replace(zshHead, "STORES", strings.Join(storeSchemes, " "), 1))
	for _, v := range verbs {
		zshVerb(&b, v, verbs[0])
	}
	b.WriteString(zshTail)
	return b.String()
}

func zshVerb(b *strings.Builder, v, root compVerb) {
	fmt.Fprintf(b, "%s() {\n", zshFunction(v.Path))
	options := "-s -S"
	if v.endArgs {
		options = "-s -S -A '-*'"
	}
	if len(v.subs) > 0 {
		b.WriteString("    local curcontext=$curcontext state line verbs\n    local -A opt_args\n")
		options += " -C"
	}
	fmt.Fprintf(b, "    _arguments %s", options)
	for _, f := range v.Flags {
		fmt.Fprintf(b, " \\\n        %s", zshFlag(f))
	}
	if len(v.subs) == 0 {
		fmt.Fprintf(b, "%s\n}\n\n", zshArgs(v, root))
		return
	}
	b.WriteString(" \\\n        '(-)1: :->verb' \\\n        '(-)*:: :->args'\n    case $state in\n    verb)\n        verbs=(\n")
	for i, name := range v.names() {
		fmt.Fprintf(b, "            %s\n", zshQuote(name+":"+v.subs[i].usage))
	}
	b.WriteString("        )\n        _describe -t verbs verb verbs\n        ;;\n    args)\n        case $line[1] in\n")
	for i, name := range v.names() {
		fmt.Fprintf(b, "        %s) %s ;;\n", name, zshFunction(v.subs[i].Path))
	}
	b.WriteString("        esac\n        ;;\n    esac\n}\n\n")
}

func zshFunction(path string) string {
	if path == "" {
		return "_gm"
	}
	return "_gm_" + strings.NewReplacer(" ", "_", "-", "_").Replace(path)
}

// zshFlag returns the specification of a flag for _arguments. Every flag may be repeated:
// gm uses the last value, or all.
func zshFlag(f compFlag) string {
	text := strings.NewReplacer(`\`, `\\`, "[", `\[`, "]", `\]`).Replace(f.summary())
	var specs []string
	for _, word := range f.words() {
		switch {
		case f.Value == "":
		case strings.HasPrefix(word, "--"):
			word += "="
		default:
			word += "+"
		}
		spec := "*" + word + "[" + text + "]"
		if f.Value != "" {
			spec += ":" + strings.ReplaceAll(strings.ToLower(f.Value), ":", `\:`) + ":" + zshAction(f.Kind, f.choices)
		}
		specs = append(specs, zshQuote(spec))
	}
	return strings.Join(specs, " ")
}

func zshArgs(v, root compVerb) string {
	choices := v.choices
	if slices.Equal(choices, manVerbs) {
		choices = root.names()
	}
	switch v.args {
	case compNone:
		return ""
	case compCommand:
		return " \\\n        '(-)1:command: _command_names -e' \\\n        '*::arguments: _normal'"
	}
	return " \\\n        " + zshQuote("*:"+string(v.args)+":"+zshAction(v.args, choices))
}

func zshAction(kind CompKind, choices []string) string {
	switch kind {
	case compChoices:
		return "(" + strings.Join(choices, " ") + ")"
	case CompFunctions:
		return "_gm__functions"
	case compHandles:
		return "_gm__handles"
	case compDead:
		return "_gm__dead"
	case compContexts:
		return "_gm__contexts"
	case CompStores:
		return "_gm__stores"
	case CompFiles:
		return "_files"
	case CompDirs:
		return "_files -/"
	}
	return " "
}

func zshQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

const zshHead = `#compdef gm
# zsh completion for gm; written by "gm completion zsh"

# The flags of the command line that name servers.
_gm__conn() {
    reply=()
    local i
    local -a all
    all=(${(Q)${(z)BUFFER}})
    for ((i = 1; i < $#all; i++)); do
        case $all[i] in
        --server=*|--port=*|--context=*) reply+=($all[i]) ;;
        -s|--server|-p|--port|--context) reply+=($all[i] $all[i+1]) ;;
        esac
    done
}

_gm__functions() {
    local -a reply names
    _gm__conn
    names=(${${(f)"$(_call_program functions gm status -o tsv -t 300 ${(q)reply} 2>/dev/null)"}%%$'\t'*})
    compadd -a names
}

_gm__handles() {
    local -a reply names
    _gm__conn
    names=(${${${(f)"$(_call_program handles gm jobs -o tsv -t 300 ${(q)reply} 2>/dev/null)"}#*$'\t'}%%$'\t'*})
    compadd -a names
}

_gm__dead() {
    local -a reply names
    _gm__conn
    names=(${${${(f)"$(_call_program dead gm jobs --dead -o tsv -t 300 ${(q)reply} 2>/dev/null)"}#*$'\t'}%%$'\t'*})
    compadd -a names
}

_gm__contexts() {
    local -a names
    names=(${(f)"$(sed -n 's/^\[contexts\.\([^]]*\)\].*/\1/p' ${GM_CONFIG:-${XDG_CONFIG_HOME:-$HOME/.config}/gm/config.toml} 2>/dev/null | tr -d '"')"})
    compadd -a names
}

_gm__stores() {
    if compset -P 'disk:'; then
        _files -/
    elif compset -P '(sqlite|tokyocabinet):'; then
        _files
    else
        compadd -S '' -- STORES
    fi
}

`

const zshTail = `if [[ $funcstack[1] == _gm ]]; then
    _gm "$@"
else
    compdef _gm gm
fi
`
