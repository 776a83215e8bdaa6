package transport

// Rounds is the part of a server in the rounds of a [Poller]. The poller's goroutine
// calls it.
type Rounds interface {
	// BeginRound is called before the turns of a round. It returns the time in
	// milliseconds, by a clock that nobody sets.
	BeginRound() (now int64)
	// EndTurns is called after some turns. It flushes the outboxes to which they have
	// appended.
	EndTurns()
}
