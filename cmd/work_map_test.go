package cmd

import (
	"testing"

	"gm/pkg/gearman"
)

func TestMapperHasBounds(t *testing.T) {
	m := &mapper{options: gearman.Options{MaxPayload: 100}}
	begin := func(size int, want bool) {
		t.Helper()
		if got := m.begin(size); got != want {
			t.Errorf("a job of %d bytes beside %d of %d: got %v, want %v", size, m.running, m.held, got, want)
		}
	}
	begin(1000, true) // one may always
	begin(1, false)
	m.end(1000)
	begin(100, true)
	begin(maxMapPayloads*100-100, true)
	begin(1, false)
	begin(0, true)
	for m.running < maxMaps {
		begin(0, true)
	}
	begin(0, false)
	m.end(0)
	begin(0, true)
}
