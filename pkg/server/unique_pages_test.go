package server_test

import (
	"fmt"
	"testing"

	"gm/pkg/server"
	"gm/pkg/wire"
)

// Among many functions a unique is found too, and the reply keeps its place.
func TestStatusByUniqueAmongManyFunctions(t *testing.T) {
	_, addr := start(t, server.Config{})
	w, c := dial(t, addr), dial(t, addr)
	for i := range 50 {
		var packets [][]byte
		for k := range 100 {
			packets = append(packets, req(wire.CanDo, fmt.Sprintf("f%d", i*100+k)))
		}
		w.send(packets...)
	}
	w.sync()
	c.submit(wire.SubmitJobBG, "f4900", "u", "")
	c.submit(wire.SubmitJobBG, "f4901", "u", "")
	c.send(req(wire.GetStatusUnique, "u"), req(wire.EchoReq, "x"), req(wire.GetStatusUnique, "v"))
	c.want(`STATUS_RES_UNIQUE unique="u" known="1" running="0" numerator="0" denominator="0" clients="0"`)
	c.want(`ECHO_RES data=1:"x"`)
	c.want(`STATUS_RES_UNIQUE unique="v" known="0" running="0" numerator="0" denominator="0" clients="0"`)
}
