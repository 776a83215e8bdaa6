package gearman

import (
	"encoding/binary"
	"fmt"
	"io"

	"gm/pkg/wire"
)

// maxSkipped is the maximum size of a packet that is skipped: the largest payload of
// gm's server, and the arguments before it.
const maxSkipped = 4095<<20 + 64<<10

// skipJob discards a JOB_ASSIGN that exceeds the limit, in constant memory, and fails
// its job with the reason. The slot then asks again as after NO_JOB. Any other packet
// of that size ends the connection with tooLarge.
func (l *link) skipJob(c *workerConn, tooLarge error) error {
	var header [wire.HeaderSize]byte
	if _, err := io.ReadFull(c.in, header[:]); err != nil {
		return err
	}
	typ := wire.Type(binary.BigEndian.Uint32(header[4:]))
	switch typ {
	case wire.JobAssign, wire.JobAssignUniq, wire.JobAssignAll:
	default:
		return tooLarge
	}
	size := int64(binary.BigEndian.Uint32(header[8:]))
	if size > maxSkipped {
		return tooLarge
	}
	var handle []byte
	for left := size; ; {
		var b [1]byte
		if left == 0 || len(handle) > maxHandle {
			return tooLarge
		}
		if _, err := io.ReadFull(c.in, b[:]); err != nil {
			return err
		}
		if left--; b[0] == 0 {
			break
		}
		handle = append(handle, b[0])
	}
	if _, err := io.CopyN(io.Discard, c.in, size-int64(len(handle))-1); err != nil {
		return err
	}
	reason := fmt.Errorf("%v of %d bytes: the payload is %w of %d bytes", typ, size, ErrTooLarge, c.maxPayload)
	l.slot.worker.log().Warn("job failed", "handle", string(handle), "server", l.server.String(), "reason", reason)
	err := c.write(func(put putFunc) error {
		put(wire.WorkWarning, handle, lastBytes([]byte(reason.Error()+"\n"), c.maxPayload))
		put(wire.WorkFail, handle)
		return nil
	})
	if err != nil {
		return err
	}
	return c.answer(reply{typ: typ})
}

// lastBytes returns the end of b, at most limit bytes of it.
func lastBytes(b []byte, limit int) []byte {
	return b[max(0, len(b)-limit):]
}
