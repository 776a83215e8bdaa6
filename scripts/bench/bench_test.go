//go:build linux

package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestTargets(t *testing.T) {
	r := make(results)
	for _, v := range []float64{1, 100, 10, 12, 8} { // the median is 10
		r.add(gm, figures{rate: 1000 * v, cpu: v})
	}
	r.add(gearmand, figures{rate: 4000, cpu: 50})
	for _, tc := range []struct {
		target
		text, got string
		met       bool
	}{
		{target{rate, atLeast, 2.5, gearmand}, "jobs/s at least 2.5 x gearmand", "2.5 x", true},
		{target{rate, atLeast, 3, gearmand}, "jobs/s at least 3 x gearmand", "2.5 x", false},
		{target{cpu, atMost, 0.2, gearmand}, "us CPU at most 0.2 x gearmand", "0.2 x", true},
		{target{cpu, atMost, 9, ""}, "at most 9 us CPU", "10 us CPU", false},
		{target{space, atMost, 9, ""}, "at most 9 MB", "0 MB", false}, // not measured
	} {
		got, met := tc.check(r)
		if tc.String() != tc.text || got != tc.got || met != tc.met {
			t.Errorf("%q: %q, %v; want %q: %q, %v", tc.target, got, met, tc.text, tc.got, tc.met)
		}
	}
}

func TestMeasureTakesTurns(t *testing.T) {
	var turns strings.Builder
	at := func(who string) contender {
		return contender{who, func() (figures, error) {
			turns.WriteString(who)
			return figures{rate: 1}, nil
		}}
	}
	b := &bench{contenders: []contender{at("a"), at("b")}}
	if _, err := b.measure(3, io.Discard); err != nil {
		t.Fatal(err)
	}
	if got, want := turns.String(), "ababab"; got != want {
		t.Errorf("turns %q, want %q", got, want)
	}
	b.contenders = append(b.contenders, contender{"c", func() (figures, error) { return nil, errSkip }})
	if _, err := b.measure(1, io.Discard); !errors.Is(err, errSkip) {
		t.Errorf("error %v, want %v", err, errSkip)
	}
}

// TestFactorIsOfRounds checks that a machine that becomes twice as fast between
// two rounds, or within one, does not change a factor.
func TestFactorIsOfRounds(t *testing.T) {
	r := make(results)
	for _, v := range [][2]float64{{100, 50}, {100, 50}, {100, 100}, {200, 100}, {200, 100}} {
		r.add(gm, figures{rate: v[0], cpu: v[1]})
		r.add(gearmand, figures{rate: v[1]})
	}
	if got := r.factor(gm, gearmand, rate); got != 2 {
		t.Errorf("got %v, want 2", got)
	}
	if got := r.factor(gearmand, gm, rate); got != 0.5 {
		t.Errorf("got %v, want 0.5", got)
	}
	if got := r.factor(gearmand, gm, cpu); got != 0 {
		t.Errorf("of a contender without the figure: got %v, want 0", got)
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0.4567: "0.457", 1: "1", 12.34: "12.3", 123.4: "123", 98765.4: "98765", 1.5e6: "1.50 M",
	} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %q, want %q", v, got, want)
		}
	}
}

// every has a result for each contender of each bench.
func every(all []*bench) *record {
	r := &record{Rounds: 5, Whole: true, Benches: make(map[string]results)}
	for _, b := range all {
		r.Benches[b.name] = make(results)
		for i, c := range b.contenders {
			f := make(figures)
			for _, u := range units {
				f[u] = float64(1 + i)
			}
			r.Benches[b.name].add(c.who, f)
		}
	}
	return r
}

func TestReadme(t *testing.T) {
	begin, end := serversSection.begin, serversSection.end
	all := benches(&env{waiting: 1000})
	r := every(all)
	readme := filepath.Join(t.TempDir(), "README.md")
	full := filepath.Join(filepath.Dir(readme), resultsFile)
	write := func(ratios, text string) error {
		t.Helper()
		for _, err := range []error{
			os.MkdirAll(filepath.Dir(full), 0o755),
			os.WriteFile(readme, []byte("before\n"+ratioMarks.begin+ratios+ratioMarks.end+"after\n"), 0o644),
			os.WriteFile(full, []byte(text), 0o644),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		return serversSection.write(readme, r, all)
	}
	kept := "| `gm map --files`, 200 images |  |  |  | `xargs -P2` 0.89 x |\n"
	if err := write("| old | 1 x |\n"+kept, "before\n"+begin+"old\n"+end+"after\n"); err != nil {
		t.Fatal(err)
	}
	got := contents(full)
	if !strings.HasPrefix(got, "before\n"+begin) || !strings.HasSuffix(got, end+"after") || strings.Contains(got, "old") {
		t.Errorf("the results are\n%s", got)
	}
	for _, b := range all {
		if b.plot == inTable && !strings.Contains(got, "| "+b.title+" |") {
			t.Errorf("no row %q", b.title)
		}
	}
	for _, p := range pictures {
		svg, err := os.ReadFile(filepath.Join(filepath.Dir(readme), pictureDir, p.file))
		if err != nil {
			t.Fatal(err)
		}
		if err := xml.Unmarshal(svg, new(any)); err != nil {
			t.Errorf("%s: %v", p.file, err)
		}
		if !strings.Contains(got, "(pictures/"+p.file+")") {
			t.Errorf("the results have no picture %s", p.file)
		}
	}
	got = contents(readme)
	for _, want := range []string{
		"before\n" + ratioMarks.begin, ratioMarks.end + "after", kept,
		"| background jobs submitted per second | 0.5 x | 0.33 x | 0.25 x |  |\n", // every contender has its number
		"| processor time of the server for each of them | 2 x | 3 x | 4 x |  |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the README has no %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "old") || strings.Contains(got, "word count") {
		t.Errorf("the README has a row that is in neither table:\n%s", got)
	}
	if err := write("", "no marks\n"); err == nil {
		t.Error("results without the marks were written")
	}
	r.Whole = false
	if err := write("", begin+end); err == nil {
		t.Error("a run that was not whole was written")
	}
}

func TestRatiosAreOfBenches(t *testing.T) {
	e := &env{waiting: 1000}
	all := append(benches(e), batchBenches(e)...)
	r := every(all)
	for _, row := range ratios {
		i := slices.IndexFunc(all, func(b *bench) bool { return b.name == row.bench })
		if i < 0 {
			t.Errorf("%s: no bench %s", row.title, row.bench)
		} else if cells := row.cells(r.Benches[row.bench], all[i]); strings.Join(cells[1:], "") == "" {
			t.Errorf("%s: no ratio", row.title)
		}
	}
}

func TestFactor(t *testing.T) {
	for v, want := range map[float64]string{
		393: "390 x", 60.8: "61 x", 9.96: "10 x", 5.354: "5.4 x", 1: "1 x", 0.4977: "0.5 x", 0.863: "0.86 x",
	} {
		if got := factor(v); got != want {
			t.Errorf("%v: %q, want %q", v, got, want)
		}
	}
}

func TestRecordIsReadBack(t *testing.T) {
	file := filepath.Join(t.TempDir(), "record.json")
	all := benches(&env{waiting: 1000})
	want := every(all)
	want.Machine = machine{CPU: "a processor", Cores: 2, Versions: []string{"gm 1"}}
	if err := want.write(file); err != nil {
		t.Fatal(err)
	}
	got, err := readRecord(file)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(*got) != fmt.Sprint(*want) {
		t.Errorf("record %v, want %v", *got, *want)
	}
	if n := len(got.of(connections, all)); n != 2 {
		t.Errorf("%d benches of connections, want 2", n)
	}
}

func TestNamesDiffer(t *testing.T) {
	seen := make(map[string]bool)
	e := &env{waiting: 1000}
	for _, b := range append(benches(e), batchBenches(e)...) {
		if seen[b.name] {
			t.Errorf("two benches are named %s", b.name)
		}
		seen[b.name] = true
		for _, c := range b.contenders {
			if _, err := strconv.Atoi(c.who); (err == nil) != (b.plot != inTable) {
				t.Errorf("%s: contender %q", b.name, c.who)
			}
		}
	}
}

func TestWhatTheWordCountPrints(t *testing.T) {
	printed := []byte("word count of 60 MB, 9 different words, on 2 cores, best of 1\n" +
		"  tr | sort | uniq -c         12.25 s\n" +
		"  gm map --block --reduce      6.50 s   1.88 times as quick, and equal\n" +
		"  its functions without gm     2.43 s\n")
	if alone, cluster := millis(tookAlone, printed), millis(tookCluster, printed); alone != 12250 || cluster != 6500 {
		t.Errorf("%v and %v ms, want 12250 and 6500", alone, cluster)
	}
	if got := millis(tookAlone, []byte("no texts on this machine\n")); got != 0 {
		t.Errorf("%v ms of nothing", got)
	}
}

func TestTextOfAnyLength(t *testing.T) {
	whole, err := io.ReadAll(io.LimitReader(&textReader{}, 10_000))
	if err != nil || len(whole) != 10_000 {
		t.Fatalf("%d bytes, %v", len(whole), err)
	}
	pieces := make([]byte, 10_000)
	r := &textReader{}
	for at := 0; at < len(pieces); at += 7 {
		if _, err := r.Read(pieces[at:min(at+7, len(pieces))]); err != nil {
			t.Fatal(err)
		}
	}
	if string(pieces) != string(whole) {
		t.Error("read in pieces it is another text")
	}
}
