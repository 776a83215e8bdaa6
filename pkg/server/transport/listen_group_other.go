//go:build !unix

package transport

import "errors"

func groupID(string) (int, error) { return -1, errors.New("this system has no groups") }

func lockDir(string) (unlock func(), err error) { return func() {}, nil }

func withUmask(_ bool, f func() error) error { return f() }
