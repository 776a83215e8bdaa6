package cmd

import (
	"fmt"
	"math"

	"github.com/urfave/cli/v2"

	"gm/internal/bytesize"
)

// sizeValue is the value of a flag that takes a number of bytes: 4096, 64K,
// 64KiB, 1G. The units are powers of 1024.
type sizeValue struct {
	n    int64
	most int64
}

// Set parses s.
func (v *sizeValue) Set(s string) error {
	n, err := bytesize.Parse(s)
	switch {
	case err != nil:
		return err
	case n > v.most:
		return fmt.Errorf("size %q: exceeds the limit of a 32-bit gm, %d bytes", s, v.most)
	}
	v.n = n
	return nil
}

// String returns the size for help texts, empty for 0.
func (v *sizeValue) String() string {
	if v.n == 0 {
		return ""
	}
	return bytesize.Format(v.n)
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
