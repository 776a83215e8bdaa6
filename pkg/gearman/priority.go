package gearman

import "gm/pkg/wire"

// Priority is the priority of a task. A worker gets the jobs of a lower value
// first, across all of its functions. The zero value is Normal.
type Priority = wire.Priority

// The priorities, in the order in which servers hand out their jobs.
const (
	High   Priority = -1
	Normal Priority = 0
	Low    Priority = 1
)

// ParsePriority parses high, normal or low, in any case. An empty text is
// Normal.
func ParsePriority(s string) (Priority, error) { return wire.ParsePriority(s) }
