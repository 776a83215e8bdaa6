package results

import (
	"os/exec"
	"strings"
	"testing"
)

var templateTests = []struct{ name, want string }{
	{"a.b.c", "[a.b.c] [a.b] [a.b.c] [.] [a.b] [7]"},
	{"plain", "[plain] [plain] [plain] [.] [plain] [7]"},
	{"a/b.c/d", "[a/b.c/d] [a/b.c/d] [d] [a/b.c] [d] [7]"},
	{"/top", "[/top] [/top] [top] [/] [top] [7]"},
	{"a//b.png", "[a//b.png] [a//b] [b.png] [a] [b] [7]"},
	{"./x.gz", "[./x.gz] [./x] [x.gz] [.] [x] [7]"},
	{".hidden", "[.hidden] [] [.hidden] [.] [] [7]"},
	{"a/.b", "[a/.b] [a/] [.b] [a] [] [7]"},
	{"dir/", "[dir/] [dir/] [] [.] [] [7]"},
	{"-x.png", "[-x.png] [-x] [-x.png] [.] [-x] [7]"},
	{"two words.x", "[two words.x] [two words] [two words.x] [.] [two words] [7]"},
	{"{}.{#}", "[{}.{#}] [{}] [{}.{#}] [.] [{}] [7]"},
}

func TestTemplate(t *testing.T) {
	o, err := ParseTemplate("[{}] [{.}] [{/}] [{//}] [{/.}] [{#}]")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range templateTests {
		if got, err := o.Expand(tt.name, 7); got != tt.want || err != nil {
			t.Errorf("%q: got %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
}

// TestTemplateAsParallel compares the results with those of GNU parallel.
func TestTemplateAsParallel(t *testing.T) {
	if _, err := exec.LookPath("parallel"); err != nil {
		t.Skip("GNU parallel is not installed")
	}
	var names, want []string
	for _, tt := range templateTests[:len(templateTests)-1] { // parallel replaces strings in replaced text, too
		names = append(names, tt.name)
		want = append(want, strings.ReplaceAll(tt.want, "[7]", ""))
	}
	args := append([]string{"-k", "-0", "-q", "printf", `%s\n`, "[{}] [{.}] [{/}] [{//}] [{/.}] ", ":::"}, names...)
	got, err := exec.Command("parallel", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, got)
	}
	if got, want := strings.TrimSuffix(string(got), "\n"), strings.Join(want, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTemplateRefused(t *testing.T) {
	for _, s := range []string{"", "x", "{x}", "{", "{ }"} {
		if o, err := ParseTemplate(s); err == nil {
			t.Errorf("ParseTemplate(%q): got %q, want an error", s, o)
		}
	}
	for _, tt := range []struct{ out, name string }{{"{}", ""}, {"{}", "a\x00b"}, {"{//}/", "x"}, {"{/.}", ".x"}} {
		if path, err := Template(tt.out).Expand(tt.name, 1); err == nil {
			t.Errorf("Expand(%q, %q): got %q, want an error", tt.out, tt.name, path)
		}
	}
}
