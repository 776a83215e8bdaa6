package outbox

import (
	"cmp"
	"time"
)

// withholding is the state of a function that is left out, because the servers refuse
// its jobs for now.
type withholding struct {
	since  time.Time // of the first refusal after the last accepted job
	wait   time.Duration
	end    time.Time // of the wait
	logged bool
}

// reportWithheld is the time after which the withholding of a function is logged. A
// queue may often be full for a short time.
const reportWithheld = time.Second

// withholdFunctions leaves out functions for a while. The servers have accepted jobs of
// the functions in taken, and refused jobs of the functions in held with these errors.
func (r *Relay) withholdFunctions(taken map[string]bool, held map[string]error) {
	now := time.Now()
	minWait, maxWait := cmp.Or(r.MinBackoff, DefaultMinBackoff), cmp.Or(r.MaxBackoff, DefaultMaxBackoff)
	for function := range taken {
		if w := r.withheld[function]; w != nil && held[function] == nil {
			r.endWithholding(function, w)
		}
	}
	for function, err := range held {
		w := r.withheld[function]
		if w == nil {
			w = &withholding{}
			r.withheld[function] = w
		}
		if taken[function] || w.since.IsZero() {
			w.since, w.wait = now, 0
		}
		w.wait = min(max(2*w.wait, minWait), maxWait)
		w.end = now.Add(w.wait)
		if !w.logged && now.Sub(w.since) >= reportWithheld {
			w.logged = true
			r.logger().Warn("outbox relay leaves out a function that the servers refuse", "outbox", r.DB.name,
				"function", function, "error", err)
		}
	}
	r.countWithheld()
}

// endWithholding submits the jobs of a function again.
func (r *Relay) endWithholding(function string, w *withholding) {
	delete(r.withheld, function)
	if w.logged {
		r.logger().Info("outbox relay submits a function again", "outbox", r.DB.name, "function", function)
	}
}

// forgetWithheld forgets the functions whose wait is over. It is called when they have no
// rows: somebody has deleted these, or another relay has moved them.
func (r *Relay) forgetWithheld() {
	now := time.Now()
	for function, w := range r.withheld {
		if !now.Before(w.end) {
			r.endWithholding(function, w)
		}
	}
	r.countWithheld()
}

func (r *Relay) countWithheld() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Withheld = len(r.withheld)
}

// functionsToSkip returns the functions that are left out now.
func (r *Relay) functionsToSkip() (names []string) {
	now := time.Now()
	for function, w := range r.withheld {
		if now.Before(w.end) {
			names = append(names, function)
		}
	}
	return names
}
