package batch

import "io"

// Input is one record as a source gives it. It belongs to the receiver, who
// must not write to its payload: records may lie side by side.
type Input struct {
	Payload []byte
	Name    string // what the record is called: a file's name, an argument; empty if it has none
	Err     error  // it could not be read: the record fails with that and is not sent, the others go on
}

// Source gives records one by one, and io.EOF after the last one. Any other
// error means that there are no further records. It is called by one goroutine
// at a time.
type Source interface {
	Next() (Input, error)
}

// Records is a Source of records at hand. Next takes them off its front.
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
