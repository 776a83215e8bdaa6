package gearman

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Client submits tasks. It is safe for concurrent use. It connects when it first
// needs a server, and sends all tasks over one connection to each server; no task
// waits for another.
//
// Its goroutines: each connection has a reader, which calls the callbacks, and a
// writer. An attempt to connect has one, and so has a task that is submitted
// again. Close ends all of them.
type Client struct {
	opts    Options
	servers []*clientServer

	ring     []*clientServer // the servers twice
	rotation atomic.Uint64   // index of the first server for the next task, with Options.Spread

	closing context.Context // done when Close begins
	close   context.CancelCauseFunc

	watches watches

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup // the client's goroutines; Add only while not closed
	homes   homes          // the servers of jobs
}

// NewClient returns a client. It does not connect. It returns an error only if o is
// invalid.
func NewClient(o Options) (*Client, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Client{opts: o}
	c.closing, c.close = context.WithCancelCause(context.Background())
	for _, s := range o.Servers {
		c.servers = append(c.servers, newClientServer(c, s))
	}
	c.ring = slices.Concat(c.servers, c.servers)
	return c, nil
}

// Servers returns the client's servers in their order.
func (c *Client) Servers() []Server {
	servers := make([]Server, len(c.servers))
	for i, s := range c.servers {
		servers[i] = s.Server
	}
	return servers
}

// Close closes all connections. Tasks that have not ended fail with ErrClosed; the
// server may drop their foreground jobs. Close must not be called by a callback. It
// returns nil; a second call does nothing.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.close(ErrClosed)
	for _, s := range c.servers {
		s.closeConns(ErrClosed)
	}
	c.running.Wait()
	return nil
}

// Do submits a task and waits for its result. The error wraps an error of this
// package or the cause of ctx.
func (c *Client) Do(ctx context.Context, t *Task) (*Result, error) {
	r, err := c.StartAsync(ctx, t)
	if err != nil {
		return nil, err
	}
	<-r.Done()
	return r.outcome()
}

// Start submits a task and waits until the server has accepted it, so that the
// handle of the job is known. The end of ctx ends the task, also after the call.
func (c *Client) Start(ctx context.Context, t *Task) (*Running, error) {
	r, err := c.StartAsync(ctx, t)
	if err != nil {
		return nil, err
	}
	<-r.Created()
	if r.Handle() == "" { // accepted by none
		<-r.Done()
		_, err := r.outcome()
		return nil, err
	}
	return r, nil
}

// StartAsync submits a task without waiting for the server to accept it, so that
// many submissions can follow each other quickly. It connects if needed, and blocks
// while more than 1 MiB waits to be written to the server. It returns an error if
// the task could not be sent; Running.Wait returns later errors. An invalid task
// gets no callback. The end of ctx ends the task, also after the call.
func (c *Client) StartAsync(ctx context.Context, t *Task) (*Running, error) {
	if err := t.check(&c.opts); err != nil {
		return nil, fmt.Errorf("submit to %s: %w", t.Function, err)
	}
	if c.isClosed() {
		return nil, fmt.Errorf("submit to %s: %w", t.Function, ErrClosed)
	}
	r := newRunning(ctx, c, t)
	r.submitWithRetries(true, nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil && r.handle == "" {
		return nil, r.err
	}
	return r, nil
}

// Background submits a copy of t with Background set, waits until the server has
// accepted it, and returns its handle.
func (c *Client) Background(ctx context.Context, t *Task) (Handle, error) {
	background := *t
	background.Background = true
	result, err := c.Do(ctx, &background)
	if err != nil {
		return "", err
	}
	return result.Handle, nil
}

// submitToAny sends the task to the first server that accepts it. It skips the
// servers in refusals.
func (c *Client) submitToAny(r *Running, refusals ServerErrors) error {
	errs := maps.Clone(refusals)
	for _, s := range c.order(r.task) {
		if refusals[s.Server] != nil {
			continue
		}
		err := s.submitToServer(r)
		if err == nil {
			return nil
		}
		if r.ctx.Err() != nil || errors.Is(err, ErrClosed) {
			return err
		}
		if errs == nil {
			errs = ServerErrors{}
		}
		errs[s.Server] = err
	}
	return noServer(errs)
}

// order returns the servers in the order in which the task should try them: that
// of the list, of the load or of the hash, with servers that have failed recently
// at the end. The caller must not change the result.
func (c *Client) order(t *Task) []*clientServer {
	n := len(c.servers)
	if n == 1 {
		return c.servers
	}
	order := c.servers
	if key := t.hashKey(c.opts.MaxUnique); key != "" {
		order = make([]*clientServer, 0, n)
		for _, i := range rank(c.opts.Servers, t.Function, key) {
			order = append(order, c.servers[i])
		}
	} else if c.opts.Spread {
		first := c.leastLoaded()
		order = c.ring[first : first+n]
	}
	return avoidFailed(order, time.Now())
}

// leastLoaded returns the index of the server that has the fewest tasks. It ignores
// servers that have failed recently.
func (c *Client) leastLoaded() int {
	n := len(c.servers)
	now := time.Now()
	first := int((c.rotation.Add(1) - 1) % uint64(n))
	least, lowest := first, int64(math.MaxInt64)
	for i := range n {
		s := c.ring[first+i]
		if load := s.load.Load(); load < lowest && !s.avoided(now) {
			least, lowest = (first+i)%n, load
		}
	}
	return least
}

func avoidFailed(order []*clientServer, now time.Time) []*clientServer {
	avoided := func(s *clientServer) bool { return s.avoided(now) }
	if !slices.ContainsFunc(order, avoided) {
		return order
	}
	var well, ill []*clientServer
	for _, s := range order {
		if avoided(s) {
			ill = append(ill, s)
		} else {
			well = append(well, s)
		}
	}
	return append(well, ill...)
}

func (c *Client) isClosed() bool { return c.closing.Err() != nil }

// spawn runs f in a goroutine that Close waits for, unless the client is
// closed.
func (c *Client) spawn(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.running.Go(f)
	return true
}

// clientServer is the state of one server of a client.
type clientServer struct {
	Server
	client *Client
	load   atomic.Int64 // attempts that have not ended

	mu      sync.Mutex
	conn    *clientConn   // nil while there is none
	leaving []*clientConn // see leave
	dialing *dialing      // nil while there is no attempt to connect
	lost    bool          // there was no connection since a failure
	greets  bool          // it has answered the first request of a connection once
	backoff backoff
	until   time.Time // the server is avoided until then
}

// dialing is an attempt to connect that several tasks may wait for.
type dialing struct {
	done chan struct{}
	conn *clientConn
	err  error
}

func newClientServer(c *Client, s Server) *clientServer {
	return &clientServer{Server: s, client: c, backoff: newBackoff(&c.opts)}
}

// submitToServer sends the task to this server. If the present connection has
// already ended, it tries a new one.
func (s *clientServer) submitToServer(r *Running) error {
	for first := true; ; first = false {
		conn, err := s.connect(r.ctx)
		if err != nil {
			return err
		}
		if err = conn.sendTask(r); err == nil || !first {
			return err
		}
		select {
		case <-conn.dead:
		case <-r.ctx.Done():
			return context.Cause(r.ctx)
		}
	}
}

// avoided reports whether the server has failed recently.
func (s *clientServer) avoided(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn == nil && now.Before(s.until)
}

// connect returns the connection, or makes one. Concurrent calls share an attempt,
// which continues if one of them gives up.
func (s *clientServer) connect(ctx context.Context) (*clientConn, error) {
	s.mu.Lock()
	if s.conn != nil {
		defer s.mu.Unlock()
		return s.conn, nil
	}
	d := s.dialing
	if d == nil {
		d = &dialing{done: make(chan struct{})}
		if !s.client.spawn(func() { s.dial(d) }) {
			s.mu.Unlock()
			return nil, ErrClosed
		}
		s.dialing = d
	}
	s.mu.Unlock()
	select {
	case <-d.done:
		return d.conn, d.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (s *clientServer) dial(d *dialing) {
	conn, err := s.open()
	s.mu.Lock()
	defer s.mu.Unlock()
	defer close(d.done)
	s.dialing = nil
	if err == nil && !conn.dropped {
		s.conn, d.conn = conn, conn
		s.foundLocked()
		return
	}
	if err == nil {
		err = conn.cause()
	}
	d.err = err
	if !s.client.isClosed() {
		s.lostLocked(err)
	}
}

// open makes a connection. If the server is down, a proxy in front of it may accept
// connections and close them, and tasks sent over these would be lost. So after a
// loss the server must first answer a request.
func (s *clientServer) open() (*clientConn, error) {
	c := s.client
	st, err := dial(c.closing, &c.opts, s.Server)
	if err != nil {
		return nil, err
	}
	conn := newClientConn(s, st)
	if !c.spawn(conn.readLoop) || !c.spawn(conn.writeLoop) {
		st.nc.Close()
		return nil, ErrClosed
	}
	s.mu.Lock()
	doubtful := s.lost && s.greets
	s.mu.Unlock()
	if !doubtful {
		return conn, nil
	}
	limit := time.NewTimer(c.opts.ConnectTimeout)
	defer limit.Stop()
	select {
	case <-conn.greeted:
		return conn, nil
	case <-conn.dead:
		return nil, conn.cause()
	case <-limit.C:
		err = fmt.Errorf("connect: no answer within %v", c.opts.ConnectTimeout)
	case <-c.closing.Done():
		err = ErrClosed
	}
	conn.hangUp(err)
	return nil, err
}

// dropped is called once by a connection that has ended.
func (s *clientServer) dropped(conn *clientConn, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	conn.dropped = true
	s.leaving = slices.DeleteFunc(s.leaving, func(c *clientConn) bool { return c == conn })
	if s.conn != conn {
		return
	}
	s.conn = nil
	if !s.client.isClosed() {
		s.lostLocked(err)
	}
}

// leave sends no further tasks over a connection whose server is shutting down. The
// connection stays open until its jobs have ended.
func (s *clientServer) leave(conn *clientConn, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != conn {
		return
	}
	s.conn = nil
	s.leaving = append(s.leaving, conn)
	if !s.client.isClosed() {
		s.lostLocked(err)
	}
}

// connectToAsk is connect for questions about jobs, which a server that is shutting
// down answers on its old connection.
func (s *clientServer) connectToAsk(ctx context.Context) (*clientConn, error) {
	s.mu.Lock()
	if n := len(s.leaving); s.conn == nil && n > 0 {
		defer s.mu.Unlock()
		return s.leaving[n-1], nil
	}
	s.mu.Unlock()
	return s.connect(ctx)
}

func (s *clientServer) lostLocked(err error) {
	s.until = time.Now().Add(s.backoff.nextWait())
	if !s.lost {
		s.lost = true
		s.client.opts.Logger.Warn("server lost", "server", s.String(), "error", err)
	}
}

func (s *clientServer) foundLocked() {
	if s.lost {
		s.lost = false
		s.client.opts.Logger.Info("server back", "server", s.String())
	}
}

// answered records that the server has answered a request.
func (s *clientServer) answered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.backoff.reset()
	s.greets = true
}

// answers reports whether the server has ever answered.
func (s *clientServer) answers() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.greets
}

func (s *clientServer) closeConns(err error) {
	s.mu.Lock()
	conns := slices.Clone(s.leaving)
	if s.conn != nil {
		conns = append(conns, s.conn)
	}
	s.mu.Unlock()
	for _, conn := range conns {
		conn.hangUp(err)
	}
}

// homes has the servers of the latest jobs.
type homes struct {
	of    map[Handle]*clientServer
	order [rememberedHandles]Handle
	next  int
}

// rememberedHandles is the number of jobs whose server Client.Status knows.
const rememberedHandles = 1024

func (c *Client) remember(h Handle, s *clientServer) {
	if len(c.servers) == 1 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	m := &c.homes
	if m.of == nil {
		m.of = make(map[Handle]*clientServer)
	}
	delete(m.of, m.order[m.next])
	m.order[m.next] = h
	m.next = (m.next + 1) % len(m.order)
	m.of[h] = s
}

func (c *Client) home(h Handle) *clientServer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.homes.of[h]
}
