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

// Client submits tasks. It is safe for concurrent use. It has at most one
// connection to a server, over which all tasks go without waiting for each
// other, and connects when it first needs to.
//
// Its goroutines: for each connection a reader (which calls the callbacks) and
// a writer; one for each attempt to connect; one for each task that is being
// submitted again. Close ends them all.
type Client struct {
	opts    Options
	servers []*clientServer

	ring []*clientServer // the servers twice
	turn atomic.Uint64   // of the servers, with Options.Spread

	closing context.Context // done when Close begins
	close   context.CancelCauseFunc

	watches watches

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup // the client's goroutines; Add only while not closed
	homes   homes          // where jobs are
}

// NewClient returns a client. It does not connect yet; the error is about o.
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

// Close closes all connections. Tasks that have not ended fail with ErrClosed;
// their jobs go on unless the server drops them. It must not be called from a
// callback. It returns nil; a second call does nothing.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.close(ErrClosed)
	for _, s := range c.servers {
		s.hangUp(ErrClosed)
	}
	c.running.Wait()
	return nil
}

// Do submits a task and waits for its end. The error is one of those of this
// package or of ctx, wrapped.
func (c *Client) Do(ctx context.Context, t *Task) (*Result, error) {
	r, err := c.StartAsync(ctx, t)
	if err != nil {
		return nil, err
	}
	<-r.Done()
	return r.outcome()
}

// Start submits a task and waits until the server has accepted it: then the
// job's handle is known. ctx holds for the whole task, not only for the call.
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

// StartAsync submits a task without waiting for the server to accept it, so
// that many can be on their way at once. It connects if need be, and it waits
// while more than 1 MiB is not written yet to the server. The error is that of
// a task that could not be sent; a later one comes from Running.Wait. A Task
// that is wrong in itself is refused without a callback. ctx holds for the
// whole task.
func (c *Client) StartAsync(ctx context.Context, t *Task) (*Running, error) {
	if err := t.check(&c.opts); err != nil {
		return nil, fmt.Errorf("submit to %s: %w", t.Function, err)
	}
	if c.isClosed() {
		return nil, fmt.Errorf("submit to %s: %w", t.Function, ErrClosed)
	}
	r := newRunning(ctx, c, t)
	r.submit(true, nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil && r.handle == "" {
		return nil, r.err
	}
	return r, nil
}

// Background submits a copy of t with Background set and waits until the server
// has accepted it.
func (c *Client) Background(ctx context.Context, t *Task) (Handle, error) {
	background := *t
	background.Background = true
	result, err := c.Do(ctx, &background)
	if err != nil {
		return "", err
	}
	return result.Handle, nil
}

// submit sends the task to the first server that takes it, except to those of
// which it is known that they do not.
func (c *Client) submit(r *Running, refusals ServerErrors) error {
	errs := maps.Clone(refusals)
	for _, s := range c.order(r.task) {
		if refusals[s.Server] != nil {
			continue
		}
		err := s.submit(r)
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

// order returns the servers as the task should try them: by list, turn or hash,
// and those that have failed lately after the others. The caller must not change
// it.
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

// leastLoaded returns the index of the server that has the fewest tasks, of
// those that are connected or may be.
func (c *Client) leastLoaded() int {
	n := len(c.servers)
	now := time.Now()
	first := int((c.turn.Add(1) - 1) % uint64(n))
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

// clientServer is what a client knows of one server.
type clientServer struct {
	Server
	client *Client
	load   atomic.Int64 // attempts on their way

	mu      sync.Mutex
	conn    *clientConn   // nil while there is none
	leaving []*clientConn // see leave
	dialing *dialing      // nil while nobody connects
	lost    bool          // and nobody has connected since
	greets  bool          // it has once answered a connection's first request
	backoff backoff
	until   time.Time // avoid it until then
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

// submit sends the task to this server. A connection that turns out to have
// ended before that is no failure of the server yet.
func (s *clientServer) submit(r *Running) error {
	for first := true; ; first = false {
		conn, err := s.connect(r.ctx)
		if err != nil {
			return err
		}
		if err = conn.submit(r); err == nil || !first {
			return err
		}
		select {
		case <-conn.dead:
		case <-r.ctx.Done():
			return context.Cause(r.ctx)
		}
	}
}

// avoided reports whether the server has failed lately.
func (s *clientServer) avoided(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn == nil && now.Before(s.until)
}

// connect returns the connection, and makes it if there is none. Tasks that
// ask at once share an attempt; it goes on when one of them gives up.
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
	if err == nil && !conn.gone {
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

// open makes a connection. What stands in for a server that is away, such as a
// proxy, may accept a connection and close it: so after a loss the server must
// answer before tasks are sent to it, as they would be lost.
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
	conn.gone = true
	s.leaving = slices.DeleteFunc(s.leaving, func(c *clientConn) bool { return c == conn })
	if s.conn != conn {
		return
	}
	s.conn = nil
	if !s.client.isClosed() {
		s.lostLocked(err)
	}
}

// leave keeps further tasks off a connection whose server is shutting down. The
// connection stays open as long as it has jobs, because the server lets them end.
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

// connectToAsk is connect for questions about jobs: a server that is shutting
// down answers them on the connection that it still has.
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
	s.until = time.Now().Add(s.backoff.next())
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

// answered is called when the server has proved well: it has not only
// connected.
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

func (s *clientServer) hangUp(err error) {
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

// homes remembers on which servers the latest jobs are.
type homes struct {
	of    map[Handle]*clientServer
	order [rememberedHandles]Handle
	next  int
}

// rememberedHandles bounds what Client.Status knows the server of.
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
