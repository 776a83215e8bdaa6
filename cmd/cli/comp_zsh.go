package cli

import (
	"fmt"
	"slices"
	"strings"
)

// zshCompletion returns the completion for zsh, with a function for each verb.
func zshCompletion(verbs []compVerb) string {
	var b strings.Builder
	root := verbs[0]
	words, withValue := root.queryFlagWords()
	b.WriteString(strings.NewReplacer("QUERY_FLAGS_WITH_VALUE", joinPatterns(withValue, "|"),
		"QUERY_FLAGS", joinPatterns(words, "|")).Replace(zshHead))
	zshSources(&b, root.completion)
	for _, v := range verbs {
		zshVerb(&b, v, root)
	}
	b.WriteString(zshTail)
	return b.String()
}

// zshSources writes the functions that propose values of a completion.
func zshSources(b *strings.Builder, c *Completion) {
	for _, q := range c.Queries {
		cut := fmt.Sprintf("$(_call_program %s gm %s ${(q)reply} 2>/dev/null)", q.Kind, q.Args)
		cut = `${(f)"` + cut + `"}`
		for range q.Field - 1 {
			cut = "${" + cut + `#*$'\t'}`
		}
		fmt.Fprintf(b, "_gm__%s() {\n    local -a reply names\n    _gm__conn\n    names=(${%s%%%%$'\\t'*})\n    compadd -a names\n}\n\n", q.Kind, cut)
	}
	if s := c.Sections; s.Kind != "" {
		fmt.Fprintf(b, `_gm__%s() {
    local -a names
    names=(${(f)"$(sed -n 's/^\[%s\.\([^]]*\)\].*/\1/p' ${%s:-${XDG_CONFIG_HOME:-$HOME/.config}/%s} 2>/dev/null | tr -d '"')"})
    compadd -a names
}

`, s.Kind, s.Table, s.Variable, s.Default)
	}
	if u := c.URLs; u.Kind != "" {
		fmt.Fprintf(b, `_gm__%s() {
    if compset -P '(%s):'; then
        _files -/
    elif compset -P '(%s):'; then
        _files
    else
        compadd -S '' -- %s
    fi
}

`, u.Kind, strings.Join(schemeNames(u.Dirs), "|"), strings.Join(schemeNames(u.Files), "|"), strings.Join(u.schemes(), " "))
	}
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
	if v.Path == "" {
		fmt.Fprintf(b, "        help) _arguments %s ;;\n", zshQuote("*:topic:"+zshAction(compChoices, v.pages())))
	}
	b.WriteString("        esac\n        ;;\n    esac\n}\n\n")
}

func zshFunction(path string) string {
	if path == "" {
		return "_gm"
	}
	return "_gm_" + strings.NewReplacer(" ", "_", "-", "_").Replace(path)
}

// zshFlag returns the specification of a flag for _arguments. Every flag can be repeated:
// a verb uses its last value, or all values.
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
	if slices.Equal(choices, manPages) {
		choices = root.pages()
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
	case CompFiles:
		return "_files"
	case CompDirs:
		return "_files -/"
	case compNone, compCommand:
		return " "
	}
	return "_gm__" + string(kind)
}

func zshQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

const zshHead = `#compdef gm
# zsh completion for gm; written by "gm completion zsh"

# The flags of the command line that gm needs to list values.
_gm__conn() {
    reply=()
    local i
    local -a all
    all=(${(Q)${(z)BUFFER}})
    for ((i = 1; i < $#all; i++)); do
        case $all[i] in
        QUERY_FLAGS_WITH_VALUE) reply+=($all[i]) ;;
        QUERY_FLAGS) reply+=($all[i] $all[i+1]) ;;
        esac
    done
}

`

const zshTail = `if [[ $funcstack[1] == _gm ]]; then
    _gm "$@"
else
    compdef _gm gm
fi
`
