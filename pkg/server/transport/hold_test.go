package transport

import (
	"strings"
	"testing"
)

// TestHold: the reading goes on once all events have come, whenever they come.
func TestHold(t *testing.T) {
	// The steps: e expects an event, 1, 2, 3 that event comes, b begins the hold and
	// holds, n begins it and does not hold, c cancels, r the reading was made to go on.
	for _, steps := range []string{
		"n",                 // nothing to wait for
		"e b 1 r",           // one event
		"e 1 n",             // it comes during the turn
		"e e b 2 1 r",       // two events in any order
		"e e 2 b 1 r",       // one during the turn
		"e b 1 r 1",         // it comes twice
		"e e b 1 1 r",       // an event counts each time that it comes
		"e b c r 1",         // it comes after the cancel
		"e c n 1",           // cancelled during the turn
		"e b c r e b 1 2 r", // an event of a cancelled hold does not end the next one
		"e b 1 r e b 1 2 r", // nor one of a hold that has ended
		"e b c r c",         // cancelled twice
	} {
		resumed := 0
		h := Hold{resume: func() { resumed++ }}
		var events []func()
		for i, step := range strings.Fields(steps) {
			wantResumed := 0
			switch step {
			case "e":
				events = append(events, h.Expect())
			case "b", "n":
				if held := h.Begin(); held != (step == "b") || h.isHeld() != held {
					t.Errorf("%s: step %d: held %v", steps, i, held)
				}
			case "c":
				h.Cancel()
			case "r":
				wantResumed = 1
			default:
				events[step[0]-'1']()
			}
			rest := strings.Fields(steps)[i+1:]
			if next := len(rest) > 0 && rest[0] == "r"; resumed != wantResumed && !next {
				t.Errorf("%s: step %d: the reading goes on %d times, want %d", steps, i, resumed, wantResumed)
			}
			if step == "r" {
				if resumed != 1 || h.isHeld() {
					t.Errorf("%s: step %d: the reading goes on %d times, held %v", steps, i, resumed, h.isHeld())
				}
				resumed = 0
			}
		}
		if resumed != 0 {
			t.Errorf("%s: the reading goes on at the end", steps)
		}
	}
}
