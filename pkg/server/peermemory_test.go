package server_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"gm/pkg/server"
	"gm/pkg/wire"
)

// begun returns the first bytes of a submission of a payload.
func begun(payload, sent int) []byte {
	b := wire.AppendHeader(nil, wire.Request, wire.SubmitJobBG, len("f\x00\x00")+payload)
	return append(append(b, "f\x00\x00"...), make([]byte, sent)...)
}

// Many begun packets hold no more than the bound and one of them; a packet that
// does arrive is taken, and those that do not come on are dropped.
func TestBegunPacketsAreBoundedInSum(t *testing.T) {
	const bound, payload, peers = 2 << 20, 4 << 20, 5
	var log logs
	s, addr := start(t, server.Config{
		MaxPayload: payload, PeerMemory: bound, PeerTimeout: 1600 * time.Millisecond, Logger: log.logger(0),
	})
	stop := make(chan struct{})
	var watch, senders sync.WaitGroup
	watch.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				if n := s.PeerBytes(); n > bound+2*payload+(1<<20) {
					t.Errorf("peers hold %d bytes", n)
					return
				}
			}
		}
	})
	for range peers {
		p := dial(t, addr)
		senders.Go(func() { p.Write(begun(payload, payload/2)) })
	}
	c := dial(t, addr)
	c.SetDeadline(time.Now().Add(time.Minute)) //nolint:errcheck // the next read tells
	for range 3 {
		alive(t, addr) // small packets go on
		c.send(begun(payload, payload))
		c.want(`JOB_CREATED *`)
	}
	log.wait(t, "msg=dropped", "no progress")
	eventually(t, "all that was begun is dropped", func() bool { return s.PeerBytes() < bound })
	senders.Wait()
	close(stop)
	watch.Wait()
}

// A packet that was begun has to come on, however slowly.
func TestBegunPacketHasADeadline(t *testing.T) {
	var log logs
	_, addr := start(t, server.Config{PeerTimeout: time.Second, Logger: log.logger(0)})
	silent := map[string]string{
		"a header":           "\x00REQ\x00\x00\x00\x07\x00\x00\x00\xff",
		"part of one":        "\x00RE",
		"part of a body":     string(begun(1000, 10)),
		"part of a line":     "stat",
		"one behind a whole": string(req(wire.SetClientID, "x")) + "\x00REQ",
	}
	var peers []*peer
	for _, sent := range silent {
		p := dial(t, addr)
		p.send([]byte(sent))
		peers = append(peers, p)
	}
	idle, slow := dial(t, addr), dial(t, addr)
	idle.sync()
	packet := req(wire.EchoReq, strings.Repeat("s", 1000))
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for _, p := range peers {
			log.wait(t, "msg=dropped", p.LocalAddr().String(), "sends no more of a packet")
		}
	}()
	sent := 0
	for over := false; !over; {
		select {
		case <-gone:
			over = true
		case <-time.After(20 * time.Millisecond):
			if sent < len(packet)-1 {
				slow.send(packet[sent : sent+1])
				sent++
			}
		}
	}
	slow.send(packet[sent:])
	slow.want(`ECHO_RES *`)
	idle.sync() // who sends nothing has all the time
}

// Peers that take nothing of what they are owed are dropped when memory is
// short, the largest first; who reads is not.
func TestOutboxesAreBoundedInSum(t *testing.T) {
	t.Parallel()
	const bound, piece, deafs = 4 << 20, 512 << 10, 16
	var log logs
	s, addr := start(t, server.Config{
		MaxPayload: 1 << 20, PeerMemory: bound, PeerTimeout: 2 * time.Second, Logger: log.logger(0),
	})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the server's log:\n%s", &log)
		}
	})
	c := dial(t, addr)
	c.sync()
	big := req(wire.EchoReq, strings.Repeat("e", piece))
	var wg sync.WaitGroup
	for range deafs {
		p := dial(t, addr)
		p.SetDeadline(time.Now().Add(time.Minute)) //nolint:errcheck // the next write tells
		wg.Go(func() {
			for {
				if _, err := p.Write(big); err != nil {
					return // dropped
				}
			}
		})
	}
	log.wait(t, "msg=dropped")
	// Those that are not dropped fill the room again and again, some timeouts long.
	eventuallyWithin(t, time.Minute, "there is room again", func() bool { return s.PeerBytes() <= bound })
	c.sync()
	for range 10 {
		c.send(big)
		c.want(`ECHO_RES *`)
	}
	wg.Wait()
}
