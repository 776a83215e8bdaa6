package server_test

import (
	"encoding/binary"
	"encoding/json"
	"strings"
	"testing"

	"gm/pkg/server"
	"gm/pkg/wire"
)

// A worker's packet over the limit ends its job at once, with the reason: the
// next worker would send as much. The worker is told, and its other jobs go
// back.
func TestOversizedResultFailsItsJobAtOnce(t *testing.T) {
	for _, typ := range []wire.Type{wire.WorkComplete, wire.WorkData, wire.WorkWarning, wire.WorkException} {
		for name, size := range map[string]int{"a little": 1001, "as a body": 60_000, "by far": 5 << 20} {
			t.Run(typ.String()+"/"+name, func(t *testing.T) {
				var log logs
				_, addr := start(t, server.Config{MaxPayload: 1000, Logger: log.logger(0)})
				w1, w2, next, c := worker(t, addr, "f"), worker(t, addr, "f"), worker(t, addr, "f"), dial(t, addr)
				bg := c.submit(wire.SubmitJobBG, "f", "", "")
				w1.grab()
				fg := c.submit(wire.SubmitJob, "f", "", "")
				w2.grab()
				other := c.submit(wire.SubmitJobBG, "f", "", "")
				w2.grab()
				for w, h := range map[*peer]string{w1: bg, w2: fg} {
					w.send(req(typ, h, strings.Repeat("x", size)))
					w.wantError(wire.CodeDataTooLarge)
					w.wantEnd()
				}
				c.want(`WORK_WARNING handle="` + fg + `" data=*over the limit*`)
				c.want(`WORK_FAIL handle="` + fg + `"`)
				if got := next.grab(); got != other {
					t.Errorf("grabbed %s, want %s", got, other)
				}
				next.send(req(wire.GrabJob))
				next.want(`NO_JOB`)
				rows := c.list("jobs f dead")
				var dead wire.Job
				if len(rows) != 1 || json.Unmarshal([]byte(rows[0]), &dead) != nil || dead.Handle != bg {
					t.Fatalf("dead: %q", rows)
				}
				if !strings.Contains(dead.Error, "over the limit") || dead.Reason != "failed" {
					t.Errorf("dead: %+v", dead)
				}
			})
		}
	}
}

// The header of such a packet may come alone, and the handle in pieces.
func TestOversizedResultInPieces(t *testing.T) {
	_, addr := start(t, server.Config{MaxPayload: 1000})
	w, c := worker(t, addr, "f"), dial(t, addr)
	h := c.submit(wire.SubmitJob, "f", "", "")
	w.grab()
	head := wire.AppendHeader(nil, wire.Request, wire.WorkComplete, 0)
	binary.BigEndian.PutUint32(head[8:], 3<<30)
	w.send(head)
	alive(t, addr)
	w.send([]byte(h[:4]))
	alive(t, addr)
	w.send([]byte(h[4:] + "\x00xxx"))
	c.want(`WORK_WARNING *`)
	c.want(`WORK_FAIL handle="` + h + `"`)
	w.wantError(wire.CodeDataTooLarge)
	w.wantEnd()
}

// Such a packet about a job that its sender does not hold ends nothing.
func TestOversizedResultOfAnothersJob(t *testing.T) {
	_, addr := start(t, server.Config{MaxPayload: 1000})
	w, liar, c := worker(t, addr, "f"), worker(t, addr, "f"), dial(t, addr)
	h := c.submit(wire.SubmitJob, "f", "", "")
	w.grab()
	for _, handle := range []string{h, "H:test:1", strings.Repeat("x", 100), ""} {
		liar.send(req(wire.WorkComplete, handle, strings.Repeat("x", 1<<20)))
		liar.wantError(wire.CodeDataTooLarge)
		liar.wantEnd()
		liar = worker(t, addr, "f")
	}
	w.send(req(wire.WorkComplete, h, "ok"))
	c.want(`WORK_COMPLETE handle="` + h + `" data=2:"ok"`)
}
