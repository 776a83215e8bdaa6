package store

import (
	"fmt"
	"strconv"
)

// NumberKey is the key of the extra that has a number not below any that a server
// gave to a job, in decimal. Numbers of jobs are in handles, which must not be used
// again. Where two such extras meet, the higher number wins.
const NumberKey = "number"

// ParseNumber returns the number in the value of the extra under [NumberKey].
func ParseNumber(value []byte) (uint64, error) {
	n, err := strconv.ParseUint(string(value), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("highest number %q: %w", value, err)
	}
	return n, nil
}
