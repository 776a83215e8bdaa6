package cmd

import (
	"os"

	"github.com/urfave/cli/v2"
)

// memoryBound returns how many bytes waiting payloads may occupy: --memory, or
// half of what there is; 0 is no bound.
func memoryBound(c *cli.Context) int64 {
	if c.IsSet("memory") {
		return sizeOf(c, "memory")
	}
	return totalMemory() / 2
}

// memorySlack is what a server needs beside payloads, whatever their bound.
const memorySlack = 100 << 20

// memoryLimit returns when Go's collector is to work harder, before the process
// takes much more than the bound for payloads. Jobs cost something beside
// their payloads, and what is collected late costs as much again: so it is
// twice the bound, less if the machine has not so much. total is what it has,
// 0 if that is not known.
func memoryLimit(bound, total int64) int64 {
	limit := 2*bound + memorySlack
	if most := total - total/10; total > 0 && limit > most {
		limit = max(most, bound+memorySlack)
	}
	return limit
}

// readNumber returns the number that a file begins with; 0 if there is none,
// as of a limit that is "max".
func readNumber(path string) int64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	var n int64
	for _, b := range text {
		if b < '0' || b > '9' || n > 1<<58 {
			break
		}
		n = 10*n + int64(b-'0')
	}
	return n
}
