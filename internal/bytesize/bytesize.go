// Package bytesize reads and writes sizes in bytes, such as 4096, 64K or 1GiB.
// All units are powers of 1024.
package bytesize

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// units are the letters of 1024 to the power of their index.
const units = " KMGT"

// Parse returns the size that s names. A size is not negative.
func Parse(s string) (int64, error) {
	digits := strings.TrimSuffix(strings.TrimSuffix(strings.ToUpper(s), "B"), "I")
	power := 0
	if len(digits) > 0 {
		if i := strings.IndexByte(units, digits[len(digits)-1]); i > 0 {
			power, digits = i, digits[:len(digits)-1]
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if errors.Is(err, strconv.ErrRange) && n > 0 || err == nil && n > math.MaxInt64>>(10*power) {
		return 0, fmt.Errorf("size %q: exceeds the limit of %d bytes", s, int64(math.MaxInt64))
	}
	if err != nil || n < 0 {
		return 0, fmt.Errorf("size %q: not like 4096, 64K or 1GiB", s)
	}
	return n << (10 * power), nil
}

// Format returns a size with the largest unit that divides it, such as 64KiB.
func Format(n int64) string {
	for i := len(units) - 1; i > 0 && n > 0; i-- {
		if unit := int64(1) << (10 * i); n%unit == 0 {
			return strconv.FormatInt(n/unit, 10) + units[i:i+1] + "iB"
		}
	}
	return strconv.FormatInt(n, 10)
}
