//go:build tokyocabinet && cgo && !linux

package tokyocabinet

import "os"

// datasync writes the content of a file to the disk.
func datasync(f *os.File) error { return f.Sync() }

// reserve does nothing: this system cannot reserve blocks.
func reserve(*os.File, int64, int64) error { return nil }
