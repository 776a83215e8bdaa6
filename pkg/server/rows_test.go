package server_test

import (
	"reflect"
	"testing"

	"gm/pkg/server"
	"gm/pkg/wire"
)

// The rows have the fields of wire's rows: the same names, types and tags in the same
// order. So the methods of Server and the admin commands agree, in JSON too.
func TestRowsHaveTheFieldsOfWire(t *testing.T) {
	for _, tt := range []struct{ row, wire any }{
		{server.WorkerInfo{}, wire.WorkerInfo{}},
		{server.Session{}, wire.Session{}},
		{server.Job{}, wire.Job{}},
		{server.FunctionStats{}, wire.FunctionStats{}},
		{server.ServerStats{}, wire.ServerStats{}},
		{server.Outcome{}, wire.Outcome{}},
		{server.FollowEvent{}, wire.FollowEvent{}},
	} {
		row, ours := reflect.TypeOf(tt.row), reflect.TypeOf(tt.wire)
		if row.NumField() != ours.NumField() {
			t.Errorf("%v has %d fields, %v has %d", row, row.NumField(), ours, ours.NumField())
			continue
		}
		for i := range row.NumField() {
			a, b := row.Field(i), ours.Field(i)
			if a.Name != b.Name || a.Tag != b.Tag || a.Type != b.Type {
				t.Errorf("%v.%s %v %q, %v.%s %v %q", row, a.Name, a.Type, a.Tag, ours, b.Name, b.Type, b.Tag)
			}
		}
	}
}

// The constants of the rows are the words of the admin commands.
func TestRowsHaveTheWordsOfWire(t *testing.T) {
	for _, tt := range []struct{ row, wire any }{
		{server.StateWaiting, wire.StateWaiting},
		{server.StateDelayed, wire.StateDelayed},
		{server.StateRunning, wire.StateRunning},
		{server.StateDead, wire.StateDead},
		{server.OutcomeCompleted, wire.OutcomeCompleted},
		{server.OutcomeFailed, wire.OutcomeFailed},
		{server.OutcomeException, wire.OutcomeException},
		{server.OutcomeCancelled, wire.OutcomeCancelled},
		{server.OutcomeDead, wire.OutcomeDead},
		{server.OutcomeUnknown, wire.OutcomeUnknown},
		{server.FollowData, wire.FollowData},
		{server.FollowWarning, wire.FollowWarning},
		{server.FollowStatus, wire.FollowStatus},
		{server.FollowAgain, wire.FollowAgain},
		{server.DefaultMaxOutbox, 2*wire.DefaultMaxPayload + 1<<20},
	} {
		if tt.row != tt.wire {
			t.Errorf("got %v, want %v", tt.row, tt.wire)
		}
	}
}

// publicImports are the packages whose types a signature of package server may have:
// store is the one that a program imports anyway to open its store.
var publicImports = map[string]bool{"": true, "gm/pkg/server": true, "gm/pkg/store": true}

// A program that uses package server needs no type of another package of gm, except
// store.Store for a store that it makes itself.
func TestSignaturesNeedNoSecondImport(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var check func(from string, ty reflect.Type)
	check = func(from string, ty reflect.Type) {
		if seen[ty] {
			return
		}
		seen[ty] = true
		path := ty.PkgPath()
		// words and the tracer are aliases in package server
		named := map[reflect.Type]bool{
			reflect.TypeFor[server.JobState](): true, reflect.TypeFor[server.OutcomeState](): true,
			reflect.TypeFor[server.FollowKind](): true, reflect.TypeFor[server.Tracer](): true,
		}
		if len(path) > 3 && path[:3] == "gm/" && !publicImports[path] && !named[ty] {
			t.Errorf("%s needs %v", from, ty)
		}
		switch ty.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Chan:
			check(from, ty.Elem())
		case reflect.Map:
			check(from, ty.Key())
			check(from, ty.Elem())
		case reflect.Func:
			for i := range ty.NumIn() {
				check(from, ty.In(i))
			}
			for i := range ty.NumOut() {
				check(from, ty.Out(i))
			}
		case reflect.Struct:
			if path != "gm/pkg/server" {
				return
			}
			for i := range ty.NumField() {
				if f := ty.Field(i); f.IsExported() {
					check(ty.String()+"."+f.Name, f.Type)
				}
			}
		}
	}
	methods := reflect.TypeFor[*server.Server]()
	for i := range methods.NumMethod() {
		m := methods.Method(i)
		check("Server."+m.Name, m.Type)
	}
	for name, f := range map[string]any{
		"New": server.New, "Listen": server.Listen, "ListenPatiently": server.ListenPatiently,
		"ParsePolicy": server.ParsePolicy, "NewTracer": server.NewTracer,
	} {
		check(name, reflect.TypeOf(f))
	}
}
