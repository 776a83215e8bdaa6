package cli

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"
)

// Ellipsis ends a cell that was shortened.
const Ellipsis = "…"

// runeWidths returns the width of a rune in columns of a terminal. A rune of ambiguous
// width takes one column in every locale.
var runeWidths = &runewidth.Condition{ZeroWidthJoiner: true}

// TextWidth returns the width of text in columns of a terminal.
func TextWidth(text string) int { return runeWidths.StringWidth(text) }

// Shorten cuts text to at most width columns, with an ellipsis in place of the rest.
func Shorten(text string, width int) string {
	if TextWidth(text) <= width {
		return text
	}
	if width < 1 {
		return ""
	}
	used := 0
	for i, r := range text {
		if used += runeWidths.RuneWidth(r); used > width-1 {
			return text[:i] + Ellipsis
		}
	}
	return text
}

// ShortenName cuts a name to at most width columns, with the ellipsis in the middle,
// because names often differ only at their end.
func ShortenName(name string, width int) string {
	if TextWidth(name) <= width || width < 3 {
		return Shorten(name, width)
	}
	tail, used := len(name), 0
	for tail > 0 {
		r, n := utf8.DecodeLastRuneInString(name[:tail])
		if used += runeWidths.RuneWidth(r); used > (width-1)/2 {
			break
		}
		tail -= n
	}
	head := Shorten(name, width-TextWidth(name[tail:]))
	return head + name[tail:]
}

// foldText cuts text into lines of at most width columns. A width below 1 means no limit.
func foldText(text string, width int) []string {
	if width < 1 || TextWidth(text) <= width {
		return []string{text}
	}
	var lines []string
	start, used := 0, 0
	for i, r := range text {
		n := runeWidths.RuneWidth(r)
		if used+n > width && used > 0 {
			lines = append(lines, text[start:i])
			start, used = i, 0
		}
		used += n
	}
	return append(lines, text[start:])
}

// foldHelpLine folds the text in a line of help at blanks, so that no line has more than
// width columns. The line has a command, two blanks or more, and the text.
func foldHelpLine(line string, width int) string {
	name, text, _ := strings.Cut(line, "  ")
	text = strings.TrimSpace(text)
	if TextWidth(line) <= width || text == "" {
		return line + "\n"
	}
	indent := len(line) - len(text)
	if width-indent < 20 {
		return name + "\n" + wrap(text, "    ", "    ", width)
	}
	return wrap(text, line[:indent], strings.Repeat(" ", indent), width)
}

// wrap breaks a paragraph at blanks into lines of at most width columns. The first line
// begins with first, the others with rest. A paragraph that begins with a blank stays as
// it is.
func wrap(text, first, rest string, width int) string {
	if strings.HasPrefix(text, " ") {
		return text + "\n"
	}
	var b strings.Builder
	line, empty := first, true
	for word := range strings.FieldsSeq(text) {
		if !empty && len(line)+1+len(word) > width {
			b.WriteString(line + "\n")
			line, empty = rest, true
		}
		if !empty {
			line += " "
		}
		line += word
		empty = false
	}
	return b.String() + line + "\n"
}

// paragraphs splits a description at its empty lines.
func paragraphs(text string) []string {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n\n")
}

// upperFirst returns s with its first letter in upper case.
func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// Printable escapes control characters and invalid bytes in s, so that they cannot control
// a terminal. If lines is set, it does not escape newlines.
func Printable(s string, lines bool) string {
	clean := func(r rune) bool { return r != utf8.RuneError && unicode.IsPrint(r) || lines && r == '\n' }
	if strings.IndexFunc(s, func(r rune) bool { return !clean(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for i, width := 0, 0; i < len(s); i += width {
		var r rune
		r, width = utf8.DecodeRuneInString(s[i:])
		switch {
		case clean(r):
			b.WriteRune(r)
		case r == utf8.RuneError && width == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

var tsvEscapes = strings.NewReplacer("\t", `\t`, "\n", `\n`, "\r", `\r`)

// EscapeTSV replaces tabs and line ends in a cell by \t, \n and \r.
func EscapeTSV(cell string) string { return tsvEscapes.Replace(cell) }
