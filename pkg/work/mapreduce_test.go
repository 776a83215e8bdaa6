package work

import (
	"testing"

	"gm/pkg/gearman"
)

func TestMapperHasBounds(t *testing.T) {
	m := &mapper{options: gearman.Options{MaxPayload: 100}}
	reserve := func(size int, want bool) {
		t.Helper()
		if got := m.reserve(size); got != want {
			t.Errorf("a job of %d bytes next to %d of %d: got %v, want %v", size, m.running, m.held, got, want)
		}
	}
	reserve(1000, true) // one may always
	reserve(1, false)
	m.release(1000)
	reserve(100, true)
	reserve(maxMapPayloads*100-100, true)
	reserve(1, false)
	reserve(0, true)
	for m.running < maxMaps {
		reserve(0, true)
	}
	reserve(0, false)
	m.release(0)
	reserve(0, true)
}
