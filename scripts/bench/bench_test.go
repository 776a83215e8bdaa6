//go:build linux

package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
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
	file := filepath.Join(t.TempDir(), "README.md")
	write := func(text string) error {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return serversSection.write(file, r, all)
	}
	if err := write("before\n" + begin + "old\n" + end + "after\n"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := string(text)
	if !strings.HasPrefix(got, "before\n"+begin) || !strings.HasSuffix(got, end+"after\n") || strings.Contains(got, "old") {
		t.Errorf("the README is\n%s", got)
	}
	for _, b := range all {
		if b.plot == inTable && !strings.Contains(got, "| "+b.title+" |") {
			t.Errorf("no row %q", b.title)
		}
	}
	for _, p := range pictures {
		svg, err := os.ReadFile(filepath.Join(filepath.Dir(file), pictureDir, p.file))
		if err != nil {
			t.Fatal(err)
		}
		if err := xml.Unmarshal(svg, new(any)); err != nil {
			t.Errorf("%s: %v", p.file, err)
		}
	}
	if err := write("no marks\n"); err == nil {
		t.Error("a README without the marks was written")
	}
	r.Whole = false
	if err := write(begin + end); err == nil {
		t.Error("a run that was not whole was written")
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
