package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// UnknownCell returns the text of an unknown value: - for a person, an empty one for a
// program.
func UnknownCell(human bool) string {
	if human {
		return "-"
	}
	return ""
}

// NumberCell returns a number, or UnknownCell if n is nil.
func NumberCell[T int | int64 | uint64](n *T, human bool) string {
	if n == nil {
		return UnknownCell(human)
	}
	return fmt.Sprint(*n)
}

// AgeCell returns an age in milliseconds, or UnknownCell if ms is nil.
func AgeCell(ms *int64, human bool) string {
	if ms == nil || !human {
		return NumberCell(ms, human)
	}
	return FormatAge(time.Duration(*ms) * time.Millisecond)
}

// FormatAge returns a duration for a person, in two units at most.
func FormatAge(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == 0:
		return "0"
	case d < time.Second:
		return d.String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	case d < day:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
}

// DateCell returns a Unix time in milliseconds, empty for 0.
func DateCell(ms int64, human bool) string {
	switch {
	case ms == 0:
		return ""
	case human:
		return time.UnixMilli(ms).Format(time.DateTime)
	}
	return strconv.FormatInt(ms, 10)
}

// TextCell returns a text of several lines, in one line for a person.
func TextCell(text string, human bool) string {
	if !human {
		return text
	}
	return strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ")
}
