package wire

import (
	"bytes"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Quoting of names in the admin protocol, which gm adds to gearmand's.
//
// A name stands as it is in rows and requests if it has neither white space
// nor control characters and does not begin with a double quote. Any other name
// stands between double quotes, without white space: \t, \n and \r are those
// characters, \xHH is a byte, \\ and \" are the character after the backslash.
// So rows keep their columns for every parser, and a request can name
// everything that a row shows. Inside the quotes of a request blanks may stand
// as they are.

// AppendName appends a name as it stands in a column of a row.
func AppendName(dst []byte, name string) []byte {
	if isPlain(name) {
		return append(dst, name...)
	}
	return appendQuoted(dst, name, isPlainRune)
}

// AppendWord appends a name as it stands in a request: like AppendName, but an
// empty one is "".
func AppendWord(dst []byte, name string) []byte {
	if name == "" {
		return append(dst, `""`...)
	}
	return AppendName(dst, name)
}

// ParseName returns the name that AppendName has written.
func ParseName(s string) string {
	if len(s) >= 2 && s[0] == '"' {
		if name, rest, ok := cutQuoted([]byte(s)); ok && len(rest) == 0 {
			return string(name)
		}
	}
	return s
}

// AppendText appends a text as it stands in a row of its own: blanks stand as
// they are. A text that would be read as an end or an error of the list is
// quoted too.
func AppendText(dst []byte, text string) []byte {
	plain := text != "" && text != "." && text[0] != '"' && !strings.HasPrefix(text, "ERR")
	for _, r := range text {
		plain = plain && isTextRune(r)
	}
	if plain {
		return append(dst, text...)
	}
	return appendQuoted(dst, text, isTextRune)
}

// isPlain reports whether a name stands as it is.
func isPlain(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case c >= utf8.RuneSelf:
			return name[0] != '"' && strings.IndexFunc(name, func(r rune) bool { return !isPlainRune(r) }) < 0
		case c <= ' ' || c == 0x7f:
			return false
		}
	}
	return name == "" || name[0] != '"'
}

func isPlainRune(r rune) bool { return r != ' ' && isTextRune(r) }

func isTextRune(r rune) bool { return r == ' ' || !unicode.IsSpace(r) && !unicode.IsControl(r) }

// appendQuoted appends s between quotes, with escapes for all runes that are
// not plain.
func appendQuoted(dst []byte, s string, plain func(rune) bool) []byte {
	dst = append(dst, '"')
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', s[0])
		case r == '\t':
			dst = append(dst, `\t`...)
		case r == '\n':
			dst = append(dst, `\n`...)
		case r == '\r':
			dst = append(dst, `\r`...)
		case plain(r):
			dst = append(dst, s[:n]...)
		default:
			for i := range n {
				dst = append(dst, '\\', 'x', hexDigits[s[i]>>4], hexDigits[s[i]&15])
			}
		}
		s = s[n:]
	}
	return append(dst, '"')
}

const hexDigits = "0123456789abcdef"

// cutQuoted reads the quoted name that b begins with. It returns false if b
// does not begin with one.
func cutQuoted(b []byte) (name, rest []byte, ok bool) {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '"':
			return name, b[i+1:], true
		case '\\':
			c, n, ok := unescape(b[i+1:])
			if !ok {
				return nil, b, false
			}
			name = append(name, c)
			i += n
		default:
			name = append(name, b[i])
		}
	}
	return nil, b, false
}

// unescape reads the n bytes after a backslash.
func unescape(b []byte) (c byte, n int, ok bool) {
	if len(b) == 0 {
		return 0, 0, false
	}
	switch b[0] {
	case '\\', '"':
		return b[0], 1, true
	case 't':
		return '\t', 1, true
	case 'n':
		return '\n', 1, true
	case 'r':
		return '\r', 1, true
	case 'x':
		if len(b) >= 3 {
			v, err := strconv.ParseUint(string(b[1:3]), 16, 8)
			return byte(v), 3, err == nil
		}
	}
	return 0, 0, false
}

// Words splits an admin line on blanks, which are ASCII's: a name may be UTF-8
// with others in it. A word between double quotes may contain blanks and the
// escapes of [AppendName]; a quote anywhere else is a character like any other,
// and so is one that is not closed. Words without quotes point into line.
func Words(line []byte) [][]byte {
	var words [][]byte
	for {
		line = bytes.TrimLeftFunc(line, isBlank)
		if len(line) == 0 {
			return words
		}
		if line[0] == '"' {
			word, rest, ok := cutQuoted(line)
			if ok && (len(rest) == 0 || isBlank(rune(rest[0]))) {
				words, line = append(words, word), rest
				continue
			}
		}
		end := bytes.IndexFunc(line, isBlank)
		if end < 0 {
			end = len(line)
		}
		words, line = append(words, line[:end:end]), line[end:]
	}
}

func isBlank(r rune) bool { return r == ' ' || '\t' <= r && r <= '\r' }
