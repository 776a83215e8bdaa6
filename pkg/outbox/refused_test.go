package outbox

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gm/pkg/server"
	"gm/pkg/store"
)

// smallStore keeps nothing, and takes no payload of more than 1,000 bytes.
type smallStore struct{ store.Memory }

func (smallStore) Caps() store.Caps { return store.Caps{MaxPayload: 1000} }

func (smallStore) Commit(context.Context, []store.Op) error { return nil }

// TestOverLimitOfTheStore has a row whose workload the store of the job server can never
// take. It dies, and does not hold up the others of its function.
func TestOverLimitOfTheStore(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		db := d.install(t, Config{})
		s := startServer(t, "", server.Config{Store: smallStore{}, StoreName: "small"})
		insert(t, db, "f", strings.Repeat("x", 2000), 1, 1)
		insert(t, db, "f", "good", 1, 3)
		r := newRelay(t, db, s.addr)
		r.MaxAttempts = 3
		run(t, r)
		startCollector(t, s.addr, "f").wait(t, 3)
		waitEmpty(t, db, r)
		rows, err := db.Dead(t.Context(), 0, 0)
		if err != nil || len(rows) != 1 || !strings.Contains(rows[0].LastError, "exceeds the limit of store small") {
			t.Errorf("got %+v, %v, want one dead row with the error of the store", rows, err)
		}
	})
}

// fullStore has no room while it is full.
type fullStore struct {
	store.Memory
	full *atomic.Bool
}

func (s fullStore) Commit(context.Context, []store.Op) error {
	if s.full.Load() {
		return errors.New("no room on the disk")
	}
	return nil
}

// TestLogWithheldFunction has a job server whose store is full for a while. The relay
// logs that once, and once that it goes on.
func TestLogWithheldFunction(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		db := d.install(t, Config{})
		full := new(atomic.Bool)
		full.Store(true)
		s := startServer(t, "", server.Config{Store: fullStore{full: full}, StoreName: "full"})
		insert(t, db, "f", "a", 1, 3)
		r := newRelay(t, db, s.addr)
		log := &lockedBuffer{}
		r.Logger = slog.New(slog.NewTextHandler(log, nil))
		r.MaxBackoff = 300 * time.Millisecond
		run(t, r)
		const begins, ends = "leaves out a function that the servers refuse", "submits a function again"
		waitFor(t, "line about the function", r, func() bool { return strings.Contains(log.String(), begins) })
		if got := r.Stats(); got.Withheld != 1 || got.Refused != 0 {
			t.Errorf("got %+v, want 1 function withheld and no attempts of rows", got)
		}
		full.Store(false)
		waitEmpty(t, db, r)
		waitFor(t, "end", r, func() bool { return r.Stats().Withheld == 0 })
		got := log.String()
		if strings.Count(got, begins) != 1 || strings.Count(got, ends) != 1 || !strings.Contains(got, "function=f") || !strings.Contains(got, "no room on the disk") {
			t.Errorf("got the log\n%s\nwant one line for the beginning and one for the end", got)
		}
	})
}
