package results

import (
	"bytes"
	"io"

	"gm/pkg/batch"
)

// TextOptions are the options of NewText, NewLines and NewHandles.
type TextOptions struct {
	// End is appended to each result that does not end with it; empty appends
	// nothing.
	End string
	// Prefix returns the text before each line of a record; nil means no text.
	Prefix func(r *batch.Record) string
	// EndLine appends a newline to each result that ends in the middle of a
	// line, if End is empty.
	EndLine bool
}

// NewText returns a Sink that writes results as they are.
func NewText(out *Output, o TextOptions) Sink {
	return &textSink{Output: out, TextOptions: o}
}

// NewHandles returns a Sink that writes the handle of each job that a server has
// taken, a line each. It is for background jobs, which have no results.
func NewHandles(out *Output, o TextOptions) Sink {
	return &textSink{Output: out, TextOptions: o, handles: true}
}

// textSink writes results as they are, or handles.
type textSink struct {
	*Output
	TextOptions
	handles bool

	// Of the record whose result is being written.
	size int64
	tail []byte // its last bytes, as many as End has
	last byte   // its last byte
	head []byte // its prefix, once there is a line
	open bool   // its last line has no end yet; only with Prefix
}

// Data implements Sink.
func (s *textSink) Data(r *batch.Record, piece []byte) error {
	s.size += int64(len(piece))
	if len(piece) > 0 {
		s.last = piece[len(piece)-1]
	}
	if n := len(s.TextOptions.End); n > 0 {
		tail := append(s.tail, piece[max(0, len(piece)-n):]...)
		s.tail = append(s.tail[:0], tail[max(0, len(tail)-n):]...)
	}
	if s.Prefix == nil {
		_, err := s.Write(piece)
		return err
	}
	return s.writeLines(r, piece)
}

// writeLines writes piece with the prefix before each of its lines.
func (s *textSink) writeLines(r *batch.Record, piece []byte) error {
	if len(piece) > 0 && len(s.head) == 0 {
		s.head = append(s.head, s.Prefix(r)...)
	}
	for len(piece) > 0 {
		n := bytes.IndexByte(piece, '\n') + 1
		if n == 0 {
			n = len(piece)
		}
		if !s.open {
			if _, err := s.Write(s.head); err != nil {
				return err
			}
		}
		if _, err := s.Write(piece[:n]); err != nil {
			return err
		}
		s.open = piece[n-1] != '\n'
		piece = piece[n:]
	}
	return nil
}

// End implements Sink.
func (s *textSink) End(r *batch.Record, _ *Outcome) error {
	err := s.writeEnd(r)
	s.size, s.tail, s.head, s.open = 0, s.tail[:0], s.head[:0], false
	return err
}

// writeEnd writes the missing end of a result.
func (s *textSink) writeEnd(r *batch.Record) error {
	var text string
	switch ending := s.TextOptions.End; {
	case s.handles && r.Err != nil:
		return nil
	case s.handles:
		text = string(r.Handle) + "\n"
	case ending != "" && string(s.tail) != ending && (r.Err == nil || s.size > 0):
		text = ending
	case s.EndLine && ending == "" && s.size > 0 && s.last != '\n':
		text = "\n"
	}
	if s.Prefix == nil {
		if text == "" {
			return nil
		}
		_, err := io.WriteString(s, text)
		return err
	}
	if err := s.writeLines(r, []byte(text)); err != nil || !s.open {
		return err
	}
	_, err := s.Write([]byte{'\n'}) // the prefix of the next record begins a line
	return err
}

// Close implements Sink.
func (s *textSink) Close() error { return nil }

// NewLines returns a Sink for an Interleaved batch. It writes each line of a
// result when the line is complete, so that the lines of several records
// alternate. A last line without a newline gets one. A record without a result
// that completed has one empty line if o.End is not empty.
func NewLines(out *Output, o TextOptions) Sink {
	return &lineSink{Output: out, TextOptions: o, begun: map[int]*begunLine{}}
}

// lineSink writes lines as soon as they are complete.
type lineSink struct {
	*Output
	TextOptions
	begun map[int]*begunLine // of records whose result has begun, by sequence number
}

// begunLine is the part of a result after its last newline.
type begunLine struct{ text []byte }

// Data implements Sink.
func (s *lineSink) Data(r *batch.Record, piece []byte) error {
	line := s.begun[r.Seq]
	if line == nil {
		line = &begunLine{}
		s.begun[r.Seq] = line
	}
	end := bytes.LastIndexByte(piece, '\n') + 1
	if end == 0 {
		line.text = append(line.text, piece...)
		return nil
	}
	err := s.writeLines(r, line.text, piece[:end])
	line.text = append(line.text[:0], piece[end:]...)
	return err
}

// writeLines writes complete lines, the first of which begins with begun.
func (s *lineSink) writeLines(r *batch.Record, begun, lines []byte) error {
	head := ""
	if s.Prefix != nil {
		head = s.Prefix(r)
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

// End implements Sink. It writes the last line of the result.
func (s *lineSink) End(r *batch.Record, _ *Outcome) error {
	line := s.begun[r.Seq]
	delete(s.begun, r.Seq)
	switch {
	case line != nil && len(line.text) > 0:
		return s.writeLines(r, line.text, []byte{'\n'})
	case line == nil && r.Err == nil && s.TextOptions.End != "":
		return s.writeLines(r, nil, []byte{'\n'})
	}
	return nil
}

// Close implements Sink.
func (s *lineSink) Close() error { return nil }
