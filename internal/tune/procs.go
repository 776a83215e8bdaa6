package tune

import (
	"os"
	"runtime"
)

// leastProcs is the number of threads that LeastProcs asks for.
const leastProcs = 4

// LeastProcs has Go run at least four threads with Go code, unless GOMAXPROCS in the
// environment says how many. On a machine with fewer processors the garbage
// collector would otherwise take turns with the jobs on one thread, for
// milliseconds; with more threads the system shares the processors out in smaller
// slices. [Awake] needs a thread of its own, too.
func LeastProcs() {
	if ProcsTrick.On() && os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < leastProcs {
		runtime.GOMAXPROCS(leastProcs)
	}
}
