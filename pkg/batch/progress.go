package batch

// Progress is how far a Run has come. All counts but the last are of records.
type Progress struct {
	Read    int   // given by the source and looked at
	All     bool  // Read is all there are
	Skipped int   // of these, left out
	Done    int   // ended, well or not, whether or not they have been handed on
	Failed  int   // of these, with an error
	Running int   // in flight
	Waiting int   // ended, and their results wait for an older record's
	Held    int64 // bytes that count against Batch.Memory
}

// Progress says how far the latest Run has come. It may be called at any time
// and by any goroutine, but not from the Batch's functions; before a Run it is
// zero.
func (b *Batch) Progress() Progress {
	r := b.run.Load()
	if r == nil {
		return Progress{}
	}
	return r.progress()
}
