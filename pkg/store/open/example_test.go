package open_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"gm/pkg/store"
	"gm/pkg/store/open"
)

// Example opens a store for this process alone, adds a job and lists it.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "queue")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	place, err := open.Parse("sqlite:" + filepath.Join(dir, "queue.db"))
	if err != nil {
		log.Fatal(err)
	}
	s, err := place.Acquire(ctx, "example", false)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()

	job := &store.Record{Seq: 1, Function: "resize", Payload: []byte("cat.png")}
	if err := s.Commit(ctx, []store.Op{{Kind: store.Add, Record: job}}); err != nil {
		log.Fatal(err)
	}
	err = s.Replay(ctx, func(r *store.Record) error {
		fmt.Printf("%d %s %s\n", r.Seq, r.Function, r.Payload)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: 1 resize cat.png
}
