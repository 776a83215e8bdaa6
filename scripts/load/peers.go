//go:build linux

package load

import (
	"bytes"
	"fmt"
	"strconv"
)

// beanstalk is beanstalkd's protocol: put, reserve, delete.
type beanstalk struct{}

func (beanstalk) submission(j Job) *submission {
	return newSubmission(fmt.Appendf(nil, "put 0 0 60 %d\r\n%s\r\n", j.Size, payload(j.Size)))
}

func (beanstalk) accepted(b []byte) (n, used int, err error) { return countLines(b, 'I') }

func (beanstalk) greet(*conn, []string) error { return nil }

func (beanstalk) grab() []byte { return []byte("reserve-with-timeout 0\r\n") }

func (p beanstalk) assigned(dst, b []byte) (out []byte, used int, a answer, err error) {
	end := bytes.IndexByte(b, '\n') + 1
	if end == 0 {
		return dst, 0, partly, nil
	}
	words := bytes.Fields(b[:end])
	switch {
	case string(words[0]) == "DELETED":
		return dst, end, other, nil
	case string(words[0]) == "TIMED_OUT":
		return dst, end, nothing, nil
	case string(words[0]) != "RESERVED" || len(words) != 3:
		return dst, 0, other, unexpected(b)
	}
	size, err := strconv.Atoi(string(words[2]))
	if err != nil {
		return dst, 0, other, unexpected(b)
	}
	used = end + size + len("\r\n")
	if len(b) < used {
		return dst, 0, partly, nil
	}
	dst = append(append(append(dst, "delete "...), words[1]...), "\r\n"...)
	return append(dst, p.grab()...), used, job, nil
}

// redis is a list of Redis: LPUSH and RPOP.
type redis struct{}

func (redis) submission(j Job) *submission {
	return newSubmission(fmt.Appendf(nil, "*3\r\n$5\r\nLPUSH\r\n$5\r\nbench\r\n$%d\r\n%s\r\n", j.Size, payload(j.Size)))
}

func (redis) accepted(b []byte) (n, used int, err error) { return countLines(b, ':') }

func (redis) greet(*conn, []string) error { return nil }

func (redis) grab() []byte { return []byte("*2\r\n$4\r\nRPOP\r\n$5\r\nbench\r\n") }

func (p redis) assigned(dst, b []byte) (out []byte, used int, a answer, err error) {
	end := bytes.IndexByte(b, '\n') + 1
	if end == 0 {
		return dst, 0, partly, nil
	}
	size, err := strconv.Atoi(string(b[1 : end-2]))
	if b[0] != '$' || err != nil {
		return dst, 0, other, unexpected(b)
	}
	if size < 0 {
		return dst, end, nothing, nil
	}
	used = end + size + len("\r\n")
	if len(b) < used {
		return dst, 0, partly, nil
	}
	return append(dst, p.grab()...), used, job, nil
}

// countLines counts whole lines, of which the first begins with a byte.
func countLines(b []byte, first byte) (n, used int, err error) {
	if b[0] != first {
		return 0, 0, unexpected(b)
	}
	return bytes.Count(b, []byte{'\n'}), bytes.LastIndexByte(b, '\n') + 1, nil
}
