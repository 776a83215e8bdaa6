package cmd

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"sync"
)

// workerText is a warning or exception, with gm work's last line taken off.
type workerText struct {
	text   []byte
	code   int    // of the command; 0: not said
	reason string // in words; empty: not said
}

// exitLine is how gm work says what became of its command: the last line of the
// warning or exception before the job's failure.
var exitLine = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?:^|\n)gm-exit: ([0-9]{1,3}) \(([^\n]*)\)\n?$`)
})

// appendExitLine appends such a line to what the command had to say.
func appendExitLine(text []byte, code int, reason string) []byte {
	if n := len(text); n > 0 && text[n-1] != '\n' {
		text = append(text, '\n')
	}
	return fmt.Appendf(text, "gm-exit: %d (%s)\n", code, bytes.ReplaceAll([]byte(reason), []byte("\n"), []byte(" ")))
}

// parseWorkerText takes the exit line off a worker's text. The text is valid
// as long as b is.
func parseWorkerText(b []byte) workerText {
	at := exitLine().FindSubmatchIndex(b)
	if at == nil {
		return workerText{text: b}
	}
	code, err := strconv.Atoi(string(b[at[2]:at[3]]))
	if err != nil || code < 1 || code > 255 {
		return workerText{text: b}
	}
	text := b[:at[0]]
	if b[at[0]] == '\n' {
		text = b[:at[0]+1]
	}
	return workerText{text: text, code: code, reason: string(b[at[4]:at[5]])}
}
