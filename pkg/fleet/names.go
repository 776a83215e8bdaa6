package fleet

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"gm/pkg/gearman"
)

// ErrNoMatch is returned when a pattern matches no function of a server.
var ErrNoMatch = errors.New("no function matches")

// IsPattern reports whether name is a pattern of functions, in the syntax of path.Match.
// A text that cannot be a pattern, such as "a[", is a name.
func IsPattern(name string) bool {
	if !strings.ContainsAny(name, "*?[") {
		return false
	}
	_, err := path.Match(pathPattern(name), "")
	return err == nil
}

// plainSigns replaces the characters that have a meaning in path.Match but not in
// names of functions. Names have backslashes (App\Jobs\Resize), and a * matches a /
// too.
var plainSigns = strings.NewReplacer(`\`, "\x01", "/", "\x00")

// pathPattern returns a pattern of functions, or the name of one, for path.Match.
func pathPattern(name string) string { return plainSigns.Replace(name) }

// MatchesName reports whether pattern is the name of the function or matches it. In a
// pattern, * is any text, ? is any character, and [a-z] is one character of a set.
func MatchesName(pattern, function string) bool {
	if pattern == function {
		return true
	}
	ok, err := path.Match(pathPattern(pattern), pathPattern(function))
	return ok && err == nil
}

// MatchesAny reports whether one of the patterns is the name of the function or matches
// it.
func MatchesAny(patterns []string, function string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return MatchesName(p, function) })
}

// ExpandNames replaces each pattern by the functions of a server that it matches. It
// leaves names as they are. The error wraps ErrNoMatch if a pattern matches no function.
func ExpandNames(ctx context.Context, admin *gearman.Admin, patterns []string) ([]string, error) {
	if !slices.ContainsFunc(patterns, IsPattern) {
		return patterns, nil
	}
	known, err := admin.Status(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, p := range patterns {
		if !IsPattern(p) {
			names = append(names, p)
			continue
		}
		matched := false
		for _, f := range known {
			if !MatchesName(p, f.Function) {
				continue
			}
			matched = true
			if !slices.Contains(names, f.Function) {
				names = append(names, f.Function)
			}
		}
		if !matched {
			return nil, fmt.Errorf("%s: %w", p, ErrNoMatch)
		}
	}
	return names, nil
}
