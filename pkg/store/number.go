package store

import (
	"fmt"
	"strconv"
)

// NumberKey is the key of an extra with a number, in decimal, that is at least
// as high as the number of any job so far. Handles contain the numbers of jobs
// and must not be used again. Of two such extras, the higher number wins.
const NumberKey = "number"

// ParseNumber parses the value of the extra under [NumberKey].
func ParseNumber(value []byte) (uint64, error) {
	n, err := strconv.ParseUint(string(value), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("highest number %q: %w", value, err)
	}
	return n, nil
}
