package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

const (
	// HeaderSize is the length of a packet's header: magic, type, size.
	HeaderSize = 12
	// MaxArgs is the largest number of arguments of a packet
	// (SUBMIT_JOB_SCHED).
	MaxArgs = 8
	// MaxHandle is the maximum length of a handle in bytes (PROTOCOL: 64 with
	// its NUL).
	MaxHandle = 63
	// MaxUnique is the maximum length in bytes of a unique that a server
	// accepts.
	MaxUnique = 255
	// DefaultMaxPayload is the default limit of a payload: 64 MiB.
	DefaultMaxPayload = 64 << 20
	// maxArgs is the maximum size in bytes of the arguments other than the
	// payload: the function, unique, reducer and handle, with their NULs.
	maxArgs = 64 << 10
	// MaxLine is the maximum length of an admin line in bytes, with its end.
	MaxLine = 64 << 10
)

// Errors of a stream that breaks the protocol. The stream cannot go on after
// one: the start of the next packet is unknown, or the sender does not speak
// Gearman.
var (
	ErrBadMagic  = errors.New("bad magic")
	ErrBadType   = errors.New("unknown packet type")
	ErrTooLarge  = errors.New("over the limit")
	ErrMalformed = errors.New("malformed packet")
)

// Limits bound the packets that a peer may send. The zero value stands for the
// defaults.
type Limits struct {
	// MaxPayload is the largest payload in bytes, DefaultMaxPayload if 0. A
	// packet may have up to 64 KiB of other arguments, and so may a packet
	// without a payload.
	MaxPayload int
}

func (l Limits) maxPayload() int {
	if l.MaxPayload <= 0 {
		return DefaultMaxPayload
	}
	return min(l.MaxPayload, maxBuffer-maxArgs-HeaderSize)
}

// maxBody returns the maximum size of the body of a packet of type t.
func (l Limits) maxBody(t Type) int {
	if !specs[t].opaque {
		return maxArgs
	}
	return l.maxPayload() + maxArgs
}

// Packet is one packet. The arguments of a decoded one point into the buffer
// that it was decoded from.
type Packet struct {
	Magic Magic
	Type  Type
	Args  [MaxArgs][]byte // the first Type.NumArgs are set
}

// Last returns the last argument, where a packet carries its payload; nil if
// the type has none.
func (p *Packet) Last() []byte {
	if n := p.Type.NumArgs(); n > 0 {
		return p.Args[n-1]
	}
	return nil
}

// Append appends the packet's bytes to dst.
func (p *Packet) Append(dst []byte) []byte {
	return Append(dst, p.Magic, p.Type, p.Args[:p.Type.NumArgs()]...)
}

// Append appends a packet's bytes to dst. It panics if t is no packet type, if
// the number of arguments is not the type's, or if they are longer together
// than the 4 GiB that a header can name: those are mistakes of the caller. Only
// the last argument may contain a NUL; see [ValidArg].
func Append(dst []byte, m Magic, t Type, args ...[]byte) []byte {
	checkArgs(t, len(args))
	dst = AppendHeader(dst, m, t, bodySize(args))
	for i, a := range args {
		if i > 0 {
			dst = append(dst, 0)
		}
		dst = append(dst, a...)
	}
	return dst
}

// AppendString is [Append] for arguments at hand as strings. The two do not
// share a generic body, which would allocate the arguments of each call.
func AppendString(dst []byte, m Magic, t Type, args ...string) []byte {
	checkArgs(t, len(args))
	dst = AppendHeader(dst, m, t, bodySize(args))
	for i, a := range args {
		if i > 0 {
			dst = append(dst, 0)
		}
		dst = append(dst, a...)
	}
	return dst
}

// bodySize returns the length of the arguments with the NULs between them, or
// -1 if it overflows an int of 32 bits.
func bodySize[A []byte | string](args []A) int {
	size := max(len(args)-1, 0)
	for _, a := range args {
		if size += len(a); size < 0 {
			return -1
		}
	}
	return size
}

func checkArgs(t Type, n int) {
	if !t.Valid() || n != t.NumArgs() {
		panic(fmt.Sprintf("wire: %v has %d arguments, not %d", t, t.NumArgs(), n))
	}
}

// AppendHeader appends the 12 bytes before a body of size bytes. With it a
// caller can write a large payload without copying it. It panics if size is not
// one that a header can name.
func AppendHeader(dst []byte, m Magic, t Type, size int) []byte {
	if !validSize(size) {
		panic(fmt.Sprintf("wire: %v of %d bytes", t, size))
	}
	if m == Request {
		dst = append(dst, "\x00REQ"...)
	} else {
		dst = append(dst, "\x00RES"...)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(t))
	return binary.BigEndian.AppendUint32(dst, uint32(size))
}

func validSize(size int) bool { return size >= 0 && uint64(size) <= math.MaxUint32 }

// ValidArg reports whether s can be an argument other than a payload: it has no
// NUL, which would end it early.
func ValidArg(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] == 0 {
			return false
		}
	}
	return true
}

// Decode decodes the packet that b starts with and returns its length. It
// returns 0 and no error while b holds only a part of it. A bad magic is an
// error as soon as its 4 bytes are there, a bad type or size as soon as the 12
// bytes of the header are. Decode sets the first Type.NumArgs elements of
// p.Args and leaves the others unchanged.
//
// If a request about a job exceeds the limit, Decode returns the error only
// when it has the job's handle, and sets p.Args[0] to it.
//
// As in gearmand, Decode ignores the bytes after a NUL that ends a last
// argument of text (a handle, a name), and the body of a packet without
// arguments. Real clients send both. In a request whose last argument is text
// (WORK_STATUS, CAN_DO_TIMEOUT) missing arguments are nil; one that is there
// and empty is not.
func Decode(b []byte, l Limits, p *Packet) (int, error) {
	size, err := decodeHeader(b, l, p)
	if err != nil && errors.Is(err, ErrTooLarge) && !p.takeHandle(b[HeaderSize:]) {
		return 0, nil
	}
	if err != nil || size < 0 || len(b) < HeaderSize+size {
		return 0, err
	}
	if err := p.split(b[HeaderSize:HeaderSize+size], l); err != nil {
		return 0, err
	}
	return HeaderSize + size, nil
}

// takeHandle sets the handle of a packet whose body is too large and begins
// with b. It returns false if more of b is needed. A packet that is not about a
// job has no handle.
func (p *Packet) takeHandle(b []byte) bool {
	p.Args[0] = nil
	if args := specs[p.Type].args; p.Magic != Request || len(args) < 2 || args[0] != argHandle {
		return true
	}
	if end := bytes.IndexByte(b[:min(len(b), MaxHandle+1)], 0); end >= 0 {
		p.Args[0] = b[:end]
		return true
	}
	return len(b) > MaxHandle
}

// decodeHeader returns the size of the body, or -1 if b does not have the whole
// header.
func decodeHeader(b []byte, l Limits, p *Packet) (int, error) {
	if len(b) >= 4 {
		switch string(b[:4]) {
		case "\x00REQ":
			p.Magic = Request
		case "\x00RES":
			p.Magic = Response
		default:
			return 0, fmt.Errorf("%w %q", ErrBadMagic, b[:4])
		}
	}
	if len(b) < HeaderSize {
		return -1, nil
	}
	p.Type = Type(binary.BigEndian.Uint32(b[4:]))
	size := binary.BigEndian.Uint32(b[8:])
	if !p.Type.Valid() {
		return 0, fmt.Errorf("%w %d", ErrBadType, uint32(p.Type))
	}
	if limit := l.maxBody(p.Type); uint64(size) > uint64(limit) {
		return 0, fmt.Errorf("%v: size %d %w %d", p.Type, size, ErrTooLarge, limit)
	}
	return int(size), nil
}

// split sets the arguments from a complete body.
func (p *Packet) split(body []byte, l Limits) error {
	sp := &specs[p.Type]
	n := len(sp.args)
	if n == 0 {
		return nil
	}
	last, err := p.cut(body, n-1)
	if err != nil {
		return err
	}
	if !sp.opaque {
		if end := bytes.IndexByte(last, 0); end >= 0 {
			last = last[:end]
		}
	} else if size := len(body) - len(last); size > maxArgs {
		return fmt.Errorf("%v: %d bytes before its %s %w %d", p.Type, size, sp.args[n-1], ErrTooLarge, maxArgs)
	} else if limit := l.maxPayload(); len(last) > limit {
		return fmt.Errorf("%v: %s of %d bytes %w %d", p.Type, sp.args[n-1], len(last), ErrTooLarge, limit)
	}
	p.Args[n-1] = last
	return nil
}

// cut sets the first n arguments, each of which ends with a NUL, and returns
// the rest.
//
// It takes the reduce packets in both forms: PROTOCOL's (function, unique,
// reducer, workload) and libgearman's, with an empty argument before the
// workload. A workload of PROTOCOL's form that begins with a NUL looks like
// libgearman's and is read as such.
func (p *Packet) cut(body []byte, n int) (rest []byte, err error) {
	names := specs[p.Type].args
	for i := range n {
		if names[i] == argAggregate {
			p.Args[i], body = nil, bytes.TrimPrefix(body, []byte{0})
			continue
		}
		end := bytes.IndexByte(body, 0)
		if end < 0 && names[0] == argHandle && names[i+1] == argDatum {
			// Perl's worker sends an empty result as the handle alone.
			p.Args[i] = body
			return nil, nil
		}
		if end < 0 && p.Magic == Request && !specs[p.Type].opaque {
			p.Args[i] = body
			clear(p.Args[i+1 : n])
			return nil, nil
		}
		if end < 0 {
			return nil, fmt.Errorf("%w: %v without its %s", ErrMalformed, p.Type, names[i+1])
		}
		p.Args[i], body = body[:end], body[end+1:]
	}
	return body, nil
}
