package escape

import (
	"bytes"
	"strings"
	"testing"
)

func TestDecode(t *testing.T) {
	tests := []struct {
		in, want string
		bad      bool
	}{
		{in: "", want: ""},
		{in: ",", want: ","},
		{in: `\n\t\r\0\\`, want: "\n\t\r\x00\\"},
		{in: `a\x2Cb\xff`, want: "a,b\xff"},
		{in: `\`, bad: true},
		{in: `\q`, bad: true},
		{in: `\x4`, bad: true},
		{in: `\xg0`, bad: true},
	}
	for _, tt := range tests {
		got, err := Decode(tt.in)
		if got != tt.want || (err != nil) != tt.bad {
			t.Errorf("Decode(%q): got %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
}

func TestEncodeIsDecodedBack(t *testing.T) {
	var all []byte
	for c := range 256 {
		all = append(all, byte(c))
	}
	text := Encode(all)
	if strings.ContainsAny(text, " \n\x00") {
		t.Errorf("got blanks in %q", text)
	}
	if got, err := Decode(text); err != nil || !bytes.Equal([]byte(got), all) {
		t.Errorf("got %q, %v back", got, err)
	}
}
