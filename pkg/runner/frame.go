package runner

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// Framing delimits payloads and answers on the pipes of a kept child.
type Framing int

const (
	// Line is one line for each payload and answer. A payload may end with a newline,
	// which is added if it is missing, and must have no other one. An answer includes
	// its newline.
	Line Framing = iota
	// Netstring is the length in decimal, a colon, the bytes and a comma, in both
	// directions: "5:hello,". See https://cr.yp.to/proto/netstrings.txt.
	Netstring
)

var (
	// ErrNewline is Result.AnswerErr for a payload that is not one line.
	ErrNewline = errors.New("the payload has a newline within, and a line is all that the command takes")
	// ErrAnswerTooLong is Result.AnswerErr when an answer was longer than
	// Keeper.MaxAnswer.
	ErrAnswerTooLong = errors.New("the answer is too long")
)

// maxLengthDigits is the maximum number of digits in the length of a netstring.
const maxLengthDigits = 12

// check returns an error if a payload cannot be sent.
func (f Framing) check(payload []byte) error {
	if f == Line {
		if i := bytes.IndexByte(payload, '\n'); i >= 0 && i < len(payload)-1 {
			return ErrNewline
		}
	}
	return nil
}

// around returns the bytes before and after a payload.
func (f Framing) around(payload []byte) (before, after string) {
	switch {
	case f == Netstring:
		return strconv.Itoa(len(payload)) + ":", ","
	case len(payload) > 0 && payload[len(payload)-1] == '\n':
		return "", ""
	}
	return "", "\n"
}

// cutAnswer finds the first answer in b, whose first seen bytes have no newline. It
// returns the answer and its length with the framing, 0 if the answer is incomplete.
func (f Framing) cutAnswer(b []byte, seen, most int) (answer []byte, n int, err error) {
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

// want returns the size of a buffer for the answer that begins with b, 0 if it is
// unknown.
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
