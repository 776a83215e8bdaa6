package batch

import "io"

// Input is one record from a source. It belongs to the receiver, which must not
// write to its payload, because records may share memory.
type Input struct {
	Payload []byte
	Name    string // name of the record, such as a file name or an argument; empty if it has none
	Err     error  // the record could not be read: it fails with this error and is not sent; the others go on
}

// Source returns records one by one, and io.EOF after the last one. Any other
// error also means that there are no further records. It is called by one
// goroutine at a time.
type Source interface {
	Next() (Input, error)
}

// Records is a Source of records in memory. Next removes them from its front.
type Records []Input

// Next returns the next record.
func (r *Records) Next() (Input, error) {
	if len(*r) == 0 {
		return Input{}, io.EOF
	}
	first := (*r)[0]
	*r = (*r)[1:]
	return first, nil
}
