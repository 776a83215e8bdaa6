//go:build unix

package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestCut(t *testing.T) {
	const most = 10
	tests := []struct {
		framing Framing
		in      string
		answer  string
		n       int
		err     string
	}{
		{framing: Line, in: ""},
		{framing: Line, in: "abc"},
		{framing: Line, in: "\n", answer: "\n", n: 1},
		{framing: Line, in: "a\x00b\nc\n", answer: "a\x00b\n", n: 4},
		{framing: Line, in: "123456789\n", answer: "123456789\n", n: 10},
		{framing: Line, in: "1234567890\n", err: ErrAnswerTooLong.Error()},
		{framing: Line, in: "1234567890x", err: ErrAnswerTooLong.Error()},
		{framing: Netstring, in: ""},
		{framing: Netstring, in: "1"},
		{framing: Netstring, in: "3:ab"},
		{framing: Netstring, in: "3:abc"},
		{framing: Netstring, in: "3:abc,", answer: "abc", n: 6},
		{framing: Netstring, in: "3:a\n,,1:x", answer: "a\n,", n: 6},
		{framing: Netstring, in: "0:,", answer: "", n: 3},
		{framing: Netstring, in: "11:", err: ErrAnswerTooLong.Error()},
		{framing: Netstring, in: "1234567890123", err: `not a netstring: "1234567890123"`},
		{framing: Netstring, in: "03:abc,", err: `not a netstring: "03:abc,"`},
		{framing: Netstring, in: ":abc,", err: `not a netstring: ":abc,"`},
		{framing: Netstring, in: "3;abc,", err: `not a netstring: "3;abc,"`},
		{framing: Netstring, in: "-1:", err: `not a netstring: "-1:"`},
		{framing: Netstring, in: "3:abcd", err: `not a netstring: 'd' after 3 bytes`},
		{framing: Netstring, in: "Traceback\n", err: `not a netstring: "Traceback\n"`},
	}
	for _, tt := range tests {
		answer, n, err := tt.framing.cutAnswer([]byte(tt.in), 0, most)
		if string(answer) != tt.answer || n != tt.n || errorText(err) != tt.err {
			t.Errorf("%q: got %q, %d, %v, want %q, %d, %v", tt.in, answer, n, err, tt.answer, tt.n, tt.err)
		}
	}
}

// perl returns a Keeper of a Perl program.
func keepPerl(t *testing.T, program string) *Keeper {
	t.Helper()
	if _, err := exec.LookPath("perl"); err != nil {
		t.Skip("perl is not installed")
	}
	k := &Keeper{Command: &Command{Args: []string{"perl", "-e", program}, KillAfter: time.Second}}
	t.Cleanup(func() { k.Close(context.Background()) })
	return k
}

// echoNetstrings is a Perl program that gives back each netstring.
const echoNetstrings = `$| = 1; binmode STDIN; binmode STDOUT;
while (1) {
	my ($n, $c, $b) = ("");
	while (read(STDIN, $c, 1) && $c ne ":") { $n .= $c }
	exit if $n eq "";
	read(STDIN, $b, $n) == $n && read(STDIN, $c, 1) && $c eq "," or die;
	print "$n:$b,";
}`

func TestKeepNetstring(t *testing.T) {
	k := keepPerl(t, echoNetstrings)
	k.Framing = Netstring
	random := make([]byte, 10<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(random)
	for _, payload := range [][]byte{[]byte("one"), nil, []byte("a\nb\x00\n"), random, []byte("5:hello,"), random[:100_000], random[:smallPayload]} {
		var got []byte
		res := k.Do(context.Background(), payload, func(b []byte) (bool, error) {
			got = bytes.Clone(b)
			return true, nil
		})
		if !res.OK() || !bytes.Equal(got, payload) {
			t.Fatalf("%d bytes: got %d, %v", len(payload), len(got), res.Err())
		}
	}
	if k.child.answered != 7 {
		t.Errorf("the child was replaced")
	}
	k.MaxAnswer = 1000
	if _, res := do(t, k, string(random[:1001])); !errors.Is(res.Err(), ErrAnswerTooLong) {
		t.Errorf("got %v, want %v", res.Err(), ErrAnswerTooLong)
	}
}

// A large line goes in both directions at the same time. A child that answers without
// reading its payload is detected.
func TestKeepLarge(t *testing.T) {
	k := &Keeper{Command: &Command{Args: []string{"cat"}}}
	defer k.Close(context.Background())
	line := strings.Repeat("0123456789", 1<<20)
	for range 2 {
		if got, res := do(t, k, line); got != line+"\n" || !res.OK() {
			t.Errorf("got %d bytes, %v", len(got), res.Err())
		}
	}
	k = keepSh(t, `read -r x; echo "$x"; exec sleep 60`)
	if _, res := do(t, k, "x\n"); !res.OK() {
		t.Error(res.Err())
	}
	k = keepSh(t, `echo x; exec sleep 60`)
	if _, res := do(t, k, line); !errors.Is(res.Err(), errTooEarly) {
		t.Errorf("got %v, want %v", res.Err(), errTooEarly)
	}
}

// No job gets the answer of another, even if the child breaks the rules.
func TestKeepErratic(t *testing.T) {
	// Of a hundred payloads some are answered twice, at once or after a while, some
	// not at all, or late, or by the child's end.
	k := keepPerl(t, `$| = 1; srand($$);
sub pause { select(undef, undef, undef, $_[0] * rand()) }
while (<STDIN>) {
	my $r = int(rand(100));
	if ($r == 0) { exit 3 }
	if ($r == 1) { next }
	if ($r == 2) { pause(0.05) }
	if ($r == 3) { chomp; print; exit }
	print;
	if ($r == 4) { print }
	if ($r == 5) { pause(0.0001); print }
	if ($r == 6) { pause(0.001); print }
	if ($r == 7) { pause(0.01); print }
	if ($r == 8) { exit }
	if ($r == 9) { print "more" }
}`)
	k.Command.Timeout = 100 * time.Millisecond
	ok := 0
	for i := range 2000 {
		want := fmt.Sprintf("%d\n", i)
		got, res := do(t, k, want)
		k.pause, k.quietTime = 0, 0 // the waits after a bad child would make the test slow
		if !res.OK() {
			continue
		}
		if ok++; got != want {
			t.Fatalf("job %d: got %q", i, got)
		}
	}
	if ok < 1500 {
		t.Errorf("got %d jobs done, want most of 2000", ok)
	}
}
