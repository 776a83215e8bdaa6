package wire

import (
	"fmt"
	"strconv"
	"strings"
)

// Priority is the priority of a job. A worker gets the jobs of a lower value
// first, across all of its functions. The zero value is normal.
type Priority int8

// The priorities of PROTOCOL, in the order in which their jobs are handed out.
const (
	PriorityHigh   Priority = -1
	PriorityNormal Priority = 0
	PriorityLow    Priority = 1
)

// Valid reports whether p is one of the three priorities.
func (p Priority) Valid() bool { return p >= PriorityHigh && p <= PriorityLow }

// String returns high, normal or low.
func (p Priority) String() string {
	switch p {
	case PriorityHigh:
		return "high"
	case PriorityNormal:
		return "normal"
	case PriorityLow:
		return "low"
	}
	return "priority(" + strconv.Itoa(int(p)) + ")"
}

// ParsePriority parses high, normal or low, in any case. An empty text is
// PriorityNormal.
func ParsePriority(s string) (Priority, error) {
	switch strings.ToLower(s) {
	case "high":
		return PriorityHigh, nil
	case "", "normal":
		return PriorityNormal, nil
	case "low":
		return PriorityLow, nil
	}
	return PriorityNormal, fmt.Errorf("priority %q is not high, normal or low", s)
}
