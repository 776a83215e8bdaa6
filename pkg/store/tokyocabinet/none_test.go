//go:build !tokyocabinet || !cgo

package tokyocabinet

import (
	"strings"
	"testing"
)

func TestWithoutLibrary(t *testing.T) {
	_, err := Open(t.Context(), Config{File: "queue.tch"})
	if want := "make build TAGS=tokyocabinet CGO_ENABLED=1"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("open: got %v, want %q in it", err, want)
	}
}
