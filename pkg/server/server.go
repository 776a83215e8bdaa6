package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"gm/pkg/queue"
	"gm/pkg/server/transport"
	"gm/pkg/store"
	"gm/pkg/wire"
)

// ErrClosed is returned by Serve and ServeConn when the server has been shut down or
// closed.
var ErrClosed = errors.New("server closed")

// Server is a running job server. Its methods are safe for concurrent use.
type Server struct {
	// Set by New and not changed.
	cfg    Config
	log    *slog.Logger
	debug  bool
	clocks clocks // clocks.start is the server's
	limits wire.Limits
	peers  *transport.Peers // the limits of all connections together
	commit *committer       // nil without a store
	store  guarded          // cfg.Store
	reader store.Reader     // the store, if it can read payloads; else nil
	ctx    context.Context  // of reading the store; done when the server is closed
	cancel context.CancelFunc

	restored    chan struct{} // closed when all jobs of the store are in the queue
	restoredErr error         // the reason why they are not; set before restored is closed

	mu        sync.Mutex // guards the queue and the fields below
	q         *queue.Queue
	results   *results
	conns     connList
	pkt       wire.Packet // the packet that is being applied
	function  []byte      // for the name of a function in a packet
	head      []byte      // the packet that is being sent
	paging    paging      // has a lock of its own
	ls        map[net.Listener]struct{}
	timer     *time.Timer
	armed     int64   // when timer fires, by the monotonic clock; 0 if it does not
	dirty     []*conn // outboxes to flush after the turn
	backlog   backlog
	logLines  []logLine // for logWriter after the turn
	samples   [noteKinds]sample
	draining  bool
	lostJobs  int                   // set by Close: the number of jobs that no store has
	loading   bool                  // jobs of the store are being read
	late      map[uint64]*conn      // workers that wait for jobs of the store, by number
	own       numbers               // of jobs accepted while loading
	retrying  *queue.DeadLetter     // the dead job that is becoming a job again
	raising   bool                  // the job that is failing has an exception
	fetches   map[*queue.Job]*fetch // the grabs that wait for payloads
	aheadRuns bool                  // a goroutine reads payloads ahead
	aheadIn   int                   // grabs until the next check whether to read ahead
	// slowReadsRun reports whether the timer of checkSlowReads runs.
	slowReadsRun bool
	closed       bool
	poller       *transport.Poller   // of most connections; made for the first
	rounds       rounds              // of poller
	unpolled     bool                // there is no poller
	shutdown     func(graceful bool) // see OnShutdown

	// Of the extras of the store; guarded by mu too.
	settings     map[string]settings // the settings by administrators, by function
	numbered     bool                // the highest number is known
	endedLoading map[uint64]struct{} // numbers of restored jobs that have ended, while loading
	loadErr      error               // why the store cannot be read to its end, while loading
	unread       unread
	extrasRead   bool // all extras of the store have been restored
	// reading holds the jobs whose payloads are being read for fetches, with the
	// time when that began.
	reading map[*queue.Job]time.Time

	logWriter logWriter
	closeOnce func() error
	ended     chan struct{} // closed by Close
	drained   chan struct{} // closed when Shutdown has no job left to wait for
	wg        sync.WaitGroup
	loads     group // goroutines that use the store; none begins after closed is set
}

// wakeAfter is the time after which a worker that was sent a NOOP and does not ask
// for a job counts as busy: then another worker is woken.
const wakeAfter = 50 * time.Millisecond

// New returns a server that owns the store of cfg. The server already works while it
// reads the jobs of the store; see Restored. If New fails, the caller still owns the
// store.
func New(cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	s := &Server{
		cfg:     cfg,
		log:     cfg.Logger,
		debug:   cfg.Logger.Enabled(context.Background(), slog.LevelDebug),
		clocks:  clocks{start: time.Now()},
		limits:  wire.Limits{MaxPayload: cfg.MaxPayload},
		ls:      make(map[net.Listener]struct{}),
		ended:   make(chan struct{}),
		drained: make(chan struct{}),

		restored: make(chan struct{}),
		late:     make(map[uint64]*conn),
		fetches:  make(map[*queue.Job]*fetch),
		reading:  make(map[*queue.Job]time.Time),
		settings: make(map[string]settings),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.store = guarded{cfg.Store}
	if r, ok := cfg.Store.(store.Reader); ok {
		s.reader = guardedReader{r}
	}
	last, known, err := s.lastNumber()
	s.numbered = known
	if err != nil {
		s.cancel()
		return nil, fmt.Errorf("read %s: %w", cfg.StoreName, err)
	}
	if f, ok := cfg.Store.(store.Numberer); ok {
		f.SetFloor(last)
	}
	s.q = queue.New(queue.Config{
		Host:        cfg.Host,
		Prefix:      cfg.HandlePrefix,
		FirstSeq:    max(last, store.FirstSeq(s.clocks.start)),
		JobRetries:  *cfg.JobRetries,
		RoundRobin:  cfg.RoundRobin,
		Wakeups:     *cfg.Wakeups,
		WakeAfter:   wakeAfter.Milliseconds(),
		Rand:        rand.Uint64,
		DeadMax:     *cfg.DeadMax,
		DeadAge:     cfg.DeadAge.Milliseconds(),
		ForgetAfter: max(cfg.ForgetAfter, 0).Milliseconds(),
		Memory:      cfg.Memory,
		Total:       cfg.JobMemory,
		Spill:       s.reader != nil,
	}, (*sink)(s))
	s.results = newResults(s)
	s.logWriter.init(s.log)
	s.closeOnce = sync.OnceValue(s.close)
	s.readTime()
	s.timer = time.AfterFunc(time.Hour, s.onTimer)
	s.timer.Stop()
	s.rounds.s = s
	s.peers = transport.NewPeers(transport.Config{
		Outbox: cfg.MaxOutbox, Memory: cfg.PeerMemory, Patience: cfg.PeerTimeout, Sweep: s.sweep,
	})
	for function, p := range cfg.Policies {
		s.q.SetPolicy([]byte(function), p.toQueue())
	}
	if _, memory := cfg.Store.(store.Memory); memory {
		close(s.restored)
		return s, nil
	}
	s.loading, s.endedLoading = true, make(map[uint64]struct{})
	s.q.SetLoading(s.readTime())
	s.commit = newCommitter(s, cfg.Store)
	s.commit.reserveNumbers()
	s.commit.wakeRun()
	s.loads.Go(s.commit.runCommits)
	s.loads.Go(s.loadStore)
	return s, nil
}

// OnShutdown sets the function that the admin command shutdown calls in its own
// goroutine. graceful means that running jobs should end first. Without a function the
// command is refused.
func (s *Server) OnShutdown(f func(graceful bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shutdown = f
}

// endTurn ends a turn that began with mu.Lock: it unlocks, and then writes the replies
// and log lines of the turn. spare is room for the list of the next turn, and is
// returned for reuse.
func (s *Server) endTurn(spare []*conn) []*conn {
	dirty, notes := s.unlockTurn(spare)
	s.writeTurn(dirty, notes)
	return dirty
}

// endTurnAside is endTurn for the goroutine of the journal: if there are several
// connections to write to, another goroutine does it.
func (s *Server) endTurnAside() {
	dirty, notes := s.unlockTurn(nil)
	if len(dirty) < 2 {
		s.writeTurn(dirty, notes)
		return
	}
	s.wg.Go(func() { s.writeTurn(dirty, notes) })
}

// unlockTurn unlocks at the end of a turn, and returns its outboxes and log lines.
func (s *Server) unlockTurn(spare []*conn) (dirty []*conn, notes []logLine) {
	s.q.Rouse()
	s.setTimer()
	if s.draining {
		s.checkDrained()
	}
	s.wantAhead()
	s.watchBacklog()
	dirty, notes = s.dirty, s.logLines
	s.dirty, s.logLines = spare[:0], nil
	for _, c := range dirty {
		c.dirty = false
	}
	if s.commit != nil {
		s.commit.wakeRun()
	}
	s.mu.Unlock()
	return dirty, notes
}

// writeTurn writes the outboxes and log lines of a turn.
func (s *Server) writeTurn(dirty []*conn, notes []logLine) {
	for i, c := range dirty {
		c.Flush()
		dirty[i] = nil
	}
	s.logWriter.addLines(notes)
}

// logAfterTurn keeps a log line for the end of the turn. Nothing is logged under the
// lock: a log that blocks must not stop the queue.
func (s *Server) logAfterTurn(level slog.Level, msg string, attrs ...slog.Attr) {
	s.logLines = append(s.logLines, logLine{level, msg, attrs})
}

// setTimer sets the timer to the queue's next deadline. A timer that fires earlier stays as
// it is: deadlines change with each job, and each change of the timer may wake a
// thread of the runtime.
func (s *Server) setTimer() {
	at, ok := s.q.Next()
	if expires, some := s.results.nextExpiry(); some {
		if expires -= s.q.Wall() - s.q.Now(); !ok || expires < at {
			at, ok = expires, true
		}
	}
	if look := s.q.Now() + wallClockInterval; ok && s.q.Dated() {
		at = min(at, look)
	}
	switch {
	case s.closed:
		s.timer.Stop()
	case ok && (s.armed == 0 || at < s.armed):
		s.armed = at
		wait := at - s.clocks.read().now
		s.timer.Reset(time.Duration(min(max(wait, 0), maxArmed)) * time.Millisecond)
	}
}

const (
	// wallClockInterval is the time between two readings of the wall clock while jobs are
	// delayed to a date, in milliseconds: the clock may have been set.
	wallClockInterval = 1000
	// maxArmed is the maximum time until the timer fires, in milliseconds: the dates of
	// results and dead jobs depend on the wall clock too.
	maxArmed = 60_000
)

// onTimer is called by the timer.
func (s *Server) onTimer() {
	s.mu.Lock()
	s.armed = 0
	if !s.closed {
		s.q.Tick(s.readTime())
		s.results.expireResults(s.q.Wall())
	}
	s.endTurn(nil)
}
