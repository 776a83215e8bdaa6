package server_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"gm/pkg/server"
	"gm/pkg/store"
	"gm/pkg/wire"
)

// TestLongChangeThatIsNotStored: a change that takes several turns is not reported as
// stored if the store has refused the operations of one of these turns, though it
// has taken all others.
func TestLongChangeThatIsNotStored(t *testing.T) {
	const jobs = 200 // more than the first page of a command
	for name, purge := range map[string]func(s *server.Server, p *peer) string{
		"command": func(_ *server.Server, p *peer) string { return p.line("purge function f") },
		"method": func(s *server.Server, _ *peer) string {
			_, err := s.Purge(t.Context(), "f")
			if !errors.Is(err, server.ErrNotStored) {
				return "OK"
			}
			return "ERR NOT_STORED " + err.Error()
		},
	} {
		t.Run(name, func(t *testing.T) {
			var bad atomic.Uint64 // the job whose end the store does not take
			var refused atomic.Int32
			st := newPicky(func(_ int, op *store.Op) error {
				if op.Kind != store.Done || op.Record.Seq != bad.Load() {
					return nil
				}
				refused.Add(1)
				return errBad
			})
			s, addr := start(t, server.Config{Store: st})
			p := dial(t, addr)
			for range jobs {
				p.send(req(wire.SubmitJobBG, "f", "", "x"))
			}
			for range jobs {
				p.want(`JOB_CREATED *`)
			}
			bad.Store(st.all()[0].Seq)
			s.OnPage(func() { // the first batch is on its way before the next turn
				eventually(t, "the store refuses", func() bool { return refused.Load() > 0 })
			})
			if got := purge(s, p); !strings.HasPrefix(got, "ERR NOT_STORED") || !strings.Contains(got, errBad.Error()) {
				t.Errorf("got %.100q, want ERR NOT_STORED", got)
			}
		})
	}
}
