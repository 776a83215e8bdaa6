package transport

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
)

// TestLanesHaveTheirOrder: of connections whose bytes are found together, those of the
// first lane have their turns before the second, one of the slow lane has a turn in each
// round, and one that sends in bulk goes on after these.
func TestLanesHaveTheirOrder(t *testing.T) {
	s := startTestServer(t, true)
	names := []string{"bulk", "slow1", "second1", "slow2", "first1", "second2", "first2", "gate"}
	lanes := map[string]Lane{"slow": SlowLane, "second": SecondLane}
	conns := map[string]net.Conn{}
	for _, name := range names {
		conns[name] = s.dial(t, "unix")
		write(t, conns[name], fmt.Sprintf("%s lane %d\n", name, lanes[strings.TrimRight(name, "12")]))
		wantLine(t, conns[name], "ok")
	}
	s.mu.Lock()
	s.turns = nil
	s.mu.Unlock()

	// The turn of gate ends when all the others have sent.
	write(t, conns["gate"], "gate wait\n")
	<-s.waiting
	lines := 1
	for _, name := range names[:len(names)-1] {
		line := name + " echo y\n"
		if name == "bulk" {
			lines = 3 * bulkBytes / len(line)
			line = strings.Repeat(line, lines)
		}
		write(t, conns[name], line)
	}
	s.goOn <- struct{}{}
	for _, name := range names[1 : len(names)-1] {
		wantLine(t, conns[name], "y")
	}
	for range lines {
		wantLine(t, conns["bulk"], "y")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	got := slices.Compact(s.turns)
	want := []string{"gate", "bulk", "first1", "first2", "second1", "second2", "slow1", "bulk", "slow2"}
	if len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
		t.Errorf("turns %v, want %v", got, want)
	}
}
