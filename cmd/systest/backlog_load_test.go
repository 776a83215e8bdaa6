package systest

// The load of TestBacklog: clients that submit jobs, and workers that do them.

import (
	"encoding/binary"
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"gm/pkg/wire"
)

const (
	backlogSize    = 1024 // of a payload
	backlogConns   = 4    // of clients, and of workers
	backlogWindow  = 128  // submissions or grabs under way on each
	backlogTimeout = 5 * time.Minute
)

// backlog is a number of jobs, of which each is known by its payload.
type backlog struct {
	n     int
	due   time.Time     // of the first delayed job
	delay time.Duration // how much later the last is due

	mu      sync.Mutex
	came    []uint8 // how often each was done
	left    int     // how many were not
	strange int     // payloads that are none of them
}

func newBacklog(n int, delay time.Duration) *backlog {
	return &backlog{n: n, due: time.Now().Add(delay), delay: delay, came: make([]uint8, n+1), left: n}
}

// appendPayload appends the payload of job i, which looks like no other's.
func appendPayload(dst []byte, i int) []byte {
	x := uint64(i)
	for n := 0; n < backlogSize; n += 8 {
		dst = binary.LittleEndian.AppendUint64(dst, x)
		x = x*6364136223846793005 + 1442695040888963407
	}
	return dst
}

// jobOf returns the number of the job with that payload, or -1 for another payload.
func jobOf(payload []byte, scratch *[]byte) int {
	if len(payload) != backlogSize {
		return -1
	}
	i := int(binary.LittleEndian.Uint64(payload))
	*scratch = appendPayload((*scratch)[:0], i)
	if string(*scratch) != string(payload) {
		return -1
	}
	return i
}

// appendSubmit appends the submission of job i: of two, one is delayed.
func (b *backlog) appendSubmit(dst, payload []byte, i int) []byte {
	unique := strconv.AppendInt(nil, int64(i), 10)
	if i%2 == 0 {
		return wire.Append(dst, wire.Request, wire.SubmitJobBG, []byte("backlog"), unique, payload)
	}
	at := b.due.Add(time.Duration(float64(b.delay) * float64(i) / float64(b.n)))
	return wire.Append(dst, wire.Request, wire.SubmitJobEpoch, []byte("backlog"), unique,
		strconv.AppendInt(nil, at.Unix()+1, 10), payload)
}

// backlogPeer is a connection that writes many packets at a time.
type backlogPeer struct {
	net.Conn
	in  *wire.Reader
	p   wire.Packet
	out []byte
}

func dialBacklog(addr string) (*backlogPeer, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(backlogTimeout))
	return &backlogPeer{Conn: conn, in: wire.NewReader(conn, wire.Limits{})}, nil
}

func (p *backlogPeer) flush() error {
	_, err := p.Write(p.out)
	p.out = p.out[:0]
	return err
}

// onEach calls f with as many connections at a time.
func onEach(t *testing.T, addr string, n int, f func(p *backlogPeer, number int) error) {
	t.Helper()
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			p, err := dialBacklog(addr)
			if err == nil {
				defer p.Close()
				err = f(p, i)
			}
			errs[i] = err
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// submit submits all jobs, and waits until all are acknowledged.
func (b *backlog) submit(t *testing.T, addr string) {
	t.Helper()
	onEach(t, addr, backlogConns, func(p *backlogPeer, number int) error {
		var payload []byte
		waiting := 0
		for i := number; i < b.n || waiting > 0; {
			for ; i < b.n && waiting < backlogWindow; i += backlogConns {
				payload = appendPayload(payload[:0], i)
				p.out = b.appendSubmit(p.out, payload, i)
				waiting++
			}
			if err := p.flush(); err != nil {
				return err
			}
			for most := waiting / 2; waiting > most || waiting > 0 && i >= b.n; waiting-- {
				if err := p.created(); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// submitOne submits one job more.
func (b *backlog) submitOne(t *testing.T, addr string) {
	t.Helper()
	b.n++
	b.left++
	onEach(t, addr, 1, func(p *backlogPeer, _ int) error {
		p.out = wire.Append(p.out, wire.Request, wire.SubmitJobBG, []byte("backlog"), nil, appendPayload(nil, b.n-1))
		if err := p.flush(); err != nil {
			return err
		}
		return p.created()
	})
}

func (p *backlogPeer) created() error {
	if err := p.in.Next(&p.p); err != nil {
		return err
	}
	if p.p.Type != wire.JobCreated {
		return fmt.Errorf("submit: the server answers %v", &p.p)
	}
	return nil
}

// drain does jobs until all have been done.
func (b *backlog) drain(t *testing.T, addr string) {
	t.Helper()
	var mu sync.Mutex
	var all []net.Conn
	onEach(t, addr, backlogConns, func(p *backlogPeer, _ int) error {
		mu.Lock()
		all = append(all, p.Conn)
		mu.Unlock()
		err := b.work(p)
		if !b.allDone() {
			return fmt.Errorf("work: %w", err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, c := range all {
			c.SetReadDeadline(time.Unix(1, 0)) // ends the others' work
		}
		return p.flush()
	})
}

// work does jobs, many grabs at a time, until it has done the last of all or
// nothing more comes.
func (b *backlog) work(p *backlogPeer) error {
	grab := wire.AppendString(nil, wire.Request, wire.GrabJob)
	p.out = wire.AppendString(p.out, wire.Request, wire.CanDo, "backlog")
	p.out = wire.AppendString(p.out, wire.Request, wire.PreSleep)
	var scratch []byte
	grabs := 0
	for {
		if p.in.Buffered() == 0 || len(p.out) > 16<<10 {
			if err := p.flush(); err != nil {
				return err
			}
		}
		if err := p.in.Next(&p.p); err != nil {
			return err
		}
		switch p.p.Type {
		case wire.Noop:
			for ; grabs < backlogWindow; grabs++ {
				p.out = append(p.out, grab...)
			}
		case wire.JobAssign:
			p.out = wire.Append(p.out, wire.Request, wire.WorkComplete, p.p.Args[0], nil)
			p.out = append(p.out, grab...)
			if b.did(jobOf(p.p.Args[2], &scratch)) {
				return nil
			}
		case wire.NoJob:
			if grabs--; grabs == 0 {
				p.out = wire.AppendString(p.out, wire.Request, wire.PreSleep)
			}
		default:
			return fmt.Errorf("the server sends %v", &p.p)
		}
	}
}

// did notes that job i was done, and reports whether it was the last.
func (b *backlog) did(i int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i < 0 || i >= b.n {
		b.strange++
		return false
	}
	if b.came[i]++; b.came[i] == 1 {
		b.left--
	}
	return b.left == 0
}

func (b *backlog) allDone() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.left == 0
}

// check sees that each job was done once.
func (b *backlog) check(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	again := 0
	for _, n := range b.came {
		if n > 1 {
			again++
		}
	}
	if b.left != 0 || b.strange != 0 || again != 0 {
		t.Errorf("%d jobs were not done, %d more than once, %d had another payload", b.left, again, b.strange)
	}
}
