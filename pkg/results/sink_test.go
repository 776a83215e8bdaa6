package results

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gm/pkg/batch"
	"gm/pkg/gearman"
)

// step is a call of a Sink: of Data, or of End if piece is "$" or, for a failed
// record, "!".
type step struct {
	seq   int
	piece string
}

func play(t *testing.T, s Sink, task *gearman.Task, steps []step) {
	t.Helper()
	for _, step := range steps {
		r := &batch.Record{Seq: step.seq, Handle: gearman.Handle(fmt.Sprintf("H:%d", step.seq)), Payload: fmt.Appendf(nil, "in%d", step.seq)}
		err := error(nil)
		switch step.piece {
		case "$":
			err = s.End(r, &Outcome{State: StateCompleted, Task: task})
		case "!":
			r.Err = errors.New("it failed")
			code := 3
			err = s.End(r, &Outcome{State: StateFailed, Task: task, Err: r.Err, Exit: &code, Failure: 1, Warnings: []string{"careful"}, Exception: []byte("broken\n")})
		default:
			err = s.Data(r, []byte(step.piece))
		}
		if err != nil {
			t.Fatalf("%v: %v", step, err)
		}
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func label(r *batch.Record) string { return string(r.Payload) }

func TestSinksOfOutput(t *testing.T) {
	tag := func(r *batch.Record) string { return label(r) + "\t" }
	two := []step{{1, "a"}, {1, "b\nc"}, {1, "$"}, {2, "$"}}
	mixed := []step{{1, "a"}, {2, "x\ny"}, {1, "b\nc"}, {1, "$"}, {2, "\n"}, {2, "$"}, {3, "$"}}
	failed := []step{{1, "a"}, {1, "!"}, {2, "b\n"}, {2, "$"}}
	tests := []struct {
		name  string
		sink  func(o *Output) Sink
		steps []step
		want  string
	}{
		{"as it is", func(o *Output) Sink { return NewText(o, TextOptions{}) }, two, "ab\nc"},
		{"end", func(o *Output) Sink { return NewText(o, TextOptions{End: "\n"}) }, two, "ab\nc\n\n"},
		{"end of two bytes", func(o *Output) Sink { return NewText(o, TextOptions{End: "\r\n"}) }, []step{{1, "a\r"}, {1, "\n"}, {1, "$"}, {2, "b\n"}, {2, "$"}}, "a\r\nb\n\r\n"},
		{"end line", func(o *Output) Sink { return NewText(o, TextOptions{EndLine: true}) }, two, "ab\nc\n"},
		{"prefix", func(o *Output) Sink { return NewText(o, TextOptions{Prefix: tag}) }, two, "in1\tab\nin1\tc\n"},
		{"prefix and end", func(o *Output) Sink { return NewText(o, TextOptions{Prefix: tag, End: "\n"}) }, two, "in1\tab\nin1\tc\nin2\t\n"},
		{"failed", func(o *Output) Sink { return NewText(o, TextOptions{End: "\n"}) }, failed, "a\nb\n"},
		{"handles", func(o *Output) Sink { return NewHandles(o, TextOptions{}) }, []step{{1, "$"}, {2, "!"}}, "H:1\n"},
		{"handles with a prefix", func(o *Output) Sink { return NewHandles(o, TextOptions{Prefix: tag}) }, []step{{1, "$"}, {2, "!"}}, "in1\tH:1\n"},
		{"nothing", func(*Output) Sink { return Discard }, two, ""},
		{"lines", func(o *Output) Sink { return NewLines(o, TextOptions{End: "\n"}) }, mixed, "x\nab\nc\ny\n\n"},
		{"lines with a prefix", func(o *Output) Sink { return NewLines(o, TextOptions{Prefix: tag}) }, mixed, "in2\tx\nin1\tab\nin1\tc\nin2\ty\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var buf bytes.Buffer
			o, err := NewOutput(&buf, nil)
			if err != nil {
				t.Fatal(err)
			}
			play(t, tt.sink(o), &gearman.Task{Function: "f"}, tt.steps)
			if got := buf.String(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestJSON(t *testing.T) {
	steps := []step{{1, "a"}, {1, "b"}, {1, "$"}, {2, "\xff"}, {2, "!"}}
	const first = `{"seq":1,"handle":"H:1","function":"f","unique":"u","state":"completed","data":"ab","attempts":0,` +
		`"started":"0001-01-01T00:00:00Z","ended":"0001-01-01T00:00:00Z","ms":0}`
	const second = `{"seq":2,"handle":"H:2","function":"f","unique":"u","state":"failed","exit":3,"data_base64":"/w==",` +
		`"warnings":["careful"],"exception":"broken\n","error":"it failed","attempts":0,` +
		`"started":"0001-01-01T00:00:00Z","ended":"0001-01-01T00:00:00Z","ms":0}`
	tests := []struct {
		array bool
		steps []step
		want  string
	}{
		{false, steps, first + "\n" + second + "\n"},
		{true, steps, "[\n" + first + ",\n" + second + "\n]\n"},
		{false, nil, ""},
		{true, nil, "[]\n"},
	}
	for _, tt := range tests {
		var buf bytes.Buffer
		o, err := NewOutput(&buf, nil)
		if err != nil {
			t.Fatal(err)
		}
		play(t, NewJSON(o, tt.array), &gearman.Task{Function: "f", Unique: "u"}, tt.steps)
		if got := buf.String(); got != tt.want {
			t.Errorf("array %v, %d steps:\ngot  %s\nwant %s", tt.array, len(tt.steps), got, tt.want)
		}
	}
}

// tree returns the files below dir with their content, except temporary ones.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var text strings.Builder
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		fmt.Fprintf(&text, "%s=%q ", filepath.ToSlash(rel), content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(text.String())
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "in1.out"), []byte("old"), 0o666); err != nil {
		t.Fatal(err)
	}
	s := NewFiles(FilesOptions{Template: Template(filepath.Join(dir, "{}.out")), Label: label})
	play(t, s, &gearman.Task{}, []step{{1, "a"}, {1, "b"}, {1, "$"}, {2, "part"}, {2, "!"}, {3, "$"}, {4, "no end"}})
	if got, want := tree(t, dir), `in1.out="ab" in3.out=""`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestFolders(t *testing.T) {
	dir := t.TempDir()
	play(t, NewFolders(dir, label), &gearman.Task{}, []step{{1, "a"}, {1, "$"}, {2, "part"}, {2, "!"}, {3, "no end"}})
	want := `1/exit="0\n" 1/name="in1" 1/stderr="" 1/stdout="a" ` +
		`2/exit="3\n" 2/name="in2" 2/stderr="careful\nbroken\n" 2/stdout="part"`
	if got := tree(t, dir); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestFilesStayInside writes to files that are no place for a result. Each
// record fails alone, at its end.
func TestFilesStayInside(t *testing.T) {
	outside := t.TempDir()
	for _, tt := range []struct {
		name string
		make func(path string) error
		want error
	}{
		{"a folder", func(path string) error { return os.Mkdir(path, 0o777) }, ErrIrregular},
		{"a link out", func(path string) error { return os.Symlink(filepath.Join(outside, "x"), path) }, ErrLinkOutside},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := tt.make(filepath.Join(dir, "in1")); err != nil {
				t.Skipf("this system cannot make %s: %v", tt.name, err)
			}
			s := NewFiles(FilesOptions{Template: Template(filepath.Join(dir, "{}")), Label: label})
			r := &batch.Record{Seq: 1, Payload: []byte("in1")}
			for _, piece := range []string{"a", "b"} {
				if err := s.Data(r, []byte(piece)); err != nil {
					t.Fatalf("Data: got %v, want the error from End", err)
				}
			}
			var one *RecordError
			if err := s.End(r, &Outcome{}); !errors.As(err, &one) || !errors.Is(err, tt.want) {
				t.Errorf("End: got %v, want a RecordError with %q", err, tt.want)
			}
			play(t, s, &gearman.Task{}, []step{{2, "fine"}, {2, "$"}})
			if got := tree(t, outside); got != "" {
				t.Errorf("outside: got %s, want no files", got)
			}
		})
	}
	src := NewNamedSource(&batch.Records{
		{Payload: []byte("../x")}, {Payload: []byte("a")}, {Payload: []byte("./a")},
	}, "out/{}", false, label)
	for _, want := range []string{`name of output "out/../x": not in the folder out`, "", `name of output "out/./a": record 2 has the same`} {
		in, err := src.Next()
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(in.Err); got != want && (want != "" || in.Err != nil) {
			t.Errorf("%s: got error %s, want %q", in.Payload, got, want)
		}
	}
}
