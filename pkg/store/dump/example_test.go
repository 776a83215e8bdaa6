package dump_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"gm/pkg/store"
	"gm/pkg/store/dump"
	"gm/pkg/store/open"
)

// Example copies one store to another of another kind.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "queue")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	openStore := func(url string) store.Store {
		place, err := open.Parse(url)
		if err != nil {
			log.Fatal(err)
		}
		s, err := place.Acquire(ctx, "example", false)
		if err != nil {
			log.Fatal(err)
		}
		return s
	}
	from := openStore("sqlite:" + filepath.Join(dir, "queue.db"))
	defer from.Close()
	to := openStore("disk:" + filepath.Join(dir, "queue"))
	defer to.Close()
	job := &store.Record{Seq: 1, Function: "resize", Payload: []byte("cat.png"), Priority: 1}
	if err := from.Commit(ctx, []store.Op{{Kind: store.Add, Record: job}}); err != nil {
		log.Fatal(err)
	}

	r, w := io.Pipe()
	go func() { w.CloseWithError(dump.Write(ctx, w, from)) }()
	l, err := dump.NewLoader(ctx, to, false)
	if err != nil {
		log.Fatal(err)
	}
	if err := l.Load(ctx, r); err != nil {
		log.Fatal(err)
	}
	fmt.Println(l.Counts().Jobs, l.Complete())

	if err := dump.Write(ctx, os.Stdout, to); err != nil {
		log.Fatal(err)
	}
	// Output:
	// 1 true
	// {"seq":1,"function":"resize","payload":"Y2F0LnBuZw=="}
	// {"end":true,"jobs":1,"extras":0}
}
