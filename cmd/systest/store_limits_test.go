package systest

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"gm/internal/testgm"
	"gm/pkg/gearman"
	"gm/pkg/server"
	"gm/pkg/store/open"
	"gm/pkg/store/storetest"
)

// TestDeadJobOverLimit has jobs fail whose payloads the store takes, but not with
// the other fields of a dead job: the server goes on taking jobs, and lists the
// dead ones.
func TestDeadJobOverLimit(t *testing.T) {
	const limit = 16<<20 - 64<<10 // with MariaDB's default max_allowed_packet
	mysql := storetest.StartMySQL(t)
	p, err := open.Parse(mysql.URL(mysql.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.Open(t.Context())
	if err == nil {
		err = open.Lock(t.Context(), s, "test")
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Caps().MaxPayload; got != limit {
		t.Fatalf("largest payload: got %d, want %d", got, limit)
	}
	log := testgm.NewLog()
	srv, err := server.New(server.Config{Store: s, StoreName: "mysql", Logger: slog.New(slog.NewTextHandler(log, nil)), KeepResults: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	defer func() {
		_ = srv.Close()
		<-served
	}()
	servers, err := gearman.ParseServers(l.Addr().String(), 0)
	if err != nil {
		t.Fatal(err)
	}
	options := gearman.Options{Servers: servers}
	w, err := gearman.NewWorker(gearman.WorkerOptions{Options: options})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan int, 100)
	handle := func(name string, answer func(size int) ([]byte, error)) {
		err := w.Handle(name, func(_ context.Context, j *gearman.Job) ([]byte, error) {
			defer func() { done <- len(j.Payload()) }()
			return answer(len(j.Payload()))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	handle("fails", func(int) ([]byte, error) { return nil, errors.New("no") })
	handle("large result", func(int) ([]byte, error) { return make([]byte, limit+1), nil })
	handle("works", func(int) ([]byte, error) { return nil, nil })
	working := make(chan error, 1)
	go func() { working <- w.Run(context.Background()) }()
	defer func() {
		w.Stop()
		<-working
	}()

	c, err := gearman.NewClient(options)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	submit := func(function string, size int) (gearman.Handle, error) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		return c.Background(ctx, &gearman.Task{Function: function, Payload: make([]byte, size)})
	}
	admin := gearman.NewAdmin(servers[0], options)
	defer admin.Close()
	for _, size := range []int{limit - 80, limit - 1, limit} {
		for _, function := range []string{"fails", "large result"} {
			h, err := submit(function, size)
			if err != nil {
				t.Fatalf("submission of %d bytes: %v", size, err)
			}
			<-done
			// In either case the store takes the next jobs.
			for range 3 {
				if _, err := submit("works", 10); err != nil {
					t.Fatalf("submission after a job of %d bytes that %s: %v", size, function, err)
				}
				<-done
			}
			if function == "fails" {
				if j, err := admin.Job(t.Context(), h); err != nil || j.State != gearman.StateDead {
					t.Errorf("failed job of %d bytes: got %v, %v, want a dead one", size, j.State, err)
				}
			}
		}
	}
	if _, err := submit("works", limit+1); err == nil || !strings.Contains(err.Error(), "exceeds") {
		t.Errorf("submission of %d bytes: got %v, want that it exceeds the limit", limit+1, err)
	}
	if _, err := submit("works", 10); err != nil {
		t.Errorf("submission at last: %v", err)
	}
	<-done
	if log.Has("store fails") {
		t.Errorf("the store failed: %q", log.Lines())
	}
}
