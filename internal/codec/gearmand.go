package codec

import (
	"strconv"
	"strings"

	"gm/pkg/store"
)

// UniquePrefix begins the uniques that [AppendUnique] generates.
const UniquePrefix = "gm-"

// AppendUnique appends the unique that a job with that number gets in a layout of
// gearmand that cannot have its own.
func AppendUnique(dst []byte, seq uint64) []byte {
	return strconv.AppendUint(append(dst, UniquePrefix...), seq, 10)
}

// FitsGearmand reports whether a unique can be stored unchanged in a layout of
// gearmand, in which no two jobs of a function have the same one. An empty unique
// and "-" do not fit, because many jobs have them. Neither does one that gearmand
// would cut, or one that looks like a generated one.
func FitsGearmand(unique string) bool {
	return unique != "" && unique != "-" && len(unique) <= store.MaxGearmandUnique &&
		!strings.HasPrefix(unique, UniquePrefix) && strings.IndexByte(unique, 0) < 0
}

// Seconds returns a time in milliseconds as seconds. It rounds up, so that gearmand
// starts no job early, and returns 0 for a time that is not after 0.
func Seconds(milliseconds int64) int64 {
	if milliseconds <= 0 {
		return 0
	}
	return (milliseconds-1)/1000 + 1
}
