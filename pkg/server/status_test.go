package server_test

import (
	"testing"

	"gm/pkg/server"
	"gm/pkg/wire"
)

func TestGetStatusFromAnotherConnection(t *testing.T) {
	_, addr := start(t, server.Config{})
	w, c, other := worker(t, addr, "f"), dial(t, addr), dial(t, addr)
	h := c.submit(wire.SubmitJobBG, "f", "", "")
	status := func(want string) {
		t.Helper()
		other.send(req(wire.GetStatus, h))
		other.want(`STATUS_RES handle="` + h + `" ` + want)
	}
	status(`known="1" running="0" numerator="0" denominator="0"`)
	w.grab()
	status(`known="1" running="1" numerator="0" denominator="0"`)
	w.send(req(wire.WorkStatus, h, "42", "100"))
	w.sync()
	status(`known="1" running="1" numerator="42" denominator="100"`)
	w.send(req(wire.WorkComplete, h, ""))
	w.sync()
	status(`known="0" running="0" numerator="0" denominator="0"`)
}

func TestGetStatusOfUnknownHandles(t *testing.T) {
	_, addr := start(t, server.Config{})
	p := dial(t, addr)
	for _, h := range []string{"H:test:1", "H:other:1", "", "nonsense", "H:test:99999999999999999999999"} {
		p.send(req(wire.GetStatus, h))
		p.want(`STATUS_RES handle="` + h + `" known="0" running="0" numerator="0" denominator="0"`)
	}
}

func TestStatusThatIsNoNumber(t *testing.T) {
	_, addr := start(t, server.Config{})
	w, c := worker(t, addr, "f"), dial(t, addr)
	h := c.submit(wire.SubmitJob, "f", "", "")
	w.grab()
	w.send(req(wire.WorkStatus, h, "half", "1"))
	c.want(`WORK_STATUS handle="` + h + `" numerator="half" denominator="1"`)
	c.send(req(wire.GetStatus, h))
	c.want(`STATUS_RES handle="` + h + `" known="1" running="1" numerator="0" denominator="1"`)
}

func TestGetStatusUnique(t *testing.T) {
	_, addr := start(t, server.Config{})
	w, a, b := worker(t, addr, "f"), dial(t, addr), dial(t, addr)
	h := a.submit(wire.SubmitJob, "f", "u", "")
	b.submit(wire.SubmitJob, "f", "u", "")
	b.submit(wire.SubmitJob, "f", "u", "")
	w.grab()
	w.send(req(wire.WorkStatus, h, "1", "9"))
	w.sync()
	w.send(req(wire.GetStatusUnique, "u"))
	w.want(`STATUS_RES_UNIQUE unique="u" known="1" running="1" numerator="1" denominator="9" clients="3"`)
	for _, unknown := range []string{"v", "", "-"} {
		w.send(req(wire.GetStatusUnique, unknown))
		w.want(`STATUS_RES_UNIQUE unique="` + unknown + `" known="0" running="0" numerator="0" denominator="0" clients="0"`)
	}
}
