package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"gm/pkg/batch"
	"gm/pkg/gearman"
	"gm/pkg/wire"
)

// requireTimeout is how long a server may take to say which workers it has.
const requireTimeout = 10 * time.Second

// newSubmission reads the flags and arguments of submit.
func (e *env) newSubmission(c *cli.Context) (*submission, error) {
	opts, err := e.options(c)
	if err != nil {
		return nil, err
	}
	if opts.MaxPayload, err = payloadLimit(c); err != nil {
		return nil, err
	}
	s := &submission{
		opts:      opts,
		window:    c.Int("jobs"),
		retries:   c.Int("retries"),
		quiet:     c.Bool("quiet"),
		status:    c.Bool("status"),
		propagate: c.Bool("propagate"),
		format:    rowFormat(c.String("output")),
	}
	switch {
	case c.String("function") == "":
		return nil, withHint(usageErrorf("submit: no function"), "name it with -f FUNC")
	case s.window < 1:
		return nil, usageErrorf("--jobs %d: not a positive number", s.window)
	case s.retries < 0:
		return nil, usageErrorf("--retries %d: less than none", s.retries)
	case s.format != "" && s.format != formatJSON && s.format != formatJSONL:
		return nil, usageErrorf("output format %q: not json or jsonl", s.format)
	}
	if err := s.setTask(c); err != nil {
		return nil, err
	}
	if err := s.setSource(e, c); err != nil {
		return nil, err
	}
	if u := s.task.Unique; s.many && u != "" && u != "-" && u != "#" {
		return nil, withHint(usageErrorf("--unique %q: all records would be one job", u), "-u - makes records of the same payload one job")
	}
	if s.many {
		s.patience = durationOf(c, "reconnect")
	}
	return s, nil
}

// setTask reads what the jobs have in common.
func (s *submission) setTask(c *cli.Context) error {
	t := &s.task
	t.Function = c.String("function")
	t.Unique = c.String("unique")
	t.Reducer = c.String("reducer")
	t.Timeout = durationOf(c, "timeout")
	t.Background = c.Bool("background")
	switch high, low := c.Bool("high"), c.Bool("low"); {
	case high && low:
		return usageErrorf("--high and --low: one of them")
	case high:
		t.Priority = gearman.High
	case low:
		t.Priority = gearman.Low
	}
	at, err := submitTime(c)
	if err != nil {
		return err
	}
	if !at.IsZero() {
		t.At, t.Background = at, true
	}
	switch {
	case !t.At.IsZero() && (t.Priority != gearman.Normal || t.Reducer != ""):
		return usageErrorf("a delayed job has normal priority and no reducer: the protocol has no packet for others")
	case t.Reducer != "" && t.Priority != gearman.Normal:
		return usageErrorf("a job with a reducer has normal priority: the protocol has no packet for others")
	case s.quiet && !t.Background:
		return usageErrorf("--quiet is for --background")
	case s.propagate && t.Background:
		return usageErrorf("--propagate: a background job's end is not waited for")
	}
	return nil
}

// submitTime returns when the job is to run; zero: now.
func submitTime(c *cli.Context) (time.Time, error) {
	in, at := c.String("in"), c.String("at")
	switch {
	case in != "" && at != "":
		return time.Time{}, usageErrorf("--in and --at: one of them")
	case in != "":
		d, err := time.ParseDuration(in)
		if err != nil || d < 0 {
			return time.Time{}, usageErrorf("--in %q: not like 90s, 10m or 24h", in)
		}
		return time.Now().Add(d), nil
	case at != "":
		t, err := parseTime(at, time.Now())
		if err != nil {
			return time.Time{}, usageErrorf("--at: %w", err)
		}
		return t, nil
	}
	return time.Time{}, nil
}

// parseTime reads a point in time. One of the clock alone is the next such
// after now. One without a zone is local.
func parseTime(s string, now time.Time) (time.Time, error) {
	if secs, ok := strings.CutPrefix(s, "@"); ok {
		n, err := strconv.ParseInt(secs, 10, 64)
		if err != nil || n < 0 {
			return time.Time{}, fmt.Errorf("time %q: not @ and Unix seconds", s)
		}
		return time.Unix(n, 0), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateTime, "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	for _, layout := range []string{"15:04", time.TimeOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			t = time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), 0, now.Location())
			if !t.After(now) {
				t = t.AddDate(0, 0, 1)
			}
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("time %q: not like 15:04, 2006-01-02 15:04, 2006-01-02T15:04:05Z or @1136214245", s)
}

// setSource says where the payloads come from.
func (s *submission) setSource(e *env, c *cli.Context) error {
	delim, keep, err := delimiter(c)
	if err != nil {
		return err
	}
	if delim == "" {
		switch {
		case c.IsSet("end"):
			return usageErrorf("--end is for -N, -0 and -d")
		case c.NArg() > 0:
			s.many = c.NArg() > 1
			var args batch.Records
			for _, data := range c.Args().Slice() {
				args = append(args, batch.Input{Payload: []byte(data), Name: data})
			}
			s.source = &args
			return nil
		}
		e.announceStdin("the payload")
		s.source = &whole{from: e.stdin, limit: s.opts.MaxPayload}
		return nil
	}
	if c.NArg() > 0 {
		return withHint(usageErrorf("records are read from stdin, and there is the argument %q", c.Args().First()),
			"several arguments without -n, -N, -0 or -d are as many jobs")
	}
	if !keep {
		if s.end, err = unescape(c.String("end")); err != nil {
			return usageErrorf("--end: %w", err)
		}
	}
	e.announceStdin("the records")
	s.many = true
	s.source = batch.NewSplitter(e.stdin, []byte(delim), keep)
	return nil
}

// announceStdin tells a person why nothing happens.
func (e *env) announceStdin(what string) {
	if isTerminal(e.stdin) {
		fmt.Fprintf(e.stderr, "gm: reading %s from the terminal; Ctrl-D ends it\n", what)
	}
}

// delimiter returns what ends a record of stdin, or "" if stdin is not to be
// cut up.
func delimiter(c *cli.Context) (delim string, keep bool, err error) {
	n := 0
	for _, name := range []string{"lines", "stripped", "null", "delimiter"} {
		if c.IsSet(name) {
			n++
		}
	}
	switch {
	case n > 1:
		return "", false, usageErrorf("-n, -N, -0 and -d: one of them")
	case c.Bool("lines"):
		return "\n", true, nil
	case c.Bool("stripped"):
		return "\n", false, nil
	case c.Bool("null"):
		return "\x00", false, nil
	case c.IsSet("delimiter"):
		if delim, err = unescape(c.String("delimiter")); err == nil && delim == "" {
			err = errors.New("it is empty")
		}
		if err != nil {
			return "", false, usageErrorf("--delimiter: %w", err)
		}
	}
	return delim, false, nil
}

// unescape replaces \n, \t, \r, \0, \xHH and \\ by what they mean.
func unescape(s string) (string, error) {
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

// whole is a source of one record: all there is.
type whole struct {
	from  io.Reader
	limit int
	done  bool
}

func (w *whole) Next() (batch.Input, error) {
	if w.done {
		return batch.Input{}, io.EOF
	}
	w.done = true
	data, err := w.readAll()
	if err != nil {
		return batch.Input{}, exitWith(exitIO, fmt.Errorf("read payload: %w", err))
	}
	if len(data) > w.limit {
		return batch.Input{}, withHint(usageErrorf("payload from stdin is over the limit of %d bytes", w.limit),
			"--max-payload raises it; the server's must be as high")
	}
	return batch.Input{Payload: data}, nil
}

// readAll reads up to one byte over the limit. Of a file it knows the size.
func (w *whole) readAll() ([]byte, error) {
	limited := io.LimitReader(w.from, int64(w.limit)+1)
	f, ok := w.from.(*os.File)
	if !ok {
		return io.ReadAll(limited)
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() > int64(w.limit) {
		return io.ReadAll(limited)
	}
	data := make([]byte, 0, info.Size()+1)
	for {
		n, err := limited.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if err == io.EOF {
			return data, nil
		}
		if err != nil {
			return nil, err
		}
		if len(data) == cap(data) { // it has grown meanwhile
			rest, err := io.ReadAll(limited)
			return append(data, rest...), err
		}
	}
}

// requireWorker returns an error unless some server has a worker for function.
func (e *env) requireWorker(ctx context.Context, opts gearman.Options, function string) error {
	answers, err := succeeded(e, askAll(ctx, opts, requireTimeout,
		func(ctx context.Context, admin *gearman.Admin) ([]wire.FunctionStatus, error) {
			return admin.Status(ctx)
		}))
	if err != nil {
		return fmt.Errorf("ask for workers: %w", err)
	}
	for _, a := range answers {
		for _, f := range a.value {
			if f.Function == function && f.Workers > 0 {
				return nil
			}
		}
	}
	return exitWith(exitUnknown, fmt.Errorf("no worker can do %s", function))
}

// maxPayloadLimit is what the 32 bits of a packet's size leave for a payload.
const maxPayloadLimit = 4095 << 20

// payloadFlag is the limit of payloads and results; payloadLimit reads it.
func payloadFlag() cli.Flag {
	return sizeFlag(wire.DefaultMaxPayload, cli.GenericFlag{
		Name: "max-payload", Category: catServers,
		Usage: "a payload or a part of a result may have `SIZE` bytes: 1000, 64K, 64M, 1G",
	})
}

func payloadLimit(c *cli.Context) (int, error) {
	n := sizeOf(c, "max-payload")
	if n < 1 || n > maxPayloadLimit {
		return 0, usageErrorf("--max-payload %d: not from 1 to %d", n, maxPayloadLimit)
	}
	return int(n), nil
}
