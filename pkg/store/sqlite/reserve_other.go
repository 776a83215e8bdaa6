//go:build !linux

package sqlite

// reserve does nothing: this system can't, or not in this way.
func reserve(string, int64) error { return errNoReserve }
