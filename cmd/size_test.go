package cmd

import (
	"math"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

func TestParseSizeSaysThatASizeIsTooLarge(t *testing.T) {
	for text, want := range map[string]string{
		"9223372036854775808":  `size "9223372036854775808": exceeds the limit of 9223372036854775807 bytes`,
		"8388608T":             `size "8388608T": exceeds the limit of 9223372036854775807 bytes`,
		"-9223372036854775809": `size "-9223372036854775809": not like 4096, 64K or 1GiB`,
		"-1":                   `size "-1": not like 4096, 64K or 1GiB`,
		"1X":                   `size "1X": not like 4096, 64K or 1GiB`,
		"":                     `size "": not like 4096, 64K or 1GiB`,
	} {
		if n, err := parseSize(text); err == nil || err.Error() != want {
			t.Errorf("parseSize(%q) = %d, %v, want %s", text, n, err, want)
		}
	}
	if n, err := parseSize("8388607T"); err != nil || n != 8388607<<40 {
		t.Errorf("parseSize(8388607T) = %d, %v", n, err)
	}
}

// TestSizesOfMemoryFitInAnInt has sizes that an int of 32 bits does not hold: they
// are refused there, instead of turning into 0, which stands for the default.
func TestSizesOfMemoryFitInAnInt(t *testing.T) {
	for _, size := range []string{"2G", "3G", "4G", "4294967297"} {
		bytes, err := parseSize(size)
		if err != nil {
			t.Fatal(err)
		}
		memory, child := sizeFlag(0, cli.GenericFlag{Name: "memory"}), childSizeFlag(0, cli.GenericFlag{Name: "child"})
		switch err := memory.Value.Set(size); {
		case math.MaxInt == math.MaxInt32 && (err == nil || !strings.Contains(err.Error(), "exceeds the limit of 2147483647 bytes")):
			t.Errorf("%s: got %v, want an error with the limit", size, err)
		case math.MaxInt > math.MaxInt32 && (err != nil || memory.Value.(*sizeValue).n != bytes):
			t.Errorf("%s: got %d, %v, want %d", size, memory.Value.(*sizeValue).n, err, bytes)
		}
		if err := child.Value.Set(size); err != nil || child.Value.(*sizeValue).n != bytes {
			t.Errorf("%s of a child: got %d, %v, want %d", size, child.Value.(*sizeValue).n, err, bytes)
		}
	}
	if most := 2*maxPayloadLimit + 1<<20; most > math.MaxInt {
		t.Errorf("an outbox for two payloads has %d bytes", most)
	}
}
