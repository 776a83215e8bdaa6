package queue

import (
	"fmt"
	"testing"
)

// With a ForgetAfter of 100 ms a sweep begins every 25 ms, and a function is
// forgotten after 125 ms at the earliest.
func TestUnusedFunctionsAreForgotten(t *testing.T) {
	cfg := Config{ForgetAfter: 100, DeadMax: 9, JobRetries: -1}
	runRules(t, []rule{
		{"a function whose worker has left", cfg, `
			at 1000
			W can f
			W gone
			next => 1025 true
			at 1025
			at 1100
			at 1124
			functions => f 0/0/0 0 0 0 0
			at 1150
			functions`},
		{"a function whose jobs are done", cfg, `
			C submit f => 1
			W can f
			W grab => 1
			at 1500
			complete 1 => 1 completed C
			W gone
			at 1525
			functions => f 0/0/0 0 0 0 0
			at 1700
			functions`},
		{"one that is used now and then stays", cfg, `
			at 1000
			W can f
			W gone
			at 1100
			W can f
			W gone
			at 1200
			W can f
			W gone
			at 1300
			functions => f 0/0/0 0 0 0 0`},
		{"one that has a worker, jobs or dead jobs stays", cfg, `
			W can worker
			C submit waits bg => 1
			C submit later bg at=9000 => 2
			restoredead 5 dead 900
			at 1500
			at 1900
			functions => worker 0/0/0 0 0 1 0; waits 0/1/0 0 0 0 0; later 0/0/0 1 0 0 0; dead 0/0/0 0 0 0 0`},
		{"what an administrator has set stays", cfg, `
			create created
			limit limited 5 5 5
			policy retried 3 1 1
			W can paused
			W gone
			pause paused
			W can free
			W gone
			at 1500
			at 1900
			functions => created 0/0/0 0 0 0 0; limited 0/0/0 0 0 0 0; retried 0/0/0 0 0 0 0; paused 0/0/0 0 0 0 0
			limit limited 0 0 0
			resume paused
			policy retried
			at 2500
			at 2900
			functions => created 0/0/0 0 0 0 0`},
		{"without end", Config{}, `
			W can f
			W gone
			next => 0 false
			at 9999999
			functions => f 0/0/0 0 0 0 0`},
	})
}

// A peer that names functions without end does not fill the memory for good, and
// no call takes long for a sweep of them.
func TestManyUnusedFunctionsGoInPieces(t *testing.T) {
	q := New(Config{ForgetAfter: 100}, silent{})
	q.now = 1000
	p := q.NewPeer(nil)
	const many = 5*maxDue + 1
	for i := range many {
		q.CanDo(1000, p, fmt.Appendf(nil, "f%d", i), 0)
	}
	for q.Remove(1000, p, 1000) {
	}
	for q.functions.first != nil {
		at, ok := q.Next()
		if !ok || at > 1200 {
			t.Fatalf("%d functions are left, the next Tick is at %d, %v", len(q.functions.byName), at, ok)
		}
		before := len(q.functions.byName)
		q.Tick(max(at, q.now))
		if gone := before - len(q.functions.byName); gone > maxDue {
			t.Fatalf("%d functions went in one Tick", gone)
		}
	}
	if len(q.functions.byName) != 0 || q.functions.last != nil {
		t.Errorf("%d functions are left", len(q.functions.byName))
	}
}
