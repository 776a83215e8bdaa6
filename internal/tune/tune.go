// Package tune has the tricks by which gm takes less time with the Go runtime of
// today. Each of them depends on something that the runtime does inside and does
// not promise. A new version of Go may make a trick useless, so they all stand
// here, with one switch:
//
//	GM_TUNE=off           turns all tricks off
//	GM_TUNE=-yield,-poll  turns these tricks off
//
// Every trick is optional: gm works without it, only slower. BenchmarkTricks
// measures small jobs with and without each trick, in turns, and says which trick
// no longer pays; run it (make bench-tune) with each new version of Go.
package tune

import (
	"os"
	"strings"
	"sync/atomic"
)

// Trick is a set of tricks.
type Trick uint32

const (
	// AwakeTrick keeps a thread in a system call while a program has many small
	// events; see [Awake].
	AwakeTrick Trick = 1 << iota
	// YieldTrick has a loop that makes system calls all the time pass through the
	// scheduler now and then; see [Yielder].
	YieldTrick
	// GarbageTrick has the garbage collector run less often in a small process;
	// see [Garbage].
	GarbageTrick
	// ProcsTrick runs Go code on more threads than there are processors; see
	// [LeastProcs].
	ProcsTrick
	// PollTrick waits for a descriptor in a system call of the calling thread
	// instead of the runtime's poller; see [Socket].
	PollTrick
)

// names are the names of the tricks in GM_TUNE, in the order of the constants.
var names = [...]string{"awake", "yield", "garbage", "procs", "poll"}

// All returns all tricks.
func All() (all []Trick) {
	for i := range names {
		all = append(all, 1<<i)
	}
	return all
}

// String returns the names of the tricks in the set.
func (t Trick) String() string {
	var set []string
	for i, name := range names {
		if t&(1<<i) != 0 {
			set = append(set, name)
		}
	}
	return strings.Join(set, ",")
}

// known is set in state once the environment has been read.
const known = 1 << 31

// state has the tricks that are off.
var state atomic.Uint32

// On reports whether the tricks are on.
func (t Trick) On() bool {
	off := state.Load()
	if off == 0 {
		off = known | uint32(parse(os.Getenv("GM_TUNE")))
		state.Store(off)
	}
	return off&uint32(t) == 0
}

// Disable turns tricks off, and all others on, until restore is called. Benchmarks
// use it.
func Disable(off Trick) (restore func()) {
	before := state.Swap(known | uint32(off))
	return func() { state.Store(before) }
}

// parse returns the tricks that GM_TUNE turns off. It ignores words that it does
// not know: another version of gm may know them.
func parse(setting string) (off Trick) {
	for word := range strings.SplitSeq(setting, ",") {
		word = strings.ToLower(strings.TrimSpace(word))
		if word == "off" {
			return 1<<len(names) - 1
		}
		for i, name := range names {
			if word == "-"+name {
				off |= 1 << i
			}
		}
	}
	return off
}
