package work

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"gm/internal/gather"
)

// output handles the stdout and the control lines of a program.
type output struct {
	job    *job
	log    *slog.Logger
	stream bool          // send stdout at once
	limit  int           // maximum size of the result in bytes
	data   gather.Buffer // stdout that is not sent yet
}

// write handles a chunk of stdout.
func (o *output) write(chunk []byte) error {
	if o.stream {
		return o.job.SendData(chunk)
	}
	if o.data.Size()+len(chunk) > o.limit {
		return fmt.Errorf("the result is over the limit of %d bytes", o.limit)
	}
	o.data.Add(chunk)
	return nil
}

// control handles a line that a program has written to GM_CONTROL_FD.
func (o *output) control(line string) {
	word, rest, _ := strings.Cut(line, " ")
	var err error
	switch word {
	case "status":
		var num, den int64
		if num, den, err = ParseProgress(strings.Fields(rest)); err == nil {
			err = o.job.SendStatus(num, den)
		}
	case "warn":
		err = o.job.SendWarning([]byte(rest))
	case "data":
		err = o.job.SendData([]byte(rest + "\n"))
	case "data64":
		var data []byte
		if data, err = base64.StdEncoding.DecodeString(rest); err == nil {
			err = o.job.SendData(data)
		}
	default:
		err = errors.New("not status, warn, data or data64")
	}
	if err != nil {
		o.log.Warn("control line not heeded", "handle", string(o.job.Handle()), "line", fmt.Sprintf("%.80s", line), "error", err)
	}
}

// ParseProgress reads the numerator and the denominator of a control line.
// Neither is negative.
func ParseProgress(words []string) (num, den int64, err error) {
	if len(words) == 2 {
		if num, err = strconv.ParseInt(words[0], 10, 64); err == nil {
			den, err = strconv.ParseInt(words[1], 10, 64)
		}
	}
	if len(words) != 2 || err != nil || num < 0 || den < 0 {
		return 0, 0, fmt.Errorf("progress %q: not two numbers such as 3 10", strings.Join(words, " "))
	}
	return num, den, nil
}
