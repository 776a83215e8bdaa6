package server

import (
	"math"
	"testing"
)

// TestOutboxHoldsTheLargestPayload has limits of which the double does not fit in
// an int.
func TestOutboxHoldsTheLargestPayload(t *testing.T) {
	for _, payload := range []int{1, 1 << 20, math.MaxInt/2 + 1, math.MaxInt} {
		if got := (Config{MaxPayload: payload}).withDefaults().MaxOutbox; got < payload {
			t.Errorf("payloads of %d bytes: an outbox has %d", payload, got)
		}
	}
}
