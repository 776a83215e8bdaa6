package server

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"gm/pkg/store"
)

func TestOutage(t *testing.T) {
	full, away := fmt.Errorf("commit: %w", store.ErrFull), errors.New("away")
	add, put, done := []store.Op{{Kind: store.Add}}, []store.Op{{Kind: store.Put}}, []store.Op{{Kind: store.Done}, {Kind: store.Update}}
	type step struct {
		second int64
		ops    []store.Op
		err    error
		want   string
	}
	for _, tc := range []struct {
		name  string
		steps []step
	}{
		{"away, and back", []step{
			{0, add, nil, ""},
			{1, add, away, "fails"},
			{2, add, away, ""},
			{3, done, nil, "works"},
			{4, add, nil, ""},
		}},
		{"full, with ends in between", []step{
			{1, add, full, "fails"},
			{2, done, nil, ""},
			{3, add, full, ""},
			{100, done, nil, ""},
			{101, add, nil, "works"},
		}},
		{"full, for others than extras", []step{
			{1, add, full, "fails"},
			{2, put, nil, "works"},
		}},
		{"away while it is full", []step{
			{1, add, full, "fails"},
			{2, done, away, ""},
			{3, done, nil, "works"},
		}},
		{"now and then", []step{
			{0, add, full, "fails"},
			{1, add, nil, "works"},
			{2, add, full, ""},
			{3, add, nil, ""},
			{29, add, full, ""},
			{30, add, full, "fails"}, // it lasts
			{31, add, nil, "works"},
			{61, add, nil, ""},
			{62, add, away, "fails"},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var o outage
			for _, s := range tc.steps {
				fails, works := o.noteOutage(1_700_000_000_000+s.second*1000, s.ops, s.err)
				got := map[[2]bool]string{{true, false}: "fails", {false, true}: "works"}[[2]bool{fails, works}]
				if got != s.want {
					t.Errorf("after %d s, %v: got %q, want %q", s.second, s.err, got, s.want)
				}
			}
		})
	}
}

// The ends of jobs go before operations that need room, except the end of a job
// that becomes a dead one.
func TestEndsFirst(t *testing.T) {
	record := func(seq uint64) *store.Record { return &store.Record{Seq: seq} }
	ops := []store.Op{
		{Kind: store.Put, Key: "result/a"},
		{Kind: store.Done, Record: record(1)},
		{Kind: store.Put, Key: deadKeyOfSeq(2)},
		{Kind: store.Done, Record: record(2)},
		{Kind: store.Delete, Key: "result/a"},
		{Kind: store.Update, Record: record(3)},
		{Kind: store.Done, Record: record(3)},
	}
	var got []string
	for _, op := range endsFirst(ops, deadKeyOfSeq) {
		got = append(got, opName(&op))
	}
	want := []string{
		"DONE 1", "UPDATE 3", "DONE 3",
		"PUT result/a", "PUT dead/2", "DONE 2", "DELETE result/a",
	}
	if !slices.EqualFunc(got, want, strings.EqualFold) {
		t.Errorf("got %q, want %q", got, want)
	}
}
