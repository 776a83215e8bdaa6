package runner

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// Framing is how payloads, and the answers to them, are told apart on the pipes
// of a kept child.
type Framing int

const (
	// Line is a line each way. The newline is not part of the payload, which may
	// have one at its end already and none within; it is part of the answer.
	Line Framing = iota
	// Netstring is the length in decimal, a colon, the bytes, a comma each way:
	// "5:hello,". See https://cr.yp.to/proto/netstrings.txt.
	Netstring
)

var (
	// ErrNewline says that a payload cannot go as a line.
	ErrNewline = errors.New("the payload has a newline within, and a line is all that the command takes")
	// ErrAnswerTooLong says that an answer outgrew Keeper.MaxAnswer.
	ErrAnswerTooLong = errors.New("the answer is too long")
)

// maxLengthDigits is how many digits the length of a netstring may have.
const maxLengthDigits = 12

// check reports whether a payload can be sent.
func (f Framing) check(payload []byte) error {
	if f == Line {
		if i := bytes.IndexByte(payload, '\n'); i >= 0 && i < len(payload)-1 {
			return ErrNewline
		}
	}
	return nil
}

// around returns what goes before and after a payload.
func (f Framing) around(payload []byte) (before, after string) {
	switch {
	case f == Netstring:
		return strconv.Itoa(len(payload)) + ":", ","
	case len(payload) > 0 && payload[len(payload)-1] == '\n':
		return "", ""
	}
	return "", "\n"
}

// cut finds the first answer in b, of which the first seen bytes are known to
// hold no end of a line. It returns the answer and how many bytes it takes with
// all that is around it; 0 means that there is more to come.
func (f Framing) cut(b []byte, seen, most int) (answer []byte, n int, err error) {
	if f == Netstring {
		return cutNetstring(b, most)
	}
	if i := bytes.IndexByte(b[seen:], '\n'); i >= 0 {
		answer = b[:seen+i+1]
		if len(answer) > most {
			return nil, 0, ErrAnswerTooLong
		}
		return answer, len(answer), nil
	}
	if len(b) > most {
		return nil, 0, ErrAnswerTooLong
	}
	return nil, 0, nil
}

func cutNetstring(b []byte, most int) (answer []byte, n int, err error) {
	digits := 0
	for digits < len(b) && '0' <= b[digits] && b[digits] <= '9' {
		digits++
	}
	switch {
	case digits > maxLengthDigits, digits > 1 && b[0] == '0', digits == 0 && len(b) > 0, digits < len(b) && b[digits] != ':':
		return nil, 0, fmt.Errorf("not a netstring: %.40q", b)
	case digits >= len(b):
		return nil, 0, nil
	}
	length, _ := strconv.ParseInt(string(b[:digits]), 10, 64)
	if length > int64(most) {
		return nil, 0, ErrAnswerTooLong
	}
	end := digits + 1 + int(length)
	switch {
	case len(b) <= end:
		return nil, 0, nil
	case b[end] != ',':
		return nil, 0, fmt.Errorf("not a netstring: %q after %d bytes", b[end], length)
	}
	return b[digits+1 : end], end + 1, nil
}

// want returns how long a buffer that begins with b has to be for its answer, as
// far as that can be told; 0 if it can't.
func (f Framing) want(b []byte) int {
	if f != Netstring {
		return 0
	}
	digits := bytes.IndexByte(b, ':')
	if digits < 1 || digits > maxLengthDigits {
		return 0
	}
	length, err := strconv.Atoi(string(b[:digits]))
	if err != nil {
		return 0
	}
	return digits + length + 2
}
