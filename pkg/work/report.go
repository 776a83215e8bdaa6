package work

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// maxReportLine is the maximum length in bytes of a line that a Reporter writes. A pipe
// accepts this much in one piece, so that lines of several processes do not mix.
const maxReportLine = 4096

// Reporter reports to the client of a job from within the program that a [Worker] runs
// for it. It writes the control lines of the package comment.
type Reporter struct{ w io.WriteCloser }

// ErrNotInJob is wrapped by the error of OpenReporter in a program that no Worker runs.
var ErrNotInJob = errors.New("not in a job")

// OpenReporter returns a Reporter to the file descriptor that the variable GM_CONTROL_FD
// of the program has as its value.
func OpenReporter(value string) (*Reporter, error) {
	fd, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		return nil, fmt.Errorf("GM_CONTROL_FD is %q: %w", value, ErrNotInJob)
	}
	return &Reporter{os.NewFile(uintptr(fd), "control pipe")}, nil
}

// Status reports that num of den parts are done. Neither is negative.
func (r *Reporter) Status(num, den int64) error {
	return r.writeLine(fmt.Sprintf("status %d %d", num, den))
}

// Warn sends each line of the text as a warning.
func (r *Reporter) Warn(text string) error {
	for line := range strings.SplitSeq(text, "\n") {
		if err := r.writeLine("warn " + line); err != nil {
			return err
		}
	}
	return nil
}

// Data sends all bytes of from as a part of the result. They reach the client before the
// output that the program has written to its stdout.
func (r *Reporter) Data(from io.Reader) error {
	const word = "data64 "
	in := bufio.NewReader(from)
	buf := make([]byte, base64.StdEncoding.DecodedLen(maxReportLine-len(word)-1))
	for {
		n, err := io.ReadFull(in, buf)
		if n > 0 {
			if err := r.writeLine(word + base64.StdEncoding.EncodeToString(buf[:n])); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return fmt.Errorf("read data: %w", err)
		}
	}
}

// Close closes the file descriptor.
func (r *Reporter) Close() error { return r.w.Close() }

// writeLine writes a control line in one piece.
func (r *Reporter) writeLine(line string) error {
	_, err := io.WriteString(r.w, line+"\n")
	return err
}
