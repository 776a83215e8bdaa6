package batch

import "sync/atomic"

// Progress counts the records of a Run. All fields except the last two are
// numbers of records.
type Progress struct {
	Read    int   // received from the source
	Skipped int   // of these, left out
	Done    int   // of these, ended, with or without an error, passed on or not
	Failed  int   // of these, with an error
	Running int   // in flight
	Waiting int   // ended, but waiting for the results of an older record
	Held    int64 // bytes that count against Batch.Memory
	All     bool  // the source has ended: Read is all there are
}

// Progress returns the counts of the latest Run; before the first one it is
// zero. It may be called at any time, by any goroutine.
func (b *Batch) Progress() Progress {
	if f := b.reducing.Load(); f != nil {
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

// counts are the values that Progress reads even while a function of the Batch
// blocks.
type counts struct {
	read, skipped, done, failed, running, handed, held atomic.Int64
	all                                                atomic.Bool
}
