package sqlstore

import "strings"

// FenceKey and HolderKey are the keys of the fence and of the holder's note among
// the extras. The keys of extras are printable, these are not.
const (
	FenceKey  = "\x01fence"
	HolderKey = "\x01holder"
)

// Column is a column of a table: its name and its type in the database.
type Column struct{ Name, Kind string }

// OwnColumns returns the columns that gm adds to gearmand's table. integer and
// blob are the database's types for numbers of 32 bits and for bytes.
func OwnColumns(integer, blob string) []Column {
	return []Column{
		{"seq", "BIGINT"},
		{"run_at_ms", "BIGINT"},
		{"accepted_ms", "BIGINT"},
		{"attempts", integer},
		{"reducer", blob},
		{"gm_unique", blob},
		{"gm_function", blob},
	}
}

// InsertColumns are all columns of the jobs' table, in the order of the fields of
// a Row.
const InsertColumns = "unique_key, function_name, priority, data, when_to_run, " +
	"seq, run_at_ms, accepted_ms, attempts, reducer, gm_unique, gm_function"

// SelectColumns returns the columns that a Reading selects, joined by commas: seq,
// gearmand's columns with the requested part of the payload, and gm's others.
// replace returns the SQL for a column.
func (r *Reading) SelectColumns(replace func(name string) string) string {
	names := []string{
		"seq", "unique_key", "function_name", "priority", r.Data, "when_to_run",
		"run_at_ms", "accepted_ms", "attempts", "reducer", "gm_unique", "gm_function",
	}
	for i, name := range names {
		if name != r.Data {
			names[i] = replace(name)
		}
	}
	return strings.Join(names, ", ")
}
