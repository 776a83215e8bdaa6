//go:build linux

package main

import "fmt"

// target is the required value of a figure of gm.
type target struct {
	what  unit
	sign  sign
	bound float64 // a factor, or the figure itself if it is of nobody
	of    string  // the contender whose figure the factor is of
}

// sign says which way a target is bound.
type sign string

const (
	atLeast sign = "at least"
	atMost  sign = "at most"
)

// String is the target in words.
func (t target) String() string {
	if t.of == "" {
		return fmt.Sprintf("%s %s", t.sign, show(t.what, t.bound))
	}
	return fmt.Sprintf("%s %s %.3g x %s", t.what, t.sign, t.bound, t.of)
}

// check returns the figure, as a factor if the target is one, and whether it
// meets the target.
func (t target) check(r results) (got string, met bool) {
	v := r.median(gm, t.what)
	got = show(t.what, v)
	if t.of != "" {
		v = r.factor(gm, t.of, t.what)
		got = number(v) + " x"
	}
	if t.sign == atLeast {
		return got, v >= t.bound
	}
	return got, v <= t.bound && v > 0
}
