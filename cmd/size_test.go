package cmd

import (
	"math"
	"strings"
	"testing"

	"gm/cmd/cli"
	"gm/internal/bytesize"
)

// TestSizesOfMemoryFitInAnInt has sizes that an int of 32 bits does not hold: they
// are refused there, instead of turning into 0, which stands for the default.
func TestSizesOfMemoryFitInAnInt(t *testing.T) {
	for _, size := range []string{"2G", "3G", "4G", "4294967297"} {
		bytes, err := bytesize.Parse(size)
		if err != nil {
			t.Fatal(err)
		}
		memory, child := cli.SizeFlag(0, cli.GenericFlag{Name: "memory"}), cli.ChildSizeFlag(0, cli.GenericFlag{Name: "child"})
		switch err := memory.Value.Set(size); {
		case math.MaxInt == math.MaxInt32 && (err == nil || !strings.Contains(err.Error(), "exceeds the limit of 2147483647 bytes")):
			t.Errorf("%s: got %v, want an error with the limit", size, err)
		case math.MaxInt > math.MaxInt32 && (err != nil || memory.Value.(*cli.SizeValue).N != bytes):
			t.Errorf("%s: got %d, %v, want %d", size, memory.Value.(*cli.SizeValue).N, err, bytes)
		}
		if err := child.Value.Set(size); err != nil || child.Value.(*cli.SizeValue).N != bytes {
			t.Errorf("%s of a child: got %d, %v, want %d", size, child.Value.(*cli.SizeValue).N, err, bytes)
		}
	}
	if most := 2*maxPayloadLimit + 1<<20; most > math.MaxInt {
		t.Errorf("an outbox for two payloads has %d bytes", most)
	}
}
