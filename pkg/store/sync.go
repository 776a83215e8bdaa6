package store

import "fmt"

// Sync is the time at which a store in files writes committed batches to the
// disk. A crash of the process never loses any. A loss of power loses the batches
// since the last sync with SyncInterval; with SyncNever it may also damage the
// files.
type Sync string

// The values of Sync.
const (
	SyncAlways   Sync = "always"   // before Commit returns
	SyncInterval Sync = "interval" // at each interval, by default one second
	SyncNever    Sync = "never"    // whenever the system does
)

// Check returns an error if s is none of these values.
func (s Sync) Check() error {
	switch s {
	case SyncAlways, SyncInterval, SyncNever:
		return nil
	}
	return fmt.Errorf("sync is %q, want %s, %s or %s", string(s), SyncAlways, SyncInterval, SyncNever)
}
