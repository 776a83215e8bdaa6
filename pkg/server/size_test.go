package server

import (
	"testing"
	"unsafe"
)

// The size of a connection, with its outbox, is one of the runtime's size
// classes. The next larger one costs each idle worker 32 bytes.
func TestIdleConnectionIsSmall(t *testing.T) {
	const most = 480
	if size := unsafe.Sizeof(conn{}); size > most {
		t.Errorf("a connection has %d bytes, want at most %d: add rare fields behind a pointer", size, most)
	}
}
