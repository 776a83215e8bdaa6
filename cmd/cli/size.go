package cli

import (
	"fmt"
	"math"

	urfave "github.com/urfave/cli/v2"

	"gm/internal/bytesize"
)

// SizeValue is the value of a flag that takes a number of bytes: 4096, 64K,
// 64KiB, 1G. The units are powers of 1024.
type SizeValue struct {
	N    int64
	most int64
}

// Set parses s.
func (v *SizeValue) Set(s string) error {
	n, err := bytesize.Parse(s)
	switch {
	case err != nil:
		return err
	case n > v.most:
		return fmt.Errorf("size %q: exceeds the limit of %d bytes of a 32-bit gm", s, v.most)
	}
	v.N = n
	return nil
}

// String returns the size for help texts, empty for 0.
func (v *SizeValue) String() string {
	if v.N == 0 {
		return ""
	}
	return bytesize.Format(v.N)
}

// SizeFlag returns a flag whose value SizeOf reads. The size is limited to an int, which
// has 32 bits on some systems.
func SizeFlag(def int64, f urfave.GenericFlag) *urfave.GenericFlag {
	f.Value = &SizeValue{def, math.MaxInt}
	return &f
}

// ChildSizeFlag returns a flag like SizeFlag for the memory of another process, which may
// have 64 bits if gm has 32.
func ChildSizeFlag(def int64, f urfave.GenericFlag) *urfave.GenericFlag {
	f.Value = &SizeValue{def, math.MaxInt64}
	return &f
}

// SizeOf returns the value, in bytes, of a flag made by SizeFlag or ChildSizeFlag.
func SizeOf(c *urfave.Context, name string) int64 { return c.Generic(name).(*SizeValue).N }
