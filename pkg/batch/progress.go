package batch

import "sync/atomic"

// Progress is how far a Run has come. All but the last two are numbers of
// records.
type Progress struct {
	Read    int   // given by the source and looked at
	Skipped int   // of these, left out
	Done    int   // of these, ended, well or not, whether or not they have been handed on
	Failed  int   // of these, with an error
	Running int   // in flight
	Waiting int   // ended, but their results wait for an older record's
	Held    int64 // bytes that count against Batch.Memory
	All     bool  // the source has ended: Read is all there are
}

// Progress says how far the latest Run has come; before the first it is zero. It
// may be called at any time, by any goroutine.
func (b *Batch) Progress() Progress {
	if f := b.fold.Load(); f != nil {
		return f.progress()
	}
	r := b.run.Load()
	if r == nil {
		return Progress{}
	}
	n := &r.n
	p := Progress{
		Skipped: int(n.skipped.Load()),
		Failed:  int(n.failed.Load()),
		Running: int(n.running.Load()),
		Held:    n.held.Load(),
	}
	// In this order no difference is less than nothing.
	handed := n.handed.Load()
	p.Done = int(n.done.Load())
	p.Waiting = p.Done - int(handed)
	p.All = n.all.Load()
	p.Read = int(n.read.Load())
	return p
}

// counts are what Progress reads, while a function of the Batch may block.
type counts struct {
	read, skipped, done, failed, running, handed, held atomic.Int64
	all                                                atomic.Bool
}
