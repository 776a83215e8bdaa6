package cli

import (
	"fmt"
	"slices"
	"strings"
)

// fishCompletion returns the completion for fish 3.
func fishCompletion(verbs []compVerb) string {
	var b strings.Builder
	valued := map[string]bool{}
	for _, v := range verbs {
		for _, f := range v.Flags {
			for _, word := range f.words() {
				if f.Value != "" {
					valued[word] = true
				}
			}
		}
	}
	root := verbs[0]
	words, withValue := root.queryFlagWords()
	for i := range withValue {
		withValue[i] = fishQuote(withValue[i])
	}
	b.WriteString(strings.NewReplacer("VALUED", strings.Join(sortedKeys(valued), " "),
		"QUERY_FLAGS_WITH_VALUE", joinPatterns(withValue, " "),
		"QUERY_FLAGS", joinPatterns(words, " ")).Replace(fishHead))
	fishSources(&b, root.completion)
	b.WriteString("complete -c gm -f\n")
	fmt.Fprintf(&b, "complete -c gm -n '__gm_at_only help'%s\n", fishAction(compChoices, root.pages()))
	for _, v := range verbs {
		at := fmt.Sprintf("complete -c gm -n '__gm_at %s'", v.Path)
		if v.Path == "" || len(v.subs) > 0 {
			at = fmt.Sprintf("complete -c gm -n '__gm_at_only %s'", v.Path)
		}
		b.WriteString("\n")
		for i, name := range v.names() {
			fmt.Fprintf(&b, "%s -a %s -d %s\n", at, name, fishQuote(v.subs[i].usage))
		}
		if action := fishAction(v.args, fishChoices(v, root)); action != "" {
			fmt.Fprintf(&b, "%s%s\n", at, action)
		}
		for _, f := range v.Flags {
			b.WriteString(at)
			for _, name := range f.Names {
				if len(name) == 1 {
					b.WriteString(" -s " + name)
				} else {
					b.WriteString(" -l " + name)
				}
			}
			fmt.Fprintf(&b, " -d %s", fishQuote(f.summary()))
			if f.Value != "" {
				action := fishAction(f.Kind, f.choices)
				if !strings.HasPrefix(action, " -F") {
					b.WriteString(" -x")
				} else {
					b.WriteString(" -r")
				}
				b.WriteString(action)
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

// fishSources writes the functions that propose values of a completion.
func fishSources(b *strings.Builder, c *Completion) {
	for _, q := range c.Queries {
		replace := `'\t.*' ''`
		if q.Field > 1 {
			replace = fmt.Sprintf(`'^%s([^\t]*).*' '$1'`, strings.Repeat(`[^\t]*\t`, q.Field-1))
		}
		fmt.Fprintf(b, "function __gm_%s\n    gm %s (__gm_conn) 2>/dev/null | string replace -r %s\nend\n\n", q.Kind, q.Args, replace)
	}
	if s := c.Sections; s.Kind != "" {
		fmt.Fprintf(b, `function __gm_%[1]s
    set -l file ~/.config/%[4]s
    set -q XDG_CONFIG_HOME; and set file $XDG_CONFIG_HOME/%[4]s
    set -q %[3]s; and set file $%[3]s
    test -r $file; or return
    string replace -rf '^\[%[2]s\.([^\]]*)\].*' '$1' <$file 2>/dev/null | string trim -c '"'
end

`, s.Kind, s.Table, s.Variable, s.Default)
	}
	if u := c.URLs; u.Kind != "" {
		fmt.Fprintf(b, `# URLs, with file names after some schemes.
function __gm_%s
    set -l token (string replace -r '^--[a-z-]+=' '' -- (commandline -ct))
    set -l scheme (string match -r '^(?:%s):' -- $token)
    if test -z "$scheme"
        printf '%%s\n' %s
        return
    end
    set -l rest (string replace -- $scheme '' $token)
    for path in $rest*
        test -d $path; and set path $path/
        echo $scheme$path
    end
end

`, u.Kind, strings.Join(schemeNames(slices.Concat(u.Dirs, u.Files)), "|"), strings.Join(u.schemes(), " "))
	}
}

func fishChoices(v, root compVerb) []string {
	if slices.Equal(v.choices, manPages) {
		return root.pages()
	}
	return v.choices
}

// fishAction returns the options of complete that propose words of the kind.
func fishAction(kind CompKind, choices []string) string {
	switch kind {
	case compChoices:
		return " -a " + fishQuote(strings.Join(choices, " "))
	case CompFiles:
		return " -F"
	case CompDirs:
		return " -a '(__fish_complete_directories)'"
	case compCommand:
		return " -a '(__fish_complete_subcommand)'"
	case compNone:
		return ""
	}
	return " -a '(__gm_" + string(kind) + ")'"
}

func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}

func sortedKeys(set map[string]bool) []string {
	var keys []string
	for key := range set {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

const fishHead = `# fish completion for gm; written by "gm completion fish"

set -g __gm_valued VALUED

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
                case QUERY_FLAGS_WITH_VALUE
                    printf '%s\n' $t
                case QUERY_FLAGS
                    printf '%s\n' $t
                    set next 1
            end
        end
    end
end

`
