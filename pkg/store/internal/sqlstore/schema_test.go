package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

var errExists = errors.New("exists already")

// fakeSchema is a schema of which others create some parts too.
type fakeSchema struct {
	missing []string
	others  []string // parts that another session creates before the next statement
	lockErr error
	runErr  error
	locked  bool
	ran     []string
}

func (s *fakeSchema) MissingDDL(context.Context) ([]string, error) {
	return slices.Clone(s.missing), nil
}

func (s *fakeSchema) LockDDL(context.Context) error {
	s.locked = true
	return s.lockErr
}

func (s *fakeSchema) RunDDL(_ context.Context, statement string) error {
	if !s.locked {
		return errors.New("without the lock")
	}
	if s.runErr != nil {
		return s.runErr
	}
	exists := slices.Contains(s.others, statement)
	created := append(slices.Clone(s.others), statement)
	s.missing = slices.DeleteFunc(s.missing, func(x string) bool { return slices.Contains(created, x) })
	s.others = nil
	if exists {
		return errExists
	}
	s.ran = append(s.ran, statement)
	return nil
}

func (s *fakeSchema) AlreadyExists(err error) bool { return errors.Is(err, errExists) }

func TestCreateMissing(t *testing.T) {
	for _, tc := range []struct {
		name   string
		schema fakeSchema
		want   string // the statements that were run, or a part of the error
	}{
		{"complete", fakeSchema{lockErr: errors.New("locked for nothing")}, "[]"},
		{"all missing", fakeSchema{missing: []string{"jobs", "extras"}}, "[jobs extras]"},
		{"another creates the first", fakeSchema{missing: []string{"jobs", "extras"}, others: []string{"jobs"}}, "[extras]"},
		{"another creates all", fakeSchema{missing: []string{"jobs", "extras"}, others: []string{"jobs", "extras"}}, "[]"},
		{"no lock", fakeSchema{missing: []string{"jobs"}, lockErr: errors.New("taken")}, "wait for others that create tables: taken"},
		{"refused", fakeSchema{missing: []string{"jobs"}, runErr: errors.New("denied")}, "jobs: denied"},
		{"exists for ever", fakeSchema{missing: []string{"jobs"}, runErr: errExists}, "jobs: exists already"},
	} {
		err := CreateMissing(t.Context(), &tc.schema)
		got := fmt.Sprint(tc.schema.ran)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, tc.want) {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}
