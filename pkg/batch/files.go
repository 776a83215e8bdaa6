package batch

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"gm/pkg/gearman"
)

// Files is a Source of the files that another Source names: a record is the
// whole content of a file, and has the file's name. A file that cannot be read,
// or is over the limit, is a record with an error.
type Files struct {
	names Source
	limit int
}

// NewFiles returns the files whose names are the payloads of names. limit is
// the maximum size of a file in bytes; 0 means no limit.
func NewFiles(names Source, limit int) *Files { return &Files{names: names, limit: limit} }

// Next reads the next file.
func (f *Files) Next() (Input, error) {
	in, err := f.names.Next()
	if err != nil || in.Err != nil {
		return in, err
	}
	in.Name = string(in.Payload)
	in.Payload, in.Err = readFile(in.Name, f.limit)
	return in, nil
}

// readFile reads a file of up to limit bytes; 0 means no limit.
func readFile(name string, limit int) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read file: %w", err)
	}
	if info.IsDir() {
		return nil, fmt.Errorf("read file: %w", &fs.PathError{Op: "read", Path: name, Err: errors.New("is a directory")})
	}
	most := maxFeed
	if limit > 0 {
		most = min(limit, maxFeed)
	}
	if info.Size() > int64(most) {
		return nil, fmt.Errorf("read file: %s: size %d %w of %d bytes", name, info.Size(), gearman.ErrTooLarge, most)
	}
	// The size is a hint: the file may grow, or may not be a regular file.
	in := &feed{src: f, most: limit}
	if limit > 0 {
		in.src = io.LimitReader(f, int64(limit)+1)
	}
	for hint := int(info.Size()) + 1; in.err == nil; hint = 0 {
		in.fill(hint)
	}
	switch {
	case in.err != io.EOF:
		return nil, fmt.Errorf("read file: %w", in.err)
	case limit > 0 && len(in.buf) > limit:
		return nil, fmt.Errorf("read file: %s: size %w of %d bytes", name, gearman.ErrTooLarge, limit)
	}
	return in.buf, nil
}
