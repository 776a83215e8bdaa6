package bytesize

import "testing"

func TestParseSaysThatASizeIsTooLarge(t *testing.T) {
	for text, want := range map[string]string{
		"9223372036854775808":  `size "9223372036854775808": exceeds the limit of 9223372036854775807 bytes`,
		"8388608T":             `size "8388608T": exceeds the limit of 9223372036854775807 bytes`,
		"-9223372036854775809": `size "-9223372036854775809": not like 4096, 64K or 1GiB`,
		"-1":                   `size "-1": not like 4096, 64K or 1GiB`,
		"1X":                   `size "1X": not like 4096, 64K or 1GiB`,
		"":                     `size "": not like 4096, 64K or 1GiB`,
	} {
		if n, err := Parse(text); err == nil || err.Error() != want {
			t.Errorf("Parse(%q) = %d, %v, want %s", text, n, err, want)
		}
	}
	if n, err := Parse("8388607T"); err != nil || n != 8388607<<40 {
		t.Errorf("Parse(8388607T) = %d, %v", n, err)
	}
}

func TestFormatIsParsedBack(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 1: "1", 1000: "1000", 1024: "1KiB", 1025: "1025", 64 << 10: "64KiB", 3 << 20: "3MiB", 1 << 40: "1TiB", 1 << 50: "1024TiB",
	} {
		got := Format(n)
		if again, err := Parse(got); got != want || again != n || err != nil {
			t.Errorf("Format(%d) = %q, want %q; parsed: %d, %v", n, got, want, again, err)
		}
	}
}
