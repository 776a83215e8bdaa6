package sqlstore

import (
	"context"
	"fmt"
)

// Schema is the part of a database's schema that a store needs, on one connection.
type Schema interface {
	// MissingDDL returns the statements that create the missing tables and columns.
	MissingDDL(ctx context.Context) ([]string, error)
	// LockDDL waits until no other session creates tables. The end of the
	// connection frees the lock.
	LockDDL(ctx context.Context) error
	// RunDDL runs one statement.
	RunDDL(ctx context.Context, statement string) error
	// AlreadyExists reports whether err is that of a statement whose table, column
	// or key exists already.
	AlreadyExists(err error) bool
}

// maxCreations is the maximum number of attempts to create tables.
const maxCreations = 10

// CreateMissing creates the missing tables and columns. Servers that start at the
// same time do it one after the other. On a cluster the lock may be local to a node,
// so that another server creates the same tables: then CreateMissing tries again.
func CreateMissing(ctx context.Context, s Schema) error {
	ddl, err := s.MissingDDL(ctx)
	if err != nil || len(ddl) == 0 {
		return err
	}
	if err := s.LockDDL(ctx); err != nil {
		return fmt.Errorf("wait for others that create tables: %w", err)
	}
	for range maxCreations {
		if ddl, err = s.MissingDDL(ctx); err != nil || len(ddl) == 0 {
			return err
		}
		if err = runDDL(ctx, s, ddl); err != nil && !s.AlreadyExists(err) {
			return err
		}
	}
	return err
}

// runDDL runs statements up to the first that fails.
func runDDL(ctx context.Context, s Schema, ddl []string) error {
	for _, statement := range ddl {
		if err := s.RunDDL(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}
