package server_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"gm/pkg/server"
	"gm/pkg/store"
	"gm/pkg/wire"
)

// narrow is a journal with room for one job. What a batch makes of it is for
// the next.
type narrow struct{ *journal }

func (n narrow) Commit(ctx context.Context, ops []store.Op) error {
	isAdd := func(op store.Op) bool { return op.Kind == store.Add }
	if slices.ContainsFunc(ops, isAdd) && len(n.all()) > 0 {
		return fmt.Errorf("commit: %w", store.ErrFull)
	}
	return n.journal.Commit(ctx, ops)
}

// The end of a job makes room in a full store though a submission is in every
// batch.
func TestFullStoreTakesEndsAlone(t *testing.T) {
	st := narrow{newJournal()}
	_, addr := start(t, server.Config{Store: st})
	p := worker(t, addr, "f")
	p.send(req(wire.SubmitJobBG, "f", "", "a"))
	h := p.want(`JOB_CREATED *`)[0]
	p.grab()
	p.send(req(wire.WorkComplete, h, ""), req(wire.SubmitJobBG, "f", "", "b"))
	p.want(`ERROR *`)
	p.send(req(wire.SubmitJobBG, "f", "", "c"))
	p.want(`JOB_CREATED *`)
	if got := st.payloads(t); got != "c" {
		t.Errorf("in the store: %s, want c", got)
	}
}
