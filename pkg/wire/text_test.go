package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"gm/pkg/wire"
)

// row is the common interface of the rows of the admin protocol.
type row interface{ Append([]byte) []byte }

func parseStatus(b []byte) (row, error)   { return wire.ParseFunctionStatus(b) }
func parsePriority(b []byte) (row, error) { return wire.ParsePriorityStatus(b) }
func parseWorker(b []byte) (row, error)   { return wire.ParseWorkerInfo(b) }
func parseJob(b []byte) (row, error)      { return wire.ParseJobInfo(b) }

var parsers = []func([]byte) (row, error){parseStatus, parsePriority, parseWorker, parseJob}

// rows are rows as gearmand writes them.
var rows = []struct {
	parse func([]byte) (row, error)
	text  string
	want  row
}{
	{parseStatus, "reverse\t3\t1\t2", wire.FunctionStatus{Function: "reverse", Total: 3, Running: 1, Workers: 2}},
	{parseStatus, `"with\x20space"` + "\t0\t0\t0", wire.FunctionStatus{Function: "with space"}},
	{parseStatus, `"with\ttab\t7"` + "\t2147483647\t0\t9", wire.FunctionStatus{Function: "with\ttab\t7", Total: 2147483647, Workers: 9}},
	{parseStatus, `App\Jobs\x20` + "\t0\t0\t0", wire.FunctionStatus{Function: `App\Jobs\x20`}},
	{parseStatus, `a"b"` + "\t0\t0\t0", wire.FunctionStatus{Function: `a"b"`}},
	{parseStatus, `"\"a\\b\""` + "\t0\t0\t0", wire.FunctionStatus{Function: `"a\b"`}},
	{parseStatus, `"line\nend\r\x00\x0b\x7f"` + "\t0\t0\t0", wire.FunctionStatus{Function: "line\nend\r\x00\v\x7f"}},
	{parseStatus, `"\xe2\x80\xa8\xc2\x85é"` + "\t0\t0\t0", wire.FunctionStatus{Function: "\u2028\u0085é"}},
	{parseStatus, "\t1\t0\t0", wire.FunctionStatus{Total: 1}},
	{parseStatus, "größe\xff\t1\t0\t0", wire.FunctionStatus{Function: "größe\xff", Total: 1}},
	{parsePriority, "reverse\t1\t2\t3\t4", wire.PriorityStatus{Function: "reverse", High: 1, Normal: 2, Low: 3, Workers: 4}},
	{parsePriority, `"a\t5"` + "\t1\t2\t3\t4", wire.PriorityStatus{Function: "a\t5", High: 1, Normal: 2, Low: 3, Workers: 4}},
	{parseWorker, "33 127.0.0.1 - : reverse wc", worker(33, "127.0.0.1", "-", "reverse", "wc")},
	{parseWorker, "33 127.0.0.1 - :", worker(33, "127.0.0.1", "-")},
	{parseWorker, "34 ::1 - : reverse", worker(34, "::1", "-", "reverse")},
	{parseWorker, "34 fe80::1%eth0 w:1 : reverse", worker(34, "fe80::1%eth0", "w:1", "reverse")},
	{parseWorker, "35 ::ffff:10.0.0.7 : : reverse", worker(35, "::ffff:10.0.0.7", ":", "reverse")},
	{parseWorker, `36 10.0.0.7 "id\x20with\x20:\x20blanks" : reverse "a\x20b"`, worker(36, "10.0.0.7", "id with : blanks", "reverse", "a b")},
	{parseWorker, "36 10.0.0.7 ->:<- : a:b :c d:", worker(36, "10.0.0.7", "->:<-", "a:b", ":c", "d:")},
	{parseWorker, "37 10.0.0.7  : reverse", worker(37, "10.0.0.7", "", "reverse")},
	{parseWorker, `38 10.0.0.7 "wörker\xc2\xa01" : "gr\xc2\xa0ün"`, worker(38, "10.0.0.7", "wörker\u00a01", "gr\u00a0ün")},
	{parseWorker, "-1 - - :", worker(-1, "-", "-")},
	{parseJob, "H:lap:1\t0\t0\t1", wire.JobInfo{Handle: "H:lap:1", Queued: true}},
	{parseJob, "H:lap:2\t3\t1\t0", wire.JobInfo{Handle: "H:lap:2", Attempts: 3, Ignored: true}},
}

func worker(fd int, addr, id string, functions ...string) wire.WorkerInfo {
	return wire.WorkerInfo{FD: fd, Addr: addr, ID: id, Functions: append([]string{}, functions...)}
}

func TestRows(t *testing.T) {
	for _, tc := range rows {
		got, err := tc.parse([]byte(tc.text))
		if err != nil || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("parsed %q as %+v, %v, want %+v", tc.text, got, err, tc.want)
		}
		if got := string(tc.want.Append([]byte("before "))); got != "before "+tc.text+"\n" {
			t.Errorf("appended %q, want %q", got, tc.text+"\n")
		}
	}
}

// TestWorkerRowsOfOthers has rows that gm does not write but reads.
func TestWorkerRowsOfOthers(t *testing.T) {
	for text, want := range map[string]wire.WorkerInfo{
		"33 127.0.0.1 : reverse":               worker(33, "127.0.0.1", "", "reverse"),
		"33 127.0.0.1 :":                       worker(33, "127.0.0.1", ""),
		"33 127.0.0.1 - :  a   b ":             worker(33, "127.0.0.1", "-", "a", "b"),
		"33 127.0.0.1 - : two blanks":          worker(33, "127.0.0.1", "-", "two", "blanks"),
		"36 10.0.0.7 id with blanks : reverse": worker(36, "10.0.0.7", "id with blanks", "reverse"),
	} {
		if got, err := wire.ParseWorkerInfo([]byte(text)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("parsed %q as %+v, %v, want %+v", text, got, err, want)
		}
	}
}

func TestBadRows(t *testing.T) {
	for _, tc := range []struct {
		parse func([]byte) (row, error)
		text  string
		want  string
	}{
		{parseStatus, "", `status row "": too few columns`},
		{parseStatus, "reverse", `status row "reverse": too few columns`},
		{parseStatus, "1\t2\t3", `status row "1\t2\t3": too few columns`},
		{parseStatus, "f\t1\t2\tx", `status row "f\t1\t2\tx": strconv.Atoi: parsing "x": invalid syntax`},
		{parseStatus, "f\t1\t2\t", `status row "f\t1\t2\t": strconv.Atoi: parsing "": invalid syntax`},
		{parsePriority, "f\t1\t2\t3", `prioritystatus row "f\t1\t2\t3": too few columns`},
		{parseJob, "H:lap:1\t1\t0", `jobs row "H:lap:1\t1\t0": too few columns`},
		{parseWorker, "", `workers row "": no file descriptor`},
		{parseWorker, "x 127.0.0.1 - :", `workers row "x 127.0.0.1 - :": no file descriptor`},
		{parseWorker, "33", `workers row "33": no address`},
		{parseWorker, "33 127.0.0.1", `workers row "33 127.0.0.1": no colon before the functions`},
		{parseWorker, "33 127.0.0.1 - reverse", `workers row "33 127.0.0.1 - reverse": no colon before the functions`},
		{parseWorker, "33 ::1 -", `workers row "33 ::1 -": no colon before the functions`},
	} {
		if got, err := tc.parse([]byte(tc.text)); err == nil || err.Error() != tc.want {
			t.Errorf("parsed %q as %+v, error %v, want %s", tc.text, got, err, tc.want)
		}
	}
}

// TestRowsStayRows: a name can't end its row and forge another.
func TestRowsStayRows(t *testing.T) {
	const forged = "reverse\t0\t0\t9\n.\nOK"
	for _, r := range []row{
		wire.FunctionStatus{Function: forged},
		wire.PriorityStatus{Function: forged},
		wire.WorkerInfo{Addr: "127.0.0.1", ID: forged, Functions: []string{forged, forged}},
	} {
		if got := r.Append(nil); bytes.IndexByte(got, '\n') != len(got)-1 {
			t.Errorf("%T: %q is more than a row", r, got)
		}
	}
}

func TestParseReply(t *testing.T) {
	for _, tc := range []struct {
		line    string
		want    string
		err     string
		unknown bool
	}{
		{line: "OK"},
		{line: "OK\r\n"},
		{line: "OK 1.1.20", want: "1.1.20"},
		{line: "OK \r", want: ""},
		{line: "ERR UNKNOWN_JOB\r\n", err: "server says UNKNOWN_JOB"},
		{line: "ERR", err: "server says ERR"},
		{line: fmt.Sprintf(wire.ReplyUnknownCommand, "jobs"), err: "server says UNKNOWN_COMMAND Unknown+server+commandjobs", unknown: true},
		{line: "ERR unknown_command Unknown+server+command", err: "server says unknown_command Unknown+server+command", unknown: true},
		{line: "ERR UNKNOWN_COMMANDER", err: "server says UNKNOWN_COMMANDER"},
		{line: "", err: `malformed packet: admin reply ""`},
		{line: "OKAY", err: `malformed packet: admin reply "OKAY"`},
		{line: "reverse\t1\t2\t3", err: `malformed packet: admin reply "reverse\t1\t2\t3"`},
	} {
		got, err := wire.ParseReply([]byte(tc.line))
		text := ""
		if err != nil {
			text = err.Error()
		}
		if got != tc.want || text != tc.err {
			t.Errorf("ParseReply(%q) = %q, %q, want %q, %q", tc.line, got, text, tc.want, tc.err)
		}
		var reply wire.ErrReply
		if errors.As(err, &reply) != strings.HasPrefix(tc.line, "ERR") {
			t.Errorf("ParseReply(%q) returns a %T", tc.line, err)
		}
		if reply.Unknown() != tc.unknown {
			t.Errorf("%q: Unknown() = %v, want %v", tc.line, reply.Unknown(), tc.unknown)
		}
	}
}

func TestWords(t *testing.T) {
	for line, want := range map[string]string{
		"":                            "",
		"   ":                         "",
		"status":                      "status",
		"\tcancel  job\tH:lap:1 ":     "cancel|job|H:lap:1",
		"maxqueue gr\u00a0ün\u3000 1": "maxqueue|gr\u00a0ün\u3000|1",
		"a\vb\fc\rd":                  "a|b|c|d",
		"drop function \xff\x00\xfe":  "drop|function|\xff\x00\xfe",
		`drop function "a b"`:         "drop|function|a b",
		`"" "" x`:                     "||x",
		`x "a\t\n\r\x20\\\"" y`:       "x|a\t\n\r \\\"|y",
		`x a"b c"d "e`:                `x|a"b|c"d|"e`,
		`x "a"b "c d`:                 `x|"a"b|"c|d`,
		`x "a\q" "\x2" "\`:            `x|"a\q"|"\x2"|"\`,
	} {
		if got := string(bytes.Join(wire.Words([]byte(line)), []byte("|"))); got != want {
			t.Errorf("Words(%q) = %q, want %q", line, got, want)
		}
	}
}

func TestIsEnd(t *testing.T) {
	for line, want := range map[string]bool{".": true, "": false, "..": false, ".\t0\t0\t0": false, "x": false} {
		if got := wire.IsEnd([]byte(line)); got != want {
			t.Errorf("IsEnd(%q) = %v, want %v", line, got, want)
		}
	}
}

// Each name comes back from a row and from a request as it was.
func TestNamesComeBack(t *testing.T) {
	names := []string{
		"f", "", "a b", " ", "\t", "a\nb", "\r\n", "\x00", `"`, `""`, `"a"`, `a"`, `\`, `"\`, `\"`, `App\Jobs\T`, ".", "ERR x",
		"\xff", "\xc2", "größe", "\u00a0", "\u2028", "名前", "a\x1bb", "-",
	}
	for _, name := range names {
		row := wire.FunctionStatus{Function: name, Total: 1}.Append(nil)
		if got, err := wire.ParseFunctionStatus(bytes.TrimSuffix(row, []byte("\n"))); err != nil || got.Function != name {
			t.Errorf("%q: the row %q gives %q, %v", name, row, got.Function, err)
		}
		if columns := strings.Fields(string(row)); len(columns) != 4 && name != "" {
			t.Errorf("%q: the row %q has %d columns for who splits it on white space", name, row, len(columns))
		}
		line := wire.AppendWord([]byte("drop function "), name)
		if got := wire.Words(line); len(got) != 3 || string(got[2]) != name {
			t.Errorf("%q: the line %q gives %q", name, line, got)
		}
		text := wire.AppendText(nil, name)
		if wire.IsEnd(text) || bytes.ContainsAny(text, "\r\n") || wire.ParseName(string(text)) != name {
			t.Errorf("%q: the text %q gives %q", name, text, wire.ParseName(string(text)))
		}
	}
}

func TestNumberReadsLikeStrtol(t *testing.T) {
	for text, want := range map[string]int64{
		"": 0, "7": 7, "-7": -7, "+7": 7, " \t\n7 ": 7, "12abc": 12, "1.9": 1, "1e9": 1, "0x10": 0, "abc": 0, "-": 0, "--7": 0,
		"\x01\xff": 0, "007": 7, "9223372036854775807": math.MaxInt64, "9223372036854775808": math.MaxInt64,
		"-9223372036854775808": math.MinInt64, "99999999999999999999999": math.MaxInt64, "-99999999999999999999999": math.MinInt64,
	} {
		if got := wire.Number([]byte(text)); got != want {
			t.Errorf("Number(%q) is %d, want %d", text, got, want)
		}
	}
}
