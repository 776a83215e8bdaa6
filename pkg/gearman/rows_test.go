package gearman

import (
	"reflect"
	"testing"

	"gm/pkg/wire"
)

// The rows have the fields of wire's rows: the same names, tags and kinds of
// values, in the same order.
func TestRowsHaveTheFieldsOfWire(t *testing.T) {
	for _, tt := range []struct{ row, wire any }{
		{FunctionStatus{}, wire.FunctionStatus{}},
		{PriorityStatus{}, wire.PriorityStatus{}},
		{WorkerInfo{}, wire.WorkerInfo{}},
		{JobInfo{}, wire.JobInfo{}},
		{JobDetails{}, wire.Job{}},
		{FunctionStats{}, wire.FunctionStats{}},
		{ServerStats{}, wire.ServerStats{}},
		{Session{}, wire.Session{}},
		{Outcome{}, wire.Outcome{}},
		{FollowEvent{}, wire.FollowEvent{}},
	} {
		row, ours := reflect.TypeOf(tt.row), reflect.TypeOf(tt.wire)
		if row.NumField() != ours.NumField() {
			t.Errorf("%v has %d fields, %v has %d", row, row.NumField(), ours, ours.NumField())
			continue
		}
		for i := range row.NumField() {
			a, b := row.Field(i), ours.Field(i)
			if a.Name != b.Name || a.Tag != b.Tag || !sameKind(a.Type, b.Type) {
				t.Errorf("%v.%s %v %q, %v.%s %v %q", row, a.Name, a.Type, a.Tag, ours, b.Name, b.Type, b.Tag)
			}
		}
	}
}

func sameKind(a, b reflect.Type) bool {
	if a.Kind() != b.Kind() {
		return false
	}
	switch a.Kind() {
	case reflect.Slice, reflect.Array:
		return sameKind(a.Elem(), b.Elem())
	}
	return true
}

// The words that the server writes are the constants of the package.
func TestRowsHaveTheWordsOfWire(t *testing.T) {
	for _, tt := range []struct{ ours, wire any }{
		{string(StateWaiting), string(wire.StateWaiting)},
		{string(StateDelayed), string(wire.StateDelayed)},
		{string(StateRunning), string(wire.StateRunning)},
		{string(StateDead), string(wire.StateDead)},
		{string(OutcomeCompleted), string(wire.OutcomeCompleted)},
		{string(OutcomeFailed), string(wire.OutcomeFailed)},
		{string(OutcomeException), string(wire.OutcomeException)},
		{string(OutcomeCancelled), string(wire.OutcomeCancelled)},
		{string(OutcomeDead), string(wire.OutcomeDead)},
		{string(OutcomeUnknown), string(wire.OutcomeUnknown)},
		{string(FollowData), string(wire.FollowData)},
		{string(FollowWarning), string(wire.FollowWarning)},
		{string(FollowStatus), string(wire.FollowStatus)},
		{string(FollowAgain), string(wire.FollowAgain)},
		{High, wire.PriorityHigh},
		{Normal, wire.PriorityNormal},
		{Low, wire.PriorityLow},
		{DefaultMaxPayload, wire.DefaultMaxPayload},
	} {
		if tt.ours != tt.wire {
			t.Errorf("got %v, want %v", tt.ours, tt.wire)
		}
	}
}
