package batch

import (
	"fmt"
	"io"
	"os"

	"gm/pkg/gearman"
)

// Whole is a Source of one record, whose payload is all that a reader returns.
type Whole struct {
	r     io.Reader
	name  string
	limit int
	done  bool
}

// NewWhole returns a Whole that reads r. The record fails if it has more than
// limit bytes. name is the name of r in errors.
func NewWhole(r io.Reader, name string, limit int) *Whole {
	return &Whole{r: r, name: name, limit: limit}
}

// Next returns the record, and then io.EOF.
func (w *Whole) Next() (Input, error) {
	if w.done {
		return Input{}, io.EOF
	}
	w.done = true
	data, err := w.readAll()
	if err != nil {
		return Input{}, fmt.Errorf("read payload: %w", err)
	}
	if len(data) > w.limit {
		return Input{Err: fmt.Errorf("payload from %s: size %w of %d bytes", w.name, gearman.ErrTooLarge, w.limit)}, nil
	}
	return Input{Payload: data}, nil
}

// readAll reads at most one byte over the limit. For a regular file it allocates
// the size at once.
func (w *Whole) readAll() ([]byte, error) {
	limited := io.LimitReader(w.r, int64(w.limit)+1)
	f, ok := w.r.(*os.File)
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
