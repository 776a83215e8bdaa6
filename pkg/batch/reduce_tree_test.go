package batch

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// grown is a tree under test and its history.
type grown struct {
	*tree
	jobs   []string // "level: payload", in the order of take
	widest int      // parts in one join
	reduce func(payload string) string
}

// step does one join; false if there was none.
func (g *grown) step() bool {
	j, payload := g.nextJoin()
	if j == nil {
		return false
	}
	g.jobs = append(g.jobs, fmt.Sprintf("%d: %s", j.level(), payload))
	g.widest = max(g.widest, len(j.parts))
	g.done(j, len(payload), []byte(g.reduce(string(payload))))
	return true
}

// grow reduces leaves that come in order, as soon as it can.
func grow(arity, limit int, reduce func(string) string, leaves ...string) *grown {
	g := &grown{tree: newTree(arity, limit), reduce: reduce}
	for i, leaf := range leaves {
		g.addResult(i+1, []byte(leaf))
		for g.step() {
		}
	}
	g.close(len(leaves))
	for g.step() {
	}
	return g
}

// parens marks the input of one job.
func parens(s string) string { return "(" + s + ")" }

func TestTreeShape(t *testing.T) {
	tests := []struct {
		name   string
		arity  int
		leaves string // one a letter
		want   string
	}{
		{"none", 3, "", ""},
		{"one", 3, "a", "(a)"},
		{"one level", 3, "abc", "(abc)"},
		{"one level, not full", 3, "ab", "(ab)"},
		{"a single one joins at the next level", 3, "abcd", "((abc)d)"},
		{"two levels", 3, "abcdefghi", "((abc)(def)(ghi))"},
		{"a single one two levels up", 3, "abcdefghij", "(((abc)(def)(ghi))j)"},
		{"three levels", 2, "abcdefg", "(((ab)(cd))((ef)g))"},
		{"wide", 100, "abcdefghij", "(abcdefghij)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := grow(tt.arity, 100, parens, strings.Split(tt.leaves, "")...)
			if g.err != nil {
				t.Fatal(g.err)
			}
			if got := string(g.root.data); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if g.held != len(g.root.data) || len(g.groups) > 0 {
				t.Errorf("the tree holds %d bytes and %d groups, want only the root's %d", g.held, len(g.groups), len(g.root.data))
			}
		})
	}
}

func TestTreePayloadLimit(t *testing.T) {
	short := func(string) string { return "." }
	none := func(string) string { return "" }
	tests := []struct {
		name   string
		limit  int
		reduce func(string) string
		leaves []string
		want   string // the jobs
		err    string
	}{
		{"all fit", 4, short, []string{"a", "b", "c", "d"}, "1: abcd", ""},
		{"two each", 2, short, []string{"a", "b", "c", "d"}, "1: ab|1: cd|1: ..", ""},
		{"a large one alone", 3, short, []string{"a", "b", "ccc", "d"}, "1: ab|1: ccc|1: d|1: ...", ""},
		{"none fit until each is reduced", 3, short, []string{"aaa", "bbb", "ccc"}, "1: aaa|1: bbb|1: ccc|1: ...", ""},
		{"empty ones take no room", 1, none, []string{"a", "", "", "b"}, "1: a|1: b", ""},
		{
			"two results", 3, parens,
			[]string{"a", "b", "c", "d"},
			"1: abc|1: d",
			"reduce records 1 to 4 at level 1: 5 and 3 bytes do not fit together into a payload of 3",
		},
		{
			"one that is too large", 3, short,
			[]string{"a", "bbbb"},
			"1: a",
			"reduce records 1 to 2 at level 1: 1 and 4 bytes do not fit together into a payload of 3",
		},
		{
			"the only one", 3, short,
			[]string{"aaaa"},
			"",
			"reduce record 1 at level 1: 4 bytes are over the limit 3 of a payload",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := grow(4, tt.limit, tt.reduce, tt.leaves...)
			if got := strings.Join(g.jobs, "|"); got != tt.want {
				t.Errorf("got jobs %s, want %s", got, tt.want)
			}
			switch {
			case tt.err == "" && g.root == nil:
				t.Errorf("no root, but %v", g.err)
			case tt.err != "" && (g.err == nil || g.err.Error() != tt.err):
				t.Errorf("got %v, want %s", g.err, tt.err)
			}
			var part *PartError
			if g.err != nil && !errors.As(g.err, &part) {
				t.Errorf("got a %T", g.err)
			}
		})
	}
}

// For every order of arriving leaves and ending joins, and whenever memory is
// freed, the root has all leaves in their order, and no join is too wide or too
// long.
func TestTreeInAnyOrder(t *testing.T) {
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 0))
		n, arity := rng.IntN(60), 2+rng.IntN(6)
		limit := 200 + rng.IntN(300)
		keep := func(s string) string { return s }
		g := &grown{tree: newTree(arity, limit), reduce: keep}
		var want strings.Builder
		leaves := make([]string, n)
		for i := range leaves {
			leaves[i] = fmt.Sprintf("%d,", i)[:rng.IntN(3)]
			want.WriteString(leaves[i])
		}
		type flight struct {
			j       *join
			payload []byte
		}
		var joins []flight
		order := rng.Perm(n)
		closed := false
		for g.root == nil && g.err == nil {
			switch rng.IntN(5) {
			case 0:
				if len(order) > 0 {
					g.addResult(order[0]+1, []byte(leaves[order[0]]))
					order = order[1:]
				}
			case 1:
				if j, payload := g.nextJoin(); j != nil {
					if len(payload) > limit || len(j.parts) > arity {
						t.Fatalf("seed %d: a join of %d parts and %d bytes", seed, len(j.parts), len(payload))
					}
					joins = append(joins, flight{j, payload})
				}
			case 2:
				if len(joins) > 0 {
					i := rng.IntN(len(joins))
					f := joins[i]
					joins = append(joins[:i], joins[i+1:]...)
					g.done(f.j, len(f.payload), f.payload)
				}
			case 3:
				if rng.IntN(20) == 0 {
					g.relieve()
				}
			case 4:
				if !closed && rng.IntN(10) == 0 {
					closed = true
					g.close(n)
				}
			}
		}
		if g.err != nil {
			t.Fatalf("seed %d: %v", seed, g.err)
		}
		if got := string(g.root.data); got != want.String() {
			t.Fatalf("seed %d: got %q, want %q", seed, got, want.String())
		}
		if len(joins) > 0 || len(g.groups) > 0 || g.held != len(g.root.data) {
			t.Fatalf("seed %d: %d joins, %d groups and %d bytes are left", seed, len(joins), len(g.groups), g.held)
		}
	}
}

// Memory is freed by joining the parts in the tree, level by level, but never a
// single part of a group.
func TestTreeRelieve(t *testing.T) {
	g := &grown{tree: newTree(4, 1000), reduce: parens}
	for i, leaf := range strings.Split("abcdef", "") {
		g.addResult(i+1, []byte(leaf))
	}
	for g.step() {
	}
	if !g.relieve() {
		t.Fatal("e and f were not joined")
	}
	for g.step() {
	}
	if g.relieve() {
		t.Errorf("something was joined beside %q", g.jobs)
	}
	g.addResult(7, []byte("g"))
	if !g.relieve() {
		t.Error("g was not joined")
	}
	g.close(7)
	for g.step() {
	}
	if got, want := string(g.root.data), "((abcd)((ef)g))"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
