package runner

import (
	"runtime"
	"testing"
)

// TestCallPostureKnowsBothWidths has the states of programs of 64 and of 32 bits,
// which may run side by side, whichever of them gm is.
func TestCallPostureKnowsBothWidths(t *testing.T) {
	const (
		amd64 = " 0x1 0x2 0x3 0x4 0x5 0x7ffe9f992248 0x4321bd\n"
		i386  = " 0x1 0x2 0x3 0x4 0x5 0xffe9f992 0xf7f432a8\n"
	)
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "386" {
		t.Skipf("the states are those of amd64 and 386, not of %s", runtime.GOARCH)
	}
	for _, tc := range []struct {
		name, state string
		want        posture
		reads       bool
	}{
		{"read of stdin", "0 0x0" + amd64, busy, true},
		{"read of stdin, 32 bits", "3 0x0" + i386, busy, true},
		{"read of another file", "0 0x7" + amd64, busy, false},
		{"read of another file, 32 bits", "3 0x7" + i386, busy, false},
		{"close of stdin", "3 0x0" + amd64, unclear, false},
		{"restart_syscall, 32 bits", "0 0x0" + i386, unclear, false},
		{"write", "1 0x1" + amd64, busy, false},
		{"write, 32 bits", "4 0x1" + i386, busy, false},
		{"nanosleep", "35 0x1" + amd64, busy, false},
		{"clock_nanosleep", "230 0x0" + amd64, busy, false},
		{"clock_nanosleep, 32 bits", "267 0x0" + i386, busy, false},
		{"clock_nanosleep_time64, 32 bits", "407 0x0" + i386, busy, false},
		{"vfork", "58 0x0" + amd64, busy, false},
		{"vfork, 32 bits", "190 0x0" + i386, busy, false},
		{"execve", "59 0x0" + amd64, busy, false},
		{"clone3", "435 0x0" + amd64, busy, false},
		{"clone3, 32 bits", "435 0x0" + i386, busy, false},
		{"wait4", "61 0xffffffff" + amd64, atRest, false},
		{"wait4, 32 bits", "114 0xffffffff" + i386, atRest, false},
		{"waitpid, 32 bits", "7 0xffffffff" + i386, atRest, false},
		{"waitid", "247 0x0" + amd64, atRest, false},
		{"poll", "7 0x0" + amd64, unclear, false},
		{"not known", "", unclear, false},
		{"on the processor", "running\n", busy, false},
		{"in no call", "-1 0x7ffe9f992248 0x4321bd\n", busy, false},
	} {
		if got := callPosture([]byte(tc.state)); got != tc.want {
			t.Errorf("%s: got posture %d, want %d", tc.name, got, tc.want)
		}
		if got := readsStdin([]byte(tc.state)); got != tc.reads {
			t.Errorf("%s: reads stdin: got %v, want %v", tc.name, got, tc.reads)
		}
	}
}

func BenchmarkReadsStdin(b *testing.B) {
	state := []byte("0 0x0 0x7ffe9f99225c 0x1000 0x0 0x1 0x1 0x7ffe9f992248 0x7f1f432a8bd3\n")
	b.ReportAllocs()
	for b.Loop() {
		readsStdin(state)
	}
}
