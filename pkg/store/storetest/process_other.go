//go:build !linux

package storetest

// children is for Linux, where /proc tells.
func children(int) []int { return nil }
