// Package escape writes any bytes as printable text without blanks, and reads
// such text. The escapes are \n, \t, \r, \0, \\ and \xHH.
package escape

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Decode returns s with each escape replaced by its byte. All other bytes of s
// stay as they are.
func Decode(s string) (string, error) {
	var b strings.Builder
	for s != "" {
		before, rest, found := strings.Cut(s, `\`)
		b.WriteString(before)
		if !found {
			break
		}
		if rest == "" {
			return "", errors.New(`a lone \ at the end`)
		}
		s = rest[1:]
		switch rest[0] {
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case 'r':
			b.WriteByte('\r')
		case '0':
			b.WriteByte(0)
		case '\\':
			b.WriteByte('\\')
		case 'x':
			if len(s) < 2 {
				return "", fmt.Errorf(`\x%s: not two hexadecimal digits`, s)
			}
			n, err := strconv.ParseUint(s[:2], 16, 8)
			if err != nil {
				return "", fmt.Errorf(`\x%s: not two hexadecimal digits`, s[:2])
			}
			b.WriteByte(byte(n))
			s = s[2:]
		default:
			return "", fmt.Errorf(`unknown escape \%c`, rest[0])
		}
	}
	return b.String(), nil
}

// Encode returns text that Decode turns back into data.
func Encode(data []byte) string {
	var b strings.Builder
	for _, c := range data {
		switch {
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		case c == '\\':
			b.WriteString(`\\`)
		case c <= ' ' || c > '~':
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
