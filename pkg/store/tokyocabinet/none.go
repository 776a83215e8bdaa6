//go:build !tokyocabinet || !cgo

package tokyocabinet

import (
	"context"
	"errors"

	"gm/pkg/store"
)

// Open returns an error: this program was built without Tokyo Cabinet.
func Open(context.Context, Config) (store.Store, error) {
	return nil, errors.New("this gm was built without Tokyo Cabinet, which is a C library: " +
		"install libtokyocabinet-dev and build it with make build TAGS=tokyocabinet CGO_ENABLED=1")
}
