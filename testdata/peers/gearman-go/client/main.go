// Client on github.com/mikespook/gearman-go: client HOST PORT SCENARIO [ARGS].
//
// Facts about the library that a server has to live with:
//   - every job has a unique, a number counted up from the clock;
//   - it never sends OPTION_REQ, so that an exception reaches it as WORK_FAIL;
//   - it keeps one callback for each handle: two submissions that coalesce
//     need two connections;
//   - an ERROR in answer to a submission is not tied to it: it goes to the
//     error handler, and the submission ends after a second as a lost
//     connection.
package main

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mikespook/gearman-go/client"
)

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: client HOST PORT SCENARIO [ARGS]")
		os.Exit(2)
	}
	run, ok := scenarios[os.Args[3]]
	if !ok {
		fmt.Println("unsupported")
		os.Exit(3)
	}
	addr := net.JoinHostPort(os.Args[1], os.Args[2])
	if err := run(addr, os.Args[4:]); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[3], err)
		os.Exit(1)
	}
}

var scenarios = map[string]func(addr string, args []string) error{
	"fg":       foreground(client.JobNormal),
	"high":     foreground(client.JobHigh),
	"low":      foreground(client.JobLow),
	"bg":       background(client.JobNormal),
	"high-bg":  background(client.JobHigh),
	"low-bg":   background(client.JobLow),
	"unique":   unique,
	"status":   status,
	"parallel": parallel,
	"tasks":    tasks,
}

var output sync.Mutex

func line(prefix string, fields ...string) {
	if prefix != "" {
		fields = append([]string{prefix}, fields...)
	}
	output.Lock()
	defer output.Unlock()
	fmt.Println(strings.Join(fields, "\t"))
}

func dial(addr string) (*client.Client, error) {
	c, err := client.New("tcp", addr)
	if err != nil {
		return nil, err
	}
	c.ErrorHandler = func(err error) {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
	return c, nil
}

// printer returns a handler that prints each event of a job after prefix and
// calls done after the last one.
func printer(prefix string, done func()) client.ResponseHandler {
	return func(r *client.Response) {
		switch r.DataType {
		case client.WorkData:
			line(prefix, "data", escape(r.Data))
		case client.WorkWarning:
			line(prefix, "warning", escape(r.Data))
		case client.WorkStatus:
			s, err := r.Status()
			if err != nil {
				fmt.Fprintln(os.Stderr, "status:", err)
				os.Exit(1)
			}
			line(prefix, "status", fmt.Sprint(s.Numerator), fmt.Sprint(s.Denominator))
		case client.WorkException:
			line(prefix, "exception", escape(r.Data))
			done()
		case client.WorkComplete:
			line(prefix, "result", escape(r.Data))
			done()
		case client.WorkFail:
			line(prefix, "FAIL")
			done()
		}
	}
}

func foreground(priority byte) func(string, []string) error {
	return func(addr string, args []string) error {
		c, err := dial(addr)
		if err != nil {
			return err
		}
		data, err := payload(args[1])
		if err != nil {
			return err
		}
		var wg sync.WaitGroup
		wg.Add(1)
		if _, err := c.Do(args[0], data, priority, printer("", wg.Done)); err != nil {
			return err
		}
		wg.Wait()
		return nil
	}
}

func background(priority byte) func(string, []string) error {
	return func(addr string, args []string) error {
		c, err := dial(addr)
		if err != nil {
			return err
		}
		data, err := payload(args[1])
		if err != nil {
			return err
		}
		handle, err := c.DoBg(args[0], data, priority)
		if err != nil {
			return err
		}
		line("", "handle", handle)
		return nil
	}
}

// unique FUNCTION KEY PAYLOAD...
func unique(addr string, args []string) error {
	var wg sync.WaitGroup
	for i, data := range args[2:] {
		c, err := dial(addr)
		if err != nil {
			return err
		}
		wg.Add(1)
		handle, err := c.DoWithId(args[0], []byte(data), client.JobNormal, printer(strconv.Itoa(i+1), wg.Done), args[1])
		if err != nil {
			return err
		}
		line("", "created", handle)
	}
	wg.Wait()
	return nil
}

func status(addr string, args []string) error {
	c, err := dial(addr)
	if err != nil {
		return err
	}
	handle, err := c.DoBg(args[0], []byte(args[1]), client.JobNormal)
	if err != nil {
		return err
	}
	last := ""
	for {
		s, err := c.Status(handle)
		if err != nil {
			return err
		}
		now := fmt.Sprintf("%d\t%d\t%d\t%d", bit(s.Known), bit(s.Running), s.Numerator, s.Denominator)
		if now != last {
			line("", "status", now)
			last = now
		}
		if !s.Known {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// parallel FUNCTION COUNT
func parallel(addr string, args []string) error {
	c, err := dial(addr)
	if err != nil {
		return err
	}
	count, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	right := 0 // written by the library's one goroutine that calls handlers
	for i := range count {
		data := fmt.Appendf(nil, "job-%d", i+1)
		wg.Add(1)
		_, err := c.Do(args[0], data, client.JobNormal, func(r *client.Response) {
			got := slices.Clone(r.Data)
			slices.Reverse(got)
			if string(got) == string(data) {
				right++
			}
			wg.Done()
		})
		if err != nil {
			return err
		}
	}
	wg.Wait()
	line("", "ok", strconv.Itoa(right))
	return nil
}

// tasks FUNCTION=PAYLOAD...
func tasks(addr string, args []string) error {
	c, err := dial(addr)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	for _, arg := range args {
		function, data, _ := strings.Cut(arg, "=")
		wg.Add(1)
		if _, err := c.Do(function, []byte(data), client.JobNormal, printer(function, wg.Done)); err != nil {
			return err
		}
	}
	wg.Wait()
	return nil
}

// payload returns arg, or what the file holds that "@file" names.
func payload(arg string) ([]byte, error) {
	if path, ok := strings.CutPrefix(arg, "@"); ok {
		return os.ReadFile(path)
	}
	return []byte(arg), nil
}

func escape(data []byte) string {
	var b strings.Builder
	for _, c := range data {
		if c >= 0x20 && c <= 0x7e && c != '\\' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String()
}
