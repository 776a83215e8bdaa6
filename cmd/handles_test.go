package cmd

import "testing"

func TestHandleOfLine(t *testing.T) {
	for line, want := range map[string]string{
		"H:a:1": "H:a:1", " H:a:1\r": "H:a:1", "a:4730\tH:a:2\tresize\twaiting": "H:a:2", "": "",
	} {
		if got := handleOfLine(line); got != want {
			t.Errorf("handleOfLine(%q) = %q, want %q", line, got, want)
		}
	}
}
