package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"gm/pkg/wire"
)

// raw builds a packet by hand: it must not share code with the tested
// functions.
func raw(magic string, typ uint32, body string) []byte {
	b := binary.BigEndian.AppendUint32([]byte("\x00"+magic), typ)
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
	return append(b, body...)
}

// args returns the arguments of a packet as strings.
func args(p *wire.Packet) []string {
	list := make([]string, p.Type.NumArgs())
	for i := range list {
		list[i] = string(p.Args[i])
	}
	return list
}

const (
	toServer   = "REQ"
	fromServer = "RES"
	bothWays   = "REQ RES"
)

// everyType has a packet of each type, with its body as PROTOCOL lays it out.
var everyType = []struct {
	typ    wire.Type
	number uint32
	name   string
	goes   string
	body   string
}{
	{wire.CanDo, 1, "CAN_DO", toServer, "reverse"},
	{wire.CantDo, 2, "CANT_DO", toServer, "reverse"},
	{wire.ResetAbilities, 3, "RESET_ABILITIES", toServer, ""},
	{wire.PreSleep, 4, "PRE_SLEEP", toServer, ""},
	{wire.Noop, 6, "NOOP", fromServer, ""},
	{wire.SubmitJob, 7, "SUBMIT_JOB", toServer, "reverse\x00key\x00a\x00b"},
	{wire.JobCreated, 8, "JOB_CREATED", fromServer, "H:lap:1"},
	{wire.GrabJob, 9, "GRAB_JOB", toServer, ""},
	{wire.NoJob, 10, "NO_JOB", fromServer, ""},
	{wire.JobAssign, 11, "JOB_ASSIGN", fromServer, "H:lap:1\x00reverse\x00a\x00b"},
	{wire.WorkStatus, 12, "WORK_STATUS", bothWays, "H:lap:1\x003\x0010"},
	{wire.WorkComplete, 13, "WORK_COMPLETE", bothWays, "H:lap:1\x00b\x00a"},
	{wire.WorkFail, 14, "WORK_FAIL", bothWays, "H:lap:1"},
	{wire.GetStatus, 15, "GET_STATUS", toServer, "H:lap:1"},
	{wire.EchoReq, 16, "ECHO_REQ", toServer, "\x00any\x00thing\x00"},
	{wire.EchoRes, 17, "ECHO_RES", fromServer, "\x00any\x00thing\x00"},
	{wire.SubmitJobBG, 18, "SUBMIT_JOB_BG", toServer, "reverse\x00\x00"},
	{wire.Error, 19, "ERROR", fromServer, "QUEUE_ERROR\x00Job queue is full"},
	{wire.StatusRes, 20, "STATUS_RES", fromServer, "H:lap:1\x001\x001\x003\x0010"},
	{wire.SubmitJobHigh, 21, "SUBMIT_JOB_HIGH", toServer, "reverse\x00\x00test"},
	{wire.SetClientID, 22, "SET_CLIENT_ID", toServer, "worker-1"},
	{wire.CanDoTimeout, 23, "CAN_DO_TIMEOUT", toServer, "reverse\x001500"},
	{wire.AllYours, 24, "ALL_YOURS", toServer, ""},
	{wire.WorkException, 25, "WORK_EXCEPTION", bothWays, "H:lap:1\x00out of \x00 paper"},
	{wire.OptionReq, 26, "OPTION_REQ", toServer, "exceptions"},
	{wire.OptionRes, 27, "OPTION_RES", fromServer, "exceptions"},
	{wire.WorkData, 28, "WORK_DATA", bothWays, "H:lap:1\x00\x00\x00"},
	{wire.WorkWarning, 29, "WORK_WARNING", bothWays, "H:lap:1\x00paper low"},
	{wire.GrabJobUniq, 30, "GRAB_JOB_UNIQ", toServer, ""},
	{wire.JobAssignUniq, 31, "JOB_ASSIGN_UNIQ", fromServer, "H:lap:1\x00reverse\x00key\x00test"},
	{wire.SubmitJobHighBG, 32, "SUBMIT_JOB_HIGH_BG", toServer, "reverse\x00\x00test"},
	{wire.SubmitJobLow, 33, "SUBMIT_JOB_LOW", toServer, "reverse\x00\x00test"},
	{wire.SubmitJobLowBG, 34, "SUBMIT_JOB_LOW_BG", toServer, "reverse\x00\x00test"},
	{wire.SubmitJobSched, 35, "SUBMIT_JOB_SCHED", toServer, "reverse\x00key\x0015\x003\x001\x0012\x000\x00test"},
	{wire.SubmitJobEpoch, 36, "SUBMIT_JOB_EPOCH", toServer, "reverse\x00key\x001700000000\x00test"},
	{wire.SubmitReduceJob, 37, "SUBMIT_REDUCE_JOB", toServer, "split\x00key\x00sum\x00\x00test"},
	{wire.SubmitReduceJobBG, 38, "SUBMIT_REDUCE_JOB_BACKGROUND", toServer, "split\x00key\x00sum\x00\x00\x00test"},
	{wire.GrabJobAll, 39, "GRAB_JOB_ALL", toServer, ""},
	{wire.JobAssignAll, 40, "JOB_ASSIGN_ALL", fromServer, "H:lap:1\x00reverse\x00key\x00sum\x00test"},
	{wire.GetStatusUnique, 41, "GET_STATUS_UNIQUE", toServer, "key"},
	{wire.StatusResUnique, 42, "STATUS_RES_UNIQUE", fromServer, "key\x001\x000\x003\x0010\x002"},
}

func TestEveryTypeRoundTrips(t *testing.T) {
	seen := map[wire.Type]bool{}
	for _, tc := range everyType {
		t.Run(tc.name, func(t *testing.T) {
			seen[tc.typ] = true
			if got := tc.typ.String(); uint32(tc.typ) != tc.number || got != tc.name {
				t.Errorf("type %d is called %s, want %d %s", tc.typ, got, tc.number, tc.name)
			}
			for _, magic := range []wire.Magic{wire.Request, wire.Response} {
				goes := strings.Contains(tc.goes, magic.String())
				if got := tc.typ.Goes(magic); got != goes {
					t.Errorf("Goes(%v) = %v, want %v", magic, got, goes)
				}
				if goes {
					checkRoundTrip(t, magic, tc.typ, tc.body)
				}
			}
		})
	}
	for typ := range wire.Type(64) {
		if typ.Valid() != seen[typ] {
			t.Errorf("%v: Valid() = %v, but the table has it: %v", typ, typ.Valid(), seen[typ])
		}
	}
}

func checkRoundTrip(t *testing.T, magic wire.Magic, typ wire.Type, body string) {
	t.Helper()
	want := raw(magic.String(), uint32(typ), body)
	var fields []string
	if n := typ.NumArgs(); n > 0 {
		fields = strings.SplitN(body, "\x00", n)
	}

	if got := wire.AppendString(nil, magic, typ, fields...); !bytes.Equal(got, want) {
		t.Errorf("AppendString = %q, want %q", got, want)
	}
	var p wire.Packet
	rest := "\x00REQ and whatever follows"
	n, err := wire.Decode(append(bytes.Clone(want), rest...), wire.Limits{}, &p)
	if err != nil || n != len(want) {
		t.Fatalf("Decode = %d, %v, want %d", n, err, len(want))
	}
	if p.Magic != magic || p.Type != typ {
		t.Errorf("decoded %v %v, want %v %v", p.Magic, p.Type, magic, typ)
	}
	if got := args(&p); strings.Join(got, "|") != strings.Join(fields, "|") {
		t.Errorf("decoded arguments %q, want %q", got, fields)
	}
	if got := p.Append(nil); !bytes.Equal(got, want) {
		t.Errorf("Packet.Append = %q, want %q", got, want)
	}
	last := ""
	if len(fields) > 0 {
		last = fields[len(fields)-1]
	}
	if got := string(p.Last()); got != last {
		t.Errorf("Last() = %q, want %q", got, last)
	}
	for i := range want {
		if n, err := wire.Decode(want[:i], wire.Limits{}, &p); n != 0 || err != nil {
			t.Errorf("Decode of the first %d bytes = %d, %v, want 0 and no error", i, n, err)
		}
	}
}

// protocolExample is the exchange at the end of PROTOCOL, byte for byte.
var protocolExample = []struct {
	bytes string
	magic wire.Magic
	typ   wire.Type
	args  []string
}{
	{"\x00REQ\x00\x00\x00\x01\x00\x00\x00\x07reverse", wire.Request, wire.CanDo, []string{"reverse"}},
	{"\x00REQ\x00\x00\x00\x09\x00\x00\x00\x00", wire.Request, wire.GrabJob, nil},
	{"\x00RES\x00\x00\x00\x0a\x00\x00\x00\x00", wire.Response, wire.NoJob, nil},
	{"\x00REQ\x00\x00\x00\x04\x00\x00\x00\x00", wire.Request, wire.PreSleep, nil},
	{"\x00REQ\x00\x00\x00\x07\x00\x00\x00\x0dreverse\x00\x00test", wire.Request, wire.SubmitJob, []string{"reverse", "", "test"}},
	{"\x00RES\x00\x00\x00\x08\x00\x00\x00\x07H:lap:1", wire.Response, wire.JobCreated, []string{"H:lap:1"}},
	{"\x00RES\x00\x00\x00\x06\x00\x00\x00\x00", wire.Response, wire.Noop, nil},
	{"\x00REQ\x00\x00\x00\x09\x00\x00\x00\x00", wire.Request, wire.GrabJob, nil},
	{"\x00RES\x00\x00\x00\x0b\x00\x00\x00\x14H:lap:1\x00reverse\x00test", wire.Response, wire.JobAssign, []string{"H:lap:1", "reverse", "test"}},
	{"\x00REQ\x00\x00\x00\x0d\x00\x00\x00\x0cH:lap:1\x00tset", wire.Request, wire.WorkComplete, []string{"H:lap:1", "tset"}},
	{"\x00RES\x00\x00\x00\x0d\x00\x00\x00\x0cH:lap:1\x00tset", wire.Response, wire.WorkComplete, []string{"H:lap:1", "tset"}},
}

func TestProtocolExample(t *testing.T) {
	for _, tc := range protocolExample {
		if got := wire.AppendString(nil, tc.magic, tc.typ, tc.args...); string(got) != tc.bytes {
			t.Errorf("%v: appended %q, want %q", tc.typ, got, tc.bytes)
		}
		var p wire.Packet
		n, err := wire.Decode([]byte(tc.bytes), wire.Limits{}, &p)
		if n != len(tc.bytes) || err != nil {
			t.Errorf("%v: Decode = %d, %v, want %d", tc.typ, n, err, len(tc.bytes))
		}
		if p.Magic != tc.magic || p.Type != tc.typ || strings.Join(args(&p), "|") != strings.Join(tc.args, "|") {
			t.Errorf("decoded %v, want %v %v %q", &p, tc.magic, tc.typ, tc.args)
		}
	}
}

// TestTrailingNUL: libgearman and gearmand end some handles and names with a
// NUL that PROTOCOL does not have.
func TestTrailingNUL(t *testing.T) {
	for _, tc := range []struct {
		typ  wire.Type
		body string
		want []string
	}{
		{wire.WorkFail, "H:lap:1\x00", []string{"H:lap:1"}},
		{wire.JobCreated, "H:lap:1\x00", []string{"H:lap:1"}},
		{wire.WorkStatus, "H:lap:1\x003\x0010\x00", []string{"H:lap:1", "3", "10"}},
		{wire.CanDo, "\x00", []string{""}},
		{wire.WorkComplete, "H:lap:1\x00\x00", []string{"H:lap:1", "\x00"}}, // data keeps its own
		{wire.EchoReq, "\x00", []string{"\x00"}},
	} {
		var p wire.Packet
		if _, err := wire.Decode(raw("REQ", uint32(tc.typ), tc.body), wire.Limits{}, &p); err != nil {
			t.Errorf("%v %q: %v", tc.typ, tc.body, err)
		}
		if got := args(&p); strings.Join(got, "|") != strings.Join(tc.want, "|") {
			t.Errorf("%v %q has arguments %q, want %q", tc.typ, tc.body, got, tc.want)
		}
	}
}

// Clients send more or less than PROTOCOL says, and gearmand does not mind.
func TestLenience(t *testing.T) {
	for _, tc := range []struct {
		typ  wire.Type
		body string
		want []string
	}{
		{wire.GrabJob, "x", nil},
		{wire.PreSleep, "\x00", nil},
		{wire.ResetAbilities, "a\x00b", nil},
		{wire.CanDo, "rev\x00erse", []string{"rev"}},
		{wire.WorkFail, "H:lap:1\x00why it failed", []string{"H:lap:1"}},
		{wire.GetStatus, "H:lap:1\x00\x00\x00", []string{"H:lap:1"}},
		{wire.GetStatus, "H:lap:1\x00more\x00still more", []string{"H:lap:1"}},
		{wire.CanDoTimeout, "f\x005\x006", []string{"f", "5"}},
		{wire.CanDoTimeout, "f\x00", []string{"f", ""}},
		{wire.CanDoTimeout, "f", []string{"f", "missing"}},
		{wire.CanDoTimeout, "", []string{"", "missing"}},
		{wire.WorkStatus, "H:lap:1\x001\x002\x003", []string{"H:lap:1", "1", "2"}},
		{wire.WorkStatus, "H:lap:1\x001", []string{"H:lap:1", "1", "missing"}},
		{wire.WorkStatus, "H:lap:1", []string{"H:lap:1", "missing", "missing"}},
	} {
		p := wire.Packet{}
		p.Args[1], p.Args[2] = []byte("of an earlier packet"), []byte("of an earlier packet")
		b := raw("REQ", uint32(tc.typ), tc.body)
		if n, err := wire.Decode(b, wire.Limits{}, &p); n != len(b) || err != nil {
			t.Errorf("%v %q: %d, %v", tc.typ, tc.body, n, err)
		}
		got := args(&p)
		for i := range got {
			if p.Args[i] == nil {
				got[i] = "missing"
			}
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%v %q has arguments %q, want %q", tc.typ, tc.body, got, tc.want)
		}
	}
}

func TestReduceInBothForms(t *testing.T) {
	for _, tc := range []struct{ name, body, payload string }{
		{"PROTOCOL", "split\x00key\x00sum\x00work", "work"},
		{"libgearman", "split\x00key\x00sum\x00\x00work", "work"},
		{"PROTOCOL, empty", "split\x00key\x00sum\x00", ""},
		{"libgearman, empty", "split\x00key\x00sum\x00\x00", ""},
		{"libgearman, NUL first", "split\x00key\x00sum\x00\x00\x00work", "\x00work"},
		{"NULs within", "split\x00key\x00sum\x00wo\x00rk\x00", "wo\x00rk\x00"},
	} {
		for _, typ := range []wire.Type{wire.SubmitReduceJob, wire.SubmitReduceJobBG} {
			var p wire.Packet
			p.Args[3] = []byte("left by an earlier packet")
			if _, err := wire.Decode(raw("REQ", uint32(typ), tc.body), wire.Limits{}, &p); err != nil {
				t.Fatalf("%s: %v", tc.name, err)
			}
			want := "split|key|sum||" + tc.payload
			if got := strings.Join(args(&p), "|"); got != want {
				t.Errorf("%s: arguments %q, want %q", tc.name, got, want)
			}
			if got, want := p.Append(nil), raw("REQ", uint32(typ), "split\x00key\x00sum\x00\x00"+tc.payload); !bytes.Equal(got, want) {
				t.Errorf("%s: appended %q, want libgearman's form %q", tc.name, got, want)
			}
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	header := func(magic string, typ, size uint32) []byte {
		b := raw(magic, typ, "")
		binary.BigEndian.PutUint32(b[8:], size)
		return b
	}
	const mib = 1 << 20
	for _, tc := range []struct {
		name  string
		bytes []byte
		want  error
		text  string
	}{
		{"HTTP", []byte("GET / HTTP/1.1\r\n"), wire.ErrBadMagic, `bad magic "GET "`},
		{"magic in small letters", []byte("\x00req"), wire.ErrBadMagic, `bad magic "\x00req"`},
		{"type 0", header("REQ", 0, 0), wire.ErrBadType, "unknown packet type 0"},
		{"type 5", header("REQ", 5, 0), wire.ErrBadType, "unknown packet type 5"},
		{"type 43", header("RES", 43, 0), wire.ErrBadType, "unknown packet type 43"},
		{"largest type", header("REQ", math.MaxUint32, 0), wire.ErrBadType, "unknown packet type 4294967295"},
		{"4 GB", header("REQ", 7, math.MaxUint32), wire.ErrTooLarge, "SUBMIT_JOB: size 4294967295 over the limit 67174400"},
		{"2 GB", header("REQ", 7, 1<<31), wire.ErrTooLarge, "SUBMIT_JOB: size 2147483648 over the limit 67174400"},
		{"a byte too many", header("REQ", 7, 64*mib+64<<10+1), wire.ErrTooLarge, "SUBMIT_JOB: size 67174401 over the limit 67174400"},
		{"a name of 1 MB", header("REQ", 1, mib), wire.ErrTooLarge, "CAN_DO: size 1048576 over the limit 65536"},
		{"no unique", raw("REQ", 7, "reverse"), wire.ErrMalformed, "malformed packet: SUBMIT_JOB without its unique"},
		{"no workload", raw("REQ", 7, "reverse\x00key"), wire.ErrMalformed, "malformed packet: SUBMIT_JOB without its workload"},
		{"empty", raw("REQ", 7, ""), wire.ErrMalformed, "malformed packet: SUBMIT_JOB without its unique"},
		{"a response without its denominator", raw("RES", 12, "H:lap:1\x003"), wire.ErrMalformed, "malformed packet: WORK_STATUS without its denominator"},
		{"no reducer", raw("REQ", 37, "split\x00key"), wire.ErrMalformed, "malformed packet: SUBMIT_REDUCE_JOB without its reducer"},
	} {
		var p wire.Packet
		n, err := wire.Decode(tc.bytes, wire.Limits{}, &p)
		if n != 0 || !errors.Is(err, tc.want) || err.Error() != tc.text {
			t.Errorf("%s: Decode = %d, %v, want 0, %s", tc.name, n, err, tc.text)
		}
	}
}

func TestLimits(t *testing.T) {
	const allowance = 64 << 10
	long := strings.Repeat("f", allowance)
	for _, tc := range []struct {
		name   string
		limits wire.Limits
		typ    wire.Type
		body   string
		want   string // the error
	}{
		{"payload at the limit", wire.Limits{MaxPayload: 4}, wire.SubmitJob, "reverse\x00key\x00test", ""},
		{"payload over it", wire.Limits{MaxPayload: 4}, wire.SubmitJob, "reverse\x00key\x00tests", "SUBMIT_JOB: workload of 5 bytes over the limit 4"},
		{"data over it", wire.Limits{MaxPayload: 4}, wire.WorkData, "H:lap:1\x00tests", "WORK_DATA: data of 5 bytes over the limit 4"},
		{"name over a payload's limit", wire.Limits{MaxPayload: 4}, wire.CanDo, "reverse", ""},
		{"name at its limit", wire.Limits{}, wire.CanDo, long, ""},
		{"name over it", wire.Limits{}, wire.CanDo, long + "f", "CAN_DO: size 65537 over the limit 65536"},
		{"arguments at their limit", wire.Limits{}, wire.SubmitJob, long[2:] + "\x00\x00test", ""},
		{"arguments over it", wire.Limits{}, wire.SubmitJob, long[1:] + "\x00\x00test", "SUBMIT_JOB: 65537 bytes before its workload over the limit 65536"},
		{"no overflow", wire.Limits{MaxPayload: math.MaxInt}, wire.SubmitJob, "reverse\x00key\x00test", ""},
		{"negative is the default", wire.Limits{MaxPayload: -1}, wire.SubmitJob, "reverse\x00key\x00test", ""},
	} {
		var p wire.Packet
		_, err := wire.Decode(raw("REQ", uint32(tc.typ), tc.body), tc.limits, &p)
		switch {
		case tc.want == "" && err != nil:
			t.Errorf("%s: %v", tc.name, err)
		case tc.want != "" && (!errors.Is(err, wire.ErrTooLarge) || err.Error() != tc.want):
			t.Errorf("%s: error %v, want %s", tc.name, err, tc.want)
		}
	}
}

func TestAppendRefusesMistakes(t *testing.T) {
	for name, mistake := range map[string]func(){
		"too few arguments":  func() { wire.AppendString(nil, wire.Request, wire.SubmitJob, "reverse") },
		"too many arguments": func() { wire.Append(nil, wire.Request, wire.GrabJob, nil) },
		"no such type":       func() { wire.Append(nil, wire.Request, 5) },
		"a zero packet":      func() { new(wire.Packet).Append(nil) },
		"negative size":      func() { wire.AppendHeader(nil, wire.Request, wire.EchoReq, -1) },
		"more than a header can name": func() {
			size := int64(math.MaxUint32) + math.MaxInt32 + 2 // negative where an int has 32 bits
			wire.AppendHeader(nil, wire.Request, wire.EchoReq, int(size))
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			mistake()
		})
	}
}

func TestAppendKeepsWhatIsThere(t *testing.T) {
	got := wire.AppendString([]byte("before"), wire.Request, wire.GrabJob)
	if want := "before" + string(raw("REQ", 9, "")); string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestValidArg(t *testing.T) {
	for arg, want := range map[string]bool{"": true, "reverse": true, "tab\tand\nline": true, "a\x00b": false, "\x00": false} {
		if got := wire.ValidArg(arg); got != want {
			t.Errorf("ValidArg(%q) = %v, want %v", arg, got, want)
		}
	}
}
