package server

import "gm/pkg/store"

// lasting is a completion that is given back when an extra is stored, and with it the
// end of the job that turned into the extra.
type lasting[C any] struct {
	key  string // of the extra
	done C
}

// attachLasting attaches a completion to the gathering batch that is given back
// only when the extra with that key is stored, in this batch or in a later try, and
// the end of the job that turned into the extra. The lock is held.
func (j *journal[C]) attachLasting(key string, done C) {
	j.next.lasting = append(j.next.lasting, lasting[C]{key, done})
}

// completeLasting gives back the lasting completions of earlier batches whose
// operations are no longer in the rest. The lock is held.
func (j *journal[C]) completeLasting() {
	if len(j.lasting) == 0 {
		return
	}
	left := make(map[string]bool)
	for i := range j.rest {
		switch op := &j.rest[i]; op.Kind {
		case store.Put:
			left[op.Key] = true
		case store.Done:
			left[j.owner.heirKey(op.Record.Seq)] = true
		}
	}
	var stored, kept []lasting[C]
	for _, l := range j.lasting {
		if left[l.key] {
			kept = append(kept, l)
		} else {
			stored = append(stored, l)
		}
	}
	j.lasting = kept
	j.giveLasting(stored)
}

// giveLasting gives lasting completions back. The lock is held.
func (j *journal[C]) giveLasting(some []lasting[C]) {
	if len(some) == 0 {
		return
	}
	done := make([]C, len(some))
	for i := range some {
		done[i] = some[i].done
	}
	j.owner.completeLasting(done)
}
