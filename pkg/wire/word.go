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
// Rows and requests contain a name unchanged if it has neither white space nor
// control characters and does not begin with a double quote. They contain any
// other name between double quotes, without white space: \t, \n and \r are
// those characters, \xHH is a byte, \\ and \" are the character after the
// backslash. So rows keep their columns for every parser, and a request can
// name everything that a row shows. Inside the quotes, a request may also have
// blanks.

// AppendName appends a name in the form of a row's column.
func AppendName(dst []byte, name string) []byte {
	if isPlain(name) {
		return append(dst, name...)
	}
	return appendQuoted(dst, name, isPlainRune)
}

// AppendWord appends a name in the form of a request: like AppendName, but an
// empty name is "".
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

// AppendText appends a text in the form of a row with one column, in which
// blanks are allowed. It also quotes a text that a reader would take for the
// end or an error of the list.
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

// isPlain reports whether a name needs no quotes.
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

// appendQuoted appends s between quotes, and escapes all runes that are not
// plain.
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

// cutQuoted parses the quoted name at the beginning of b. It returns false if
// there is none.
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

// unescape parses the n bytes after a backslash.
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

// Words splits an admin line on ASCII blanks; a name in UTF-8 may contain other
// blanks. A word between double quotes may contain blanks and the escapes of
// [AppendName]. A quote anywhere else, or one that is not closed, is an
// ordinary character. Words without quotes point into line.
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
