package sqlstore

import (
	"fmt"

	"gm/pkg/store"
)

// Meaning is the meaning of a database's error for a store.
type Meaning int

// The values of Meaning.
const (
	Temporary Meaning = iota // the same batch may succeed later
	Full                     // the database has no room
	Refused                  // the database can never take the data
	Overtaken                // another server has taken the store: the fence has its value
	Unknown                  // the database may have done the statement
)

// Mark wraps an error of that meaning as [store.Store] defines it. It returns nil
// if err is nil.
func (m Meaning) Mark(err error) error {
	if err == nil {
		return nil
	}
	switch m {
	case Full:
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	case Refused:
		return &store.RefusedError{Index: -1, Err: err}
	case Overtaken:
		return fmt.Errorf("%w: %w", ErrLost, err)
	case Unknown:
		return &store.UncertainError{Err: err}
	}
	return err
}
