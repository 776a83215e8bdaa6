package cmd

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
)

// sizeValue is the value of a flag that takes a number of bytes: 4096, 64K,
// 64KiB, 1G. The units are powers of 1024.
type sizeValue struct {
	n    int64
	most int64
}

// Set parses s.
func (v *sizeValue) Set(s string) error {
	n, err := parseSize(s)
	switch {
	case err != nil:
		return err
	case n > v.most:
		return fmt.Errorf("size %q: exceeds the limit of %d bytes of a 32-bit gm", s, v.most)
	}
	v.n = n
	return nil
}

// String returns the size for help texts; nothing for 0.
func (v *sizeValue) String() string {
	for i := len(sizeUnits) - 1; i > 0 && v.n > 0; i-- {
		if unit := int64(1) << (10 * i); v.n%unit == 0 {
			return strconv.FormatInt(v.n/unit, 10) + sizeUnits[i:i+1] + "iB"
		}
	}
	if v.n == 0 {
		return ""
	}
	return strconv.FormatInt(v.n, 10)
}

// sizeFlag returns a flag whose value sizeOf reads. The size is one of memory: it
// fits in an int, which has 32 bits on some systems.
func sizeFlag(def int64, f cli.GenericFlag) *cli.GenericFlag {
	f.Value = &sizeValue{def, math.MaxInt}
	return &f
}

// childSizeFlag returns a flag like sizeFlag's for the memory of another process,
// which may have 64 bits where gm has 32.
func childSizeFlag(def int64, f cli.GenericFlag) *cli.GenericFlag {
	f.Value = &sizeValue{def, math.MaxInt64}
	return &f
}

// sizeOf returns the value, in bytes, of a flag made by sizeFlag or childSizeFlag.
func sizeOf(c *cli.Context, name string) int64 { return c.Generic(name).(*sizeValue).n }

// sizeUnits are the letters of 1024 to the power of their index.
const sizeUnits = " KMGT"

// parseSize parses a number of bytes that is not negative.
func parseSize(s string) (int64, error) {
	digits := strings.TrimSuffix(strings.TrimSuffix(strings.ToUpper(s), "B"), "I")
	power := 0
	if len(digits) > 0 {
		if i := strings.IndexByte(sizeUnits, digits[len(digits)-1]); i > 0 {
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
