// Package exitline writes and reads the line by which gm work reports how its
// command ended a job. It is the last line of the warning or exception before
// the job's failure, as in "gm-exit: 3 (exit status 3)".
package exitline

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"sync"
)

// Text is a warning or an exception without its exit line.
type Text struct {
	Body   []byte // the other lines
	Code   int    // exit code of the command, from 1 to 255; 0: there was no exit line
	Reason string // the end of the command in words; empty: there was no exit line
}

var pattern = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?:^|\n)gm-exit: ([0-9]{1,3}) \(([^\n]*)\)\n?$`)
})

// Append appends an exit line to text, and a newline before it if the last line
// of text has none.
func Append(text []byte, code int, reason string) []byte {
	if n := len(text); n > 0 && text[n-1] != '\n' {
		text = append(text, '\n')
	}
	return fmt.Appendf(text, "gm-exit: %d (%s)\n", code, bytes.ReplaceAll([]byte(reason), []byte("\n"), []byte(" ")))
}

// Parse separates a text from its exit line. The Body of the returned Text
// shares memory with b.
func Parse(b []byte) Text {
	at := pattern().FindSubmatchIndex(b)
	if at == nil {
		return Text{Body: b}
	}
	code, err := strconv.Atoi(string(b[at[2]:at[3]]))
	if err != nil || code < 1 || code > 255 {
		return Text{Body: b}
	}
	body := b[:at[0]]
	if b[at[0]] == '\n' {
		body = b[:at[0]+1]
	}
	return Text{Body: body, Code: code, Reason: string(b[at[4]:at[5]])}
}
