package cmd

import (
	"bufio"
	"bytes"
	"testing"
	"time"

	"gm/cmd/cli"
)

type testRow struct {
	Name string `json:"name"`
	N    int    `json:"n"`
	text string
}

func (r *testRow) Cells(human bool) []string {
	if human {
		return []string{r.Name, r.text + "!"}
	}
	return []string{r.Name, r.text}
}

func TestRows(t *testing.T) {
	rows := []cli.Row{
		&testRow{"a", 1, "1"},
		&testRow{"tab\there", 22, "22"},
		&testRow{`App\Jobs\Send 日本`, 333, "\x1b[2J"},
	}
	tests := []struct {
		format cli.RowFormat
		rows   []cli.Row
		want   string
	}{
		{cli.FormatTSV, rows, "a\t1\ntab\\there\t22\nApp\\Jobs\\Send 日本\t\x1b[2J\n"},
		{cli.FormatJSONL, rows[:2], "{\"name\":\"a\",\"n\":1}\n{\"name\":\"tab\\there\",\"n\":22}\n"},
		{cli.FormatJSON, rows[:2], "[\n{\"name\":\"a\",\"n\":1},\n{\"name\":\"tab\\there\",\"n\":22}\n]\n"},
		{cli.FormatTable, rows, "" +
			"NAME                       N\n" +
			"a                         1!\n" +
			"tab\\x09here              22!\n" +
			"App\\Jobs\\Send 日本  \\x1b[2J!\n"},
		{cli.FormatTSV, nil, ""},
		{cli.FormatTable, nil, ""},
		{cli.FormatJSON, nil, "[]\n"},
		{cli.FormatJSONL, nil, ""},
	}
	for _, test := range tests {
		var out bytes.Buffer
		s := &cli.Style{}
		s.Set(false)
		w := cli.NewRowWriter(&out, test.format, s, []cli.Column{{Name: "name"}, {Name: "n", Right: true}})
		for _, r := range test.rows {
			if err := w.Add(r); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); got != test.want {
			t.Errorf("%s:\ngot\n%s\nwant\n%s", test.format, got, test.want)
		}
	}
}

// paintedRow colours its last cell.
type paintedRow struct{ testRow }

func (r *paintedRow) Paint(s *cli.Style, cells []string) { cells[1] = s.Bad.Sprint(cells[1]) }

func TestTableColours(t *testing.T) {
	var out bytes.Buffer
	s := &cli.Style{}
	s.Set(true)
	w := cli.NewRowWriter(&out, cli.FormatTable, s, []cli.Column{{Name: "n", Right: true}, {Name: "text"}, {Name: "empty"}})
	for _, r := range []cli.Row{
		&paintedRow{testRow{"1", 1, "long text"}},
		&paintedRow{testRow{"100", 100, ""}},
	} {
		if err := w.Add(&emptyCell{r.(*paintedRow)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	const want = "" +
		"  \x1b[1mN\x1b[22m  \x1b[1mTEXT\x1b[22m        \x1b[1mEMPTY\x1b[22m\n" +
		"  1  \x1b[31mlong text!\x1b[0m\n" +
		"100  \x1b[31m!\x1b[0m\n"
	if got := out.String(); got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

// emptyCell has a third cell with nothing in it.
type emptyCell struct{ *paintedRow }

func (r *emptyCell) Cells(human bool) []string { return append(r.paintedRow.Cells(human), "") }

func TestAge(t *testing.T) {
	tests := []struct {
		ms   int64
		want string
	}{
		{0, "0"},
		{7, "7ms"},
		{1500, "1.5s"},
		{59_960, "1m0s"},
		{200_000, "3m20s"},
		{3_600_000, "1h0m"},
		{86_400_000 + 3_600_000, "1d1h"},
		{90 * 86_400_000, "90d0h"},
	}
	for _, test := range tests {
		if got := cli.FormatAge(time.Duration(test.ms) * time.Millisecond); got != test.want {
			t.Errorf("FormatAge of %d ms = %s, want %s", test.ms, got, test.want)
		}
	}
}

func TestRenderTableFits(t *testing.T) {
	columns := []cli.Column{
		{Name: "server", Usual: cli.SameValue},
		{Name: "handle", Key: true},
		{Name: "state"},
		{Name: "attempts", Right: true, Usual: "0"},
		{Name: "unique"},
		{Name: "error"},
	}
	rows := func(lines ...[]string) (rows [][]cli.Cell) {
		for _, line := range lines {
			var r []cli.Cell
			for _, text := range line {
				r = append(r, cli.Cell{Text: text})
			}
			rows = append(rows, r)
		}
		return rows
	}
	two := rows(
		[]string{"a:4730", "H:host:1", "waiting", "0", "", "日本語日本語"},
		[]string{"a:4730", "H:host:22", "dead", "0", "", "exit status 1: no such file"},
	)
	for _, test := range []struct {
		width int
		want  string
	}{
		{0, "" +
			"SERVER  HANDLE     STATE    ATTEMPTS  UNIQUE  ERROR\n" +
			"a:4730  H:host:1   waiting         0          日本語日本語\n" +
			"a:4730  H:host:22  dead            0          exit status 1: no such file\n"},
		{80, "" +
			"SERVER  HANDLE     STATE    ATTEMPTS  ERROR\n" +
			"a:4730  H:host:1   waiting         0  日本語日本語\n" +
			"a:4730  H:host:22  dead            0  exit status 1: no such file\n"},
		{50, "" +
			"HANDLE     STATE    ERROR\n" +
			"H:host:1   waiting  日本語日本語\n" +
			"H:host:22  dead     exit status 1: no such file\n"},
		{30, "" +
			"HANDLE     STATE    ERROR\n" +
			"H:host:1   waiting  日本語日…\n" +
			"H:host:22  dead     exit stat…\n"},
		{20, "" +
			"HANDLE     STATE\n" +
			"H:host:1   waiting\n" +
			"H:host:22  dead\n"},
		{6, "" +
			"HANDLE\n" +
			"H:h…:1\n" +
			"H:h…22\n"},
	} {
		var out bytes.Buffer
		s := &cli.Style{}
		s.Set(false)
		w := bufio.NewWriter(&out)
		cli.RenderTable(w, columns, two, s, test.width)
		w.Flush()
		if got := out.String(); got != test.want {
			t.Errorf("width %d:\ngot\n%s\nwant\n%s", test.width, got, test.want)
		}
	}
}

func TestShorten(t *testing.T) {
	for _, test := range []struct {
		text       string
		width      int
		want, name string
	}{
		{"abc", 3, "abc", "abc"},
		{"abcdef", 5, "abcd…", "ab…ef"},
		{"abcdef", 1, "…", "…"},
		{"abcdef", 0, "", ""},
		{"日本語", 5, "日本…", "日…語"},
		{"日本語", 4, "日…", "日…"},
		{"日本語", 6, "日本語", "日本語"},
	} {
		if got := cli.Shorten(test.text, test.width); got != test.want {
			t.Errorf("shorten(%q, %d) = %q, want %q", test.text, test.width, got, test.want)
		}
		if got := cli.ShortenName(test.text, test.width); got != test.name {
			t.Errorf("shortenName(%q, %d) = %q, want %q", test.text, test.width, got, test.name)
		}
	}
}
