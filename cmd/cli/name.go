package cli

import (
	"path/filepath"
	"strings"
)

// ProgramName is the name of the program in help texts, manual pages, completions
// and messages. Main sets it before any verb runs.
var ProgramName = "gm"

// NameOf returns the name of the program that was started as arg0: the last element of
// the path, without .exe. It returns gm for a name that a shell line would have to quote.
func NameOf(arg0 string) string {
	name := strings.TrimSuffix(filepath.Base(arg0), ".exe")
	for i := range len(name) {
		if c := name[i]; !isWordByte(c) && (i == 0 || c != '-' && c != '.') {
			return "gm"
		}
	}
	if name == "" {
		return "gm"
	}
	return name
}

// RenameProgram replaces the word gm in a text by the name of the program. It does not
// change paths, except those of the program in a directory bin, URLs and longer words:
// ~/.config/gm, gm-exit.
func RenameProgram(text string) string {
	if ProgramName == "gm" {
		return text
	}
	var b strings.Builder
	for {
		i := strings.Index(text, "gm")
		if i < 0 {
			b.WriteString(text)
			return b.String()
		}
		rest := text[i+len("gm"):]
		b.WriteString(text[:i])
		if endsBeforeWord(b.String()) && startsAfterWord(rest) {
			b.WriteString(ProgramName)
		} else {
			b.WriteString("gm")
		}
		text = rest
	}
}

// endsBeforeWord reports whether a word can begin after text.
func endsBeforeWord(text string) bool {
	if text == "" || strings.HasSuffix(text, "/bin/") {
		return true
	}
	c := text[len(text)-1]
	return !isWordByte(c) && !strings.ContainsRune("./:~-@", rune(c))
}

// startsAfterWord reports whether the word gm can end before text. The names of the
// manual pages, gm.1 and gm-VERB, begin with the word.
func startsAfterWord(text string) bool {
	switch {
	case text == "", strings.HasPrefix(text, "-VERB"), strings.HasPrefix(text, ".1"):
		return true
	case text[0] == '.', text[0] == ':':
		return len(text) == 1 || text[1] == ' ' || text[1] == '\n'
	}
	return !isWordByte(text[0]) && !strings.ContainsRune("/-@[", rune(text[0]))
}

// isWordByte reports whether c is a letter or digit of ASCII, or an underscore.
func isWordByte(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// RenameCompletion replaces gm in the completion for a shell by the name of the program.
// It renames the identifiers too, so that a shell can load the completions of both.
func RenameCompletion(script string) string {
	if ProgramName == "gm" {
		return script
	}
	identifier := strings.Map(func(r rune) rune {
		if r == '-' || r == '.' {
			return '_'
		}
		return r
	}, ProgramName)
	script = RenameProgram(script)
	return strings.NewReplacer(
		"__gm_", "__"+identifier+"_",
		"_gm_", "_"+identifier+"_",
		"GmVerbs", "GmVerbs_"+identifier,
		"Get-GmValue", "Get-GmValue_"+identifier,
		"_gm ", "_"+identifier+" ",
		"_gm(", "_"+identifier+"(",
	).Replace(script)
}
