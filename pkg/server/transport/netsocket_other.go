//go:build !unix

package transport

// The events for isReady.
const (
	readable = iota
	writable
)

// isReady reports false: the system is not asked.
func isReady(int, int16) bool { return false }

// rawWrite writes nothing: every write is left to a goroutine that waits.
func rawWrite(int, []byte) (int, error) { return 0, nil }
