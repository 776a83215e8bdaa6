package storetest

import (
	"os"
	"sync"
	"testing"
)

// lastingCleanups are the cleanups of all TBs that Lasting has returned.
var lastingCleanups struct {
	sync.Mutex
	functions []func()
}

// lastingTB is a TB whose cleanups and directories stay until CleanLasting.
type lastingTB struct{ testing.TB }

// Lasting returns a TB for a server that several tests of a package share. The server
// fails or skips t if it cannot start, and stays until CleanLasting.
func Lasting(t testing.TB) testing.TB { return lastingTB{t} }

// Cleanup registers a function for CleanLasting.
func (t lastingTB) Cleanup(f func()) {
	lastingCleanups.Lock()
	defer lastingCleanups.Unlock()
	lastingCleanups.functions = append(lastingCleanups.functions, f)
}

// TempDir returns a directory in a directory of its own, as that of a test is.
func (t lastingTB) TempDir() string {
	parent, err := os.MkdirTemp("", "lasting")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(parent) })
	dir, err := os.MkdirTemp(parent, "")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// CleanLasting stops the servers that were started with Lasting, and removes their
// directories. A package's TestMain calls it when the tests have ended.
func CleanLasting() {
	lastingCleanups.Lock()
	defer lastingCleanups.Unlock()
	for n := len(lastingCleanups.functions); n > 0; n-- {
		lastingCleanups.functions[n-1]()
	}
	lastingCleanups.functions = nil
}
