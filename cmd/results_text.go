package cmd

import (
	"bytes"
	"io"

	"gm/pkg/batch"
)

// sink is where the results of records go. Records come one after the other:
// the pieces of a result, then its end. What it is given is valid during the
// call only.
type sink interface {
	data(r *batch.Record, b []byte) error
	end(r *batch.Record, o *outcome) error
	// flush hands on what is buffered.
	flush() error
	// close ends the output, after flush if all went well.
	close() error
}

// textSink prints results on stdout as they are, or handles.
type textSink struct {
	*stdoutBuffer
	ending  string                       // what a result is to end with, added where it is lacking
	prefix  func(r *batch.Record) string // of each line; nil: none
	newline bool                         // a result that has no line end at its end gets one
	handles bool                         // jobs have no results, print their handles
	quiet   bool                         // not even these

	// Of the record whose result is being printed.
	size int64
	tail []byte // its last bytes, as many as ending has
	last byte   // its last byte
	head []byte // its prefix, once there is a line
	open bool   // its last line has no end yet; only with prefix
}

func (s *textSink) data(r *batch.Record, b []byte) error {
	s.size += int64(len(b))
	if len(b) > 0 {
		s.last = b[len(b)-1]
	}
	if n := len(s.ending); n > 0 {
		tail := append(s.tail, b[max(0, len(b)-n):]...)
		s.tail = append(s.tail[:0], tail[max(0, len(tail)-n):]...)
	}
	if s.prefix == nil {
		_, err := s.Write(b)
		return err
	}
	return s.lines(r, b)
}

// lines prints b with the prefix before each of its lines.
func (s *textSink) lines(r *batch.Record, b []byte) error {
	if len(b) > 0 && len(s.head) == 0 {
		s.head = append(s.head, s.prefix(r)...)
	}
	for len(b) > 0 {
		n := bytes.IndexByte(b, '\n') + 1
		if n == 0 {
			n = len(b)
		}
		if !s.open {
			if _, err := s.Write(s.head); err != nil {
				return err
			}
		}
		if _, err := s.Write(b[:n]); err != nil {
			return err
		}
		s.open = b[n-1] != '\n'
		b = b[n:]
	}
	return nil
}

func (s *textSink) end(r *batch.Record, _ *outcome) error {
	err := s.finish(r)
	s.size, s.tail, s.head, s.open = 0, s.tail[:0], s.head[:0], false
	return err
}

// finish prints what a record lacks at its end.
func (s *textSink) finish(r *batch.Record) error {
	var text string
	switch {
	case s.handles && (s.quiet || r.Err != nil):
		return nil
	case s.handles:
		text = string(r.Handle) + "\n"
	case s.ending != "" && string(s.tail) != s.ending && (r.Err == nil || s.size > 0):
		text = s.ending
	case s.newline && s.ending == "" && s.size > 0 && s.last != '\n':
		text = "\n"
	}
	if s.prefix == nil {
		if text == "" {
			return nil
		}
		_, err := io.WriteString(s, text)
		return err
	}
	if err := s.lines(r, []byte(text)); err != nil || !s.open {
		return err
	}
	_, err := s.Write([]byte{'\n'}) // the next record's prefix begins a line
	return err
}

func (s *textSink) close() error { return nil }

// lineSink prints the lines of results as they come, whole, and so those of
// several records in turn (--line-buffer).
type lineSink struct {
	*stdoutBuffer
	ending string                       // see textSink
	prefix func(r *batch.Record) string // see textSink
	open   map[int]*openLine            // of records whose result has begun, by sequence
}

// openLine is what has come of a result behind its last line end.
type openLine struct{ text []byte }

func (s *lineSink) data(r *batch.Record, b []byte) error {
	o := s.open[r.Seq]
	if o == nil {
		o = &openLine{}
		s.open[r.Seq] = o
	}
	end := bytes.LastIndexByte(b, '\n') + 1
	if end == 0 {
		o.text = append(o.text, b...)
		return nil
	}
	err := s.print(r, o.text, b[:end])
	o.text = append(o.text[:0], b[end:]...)
	return err
}

// print prints whole lines: the first begins with begun.
func (s *lineSink) print(r *batch.Record, begun, lines []byte) error {
	head := ""
	if s.prefix != nil {
		head = s.prefix(r)
	}
	for line := range bytes.Lines(lines) {
		for _, part := range [][]byte{[]byte(head), begun, line} {
			if _, err := s.Write(part); err != nil {
				return err
			}
		}
		begun = nil
	}
	return nil
}

// end prints the last line of a result. One without an end gets one, as another
// record's line may follow.
func (s *lineSink) end(r *batch.Record, _ *outcome) error {
	o := s.open[r.Seq]
	delete(s.open, r.Seq)
	switch {
	case o != nil && len(o.text) > 0:
		return s.print(r, o.text, []byte{'\n'})
	case o == nil && r.Err == nil && s.ending != "":
		return s.print(r, nil, []byte{'\n'})
	}
	return nil
}

func (s *lineSink) close() error { return nil }
