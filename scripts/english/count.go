package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
)

// A count is the result for one package.
type count struct {
	sentences int
	findings  int // sentences that have at least one finding
}

// countFindings counts the sentences of each package and those with a finding. It
// calls found for each of the latter with the names of the patterns.
func countFindings(all []sentence, found func(sentence, []string)) map[string]count {
	counts := map[string]count{}
	for _, s := range all {
		c := counts[s.pkg]
		c.sentences++
		if names := findPatterns(s.text); len(names) > 0 {
			c.findings++
			found(s, names)
		}
		counts[s.pkg] = c
	}
	return counts
}

// readCeilings reads the file of ceilings. A file that does not exist has none.
func readCeilings(name string) (map[string]int, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	limits := map[string]int{}
	for i, line := range slices.Collect(strings.Lines(string(text))) {
		line = strings.TrimSpace(line)
		pkg, number, _ := strings.Cut(line, " ")
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%s:%d: %q is not a package and a number", name, i+1, line)
		}
		if _, twice := limits[pkg]; twice {
			return nil, fmt.Errorf("%s:%d: package %s has two lines", name, i+1, pkg)
		}
		limits[pkg] = n
	}
	return limits, nil
}

// lowerCeilings returns the lower of the ceiling and the count for each package. A
// package without a ceiling gets its count if the sum of all ceilings does not rise,
// so that code can move to a new package. If the file of ceilings does not exist yet,
// limits is nil, and lowerCeilings returns the counts.
func lowerCeilings(limits map[string]int, counts map[string]count) map[string]int {
	lowered := map[string]int{}
	spare := 0
	for pkg, limit := range limits {
		lowered[pkg] = min(limit, counts[pkg].findings)
		spare += limit - lowered[pkg]
	}
	for _, pkg := range slices.Sorted(maps.Keys(counts)) {
		n := counts[pkg].findings
		if _, old := limits[pkg]; !old && (n <= spare || limits == nil) {
			lowered[pkg] = n
			spare -= n
		}
	}
	maps.DeleteFunc(lowered, func(_ string, n int) bool { return n == 0 })
	return lowered
}

// writeCeilings writes the file of ceilings, one sorted line for each package.
func writeCeilings(name string, limits map[string]int) error {
	var text strings.Builder
	for _, pkg := range slices.Sorted(maps.Keys(limits)) {
		fmt.Fprintf(&text, "%s %d\n", pkg, limits[pkg])
	}
	return os.WriteFile(name, []byte(text.String()), 0o644)
}

// compareCeilings returns an error for each package that is above or below its
// ceiling.
func compareCeilings(limits map[string]int, counts map[string]count) error {
	pkgs := map[string]bool{}
	for pkg := range limits {
		pkgs[pkg] = true
	}
	for pkg := range counts {
		pkgs[pkg] = true
	}
	var all []error
	for _, pkg := range slices.Sorted(maps.Keys(pkgs)) {
		n, limit := counts[pkg].findings, limits[pkg]
		switch {
		case n > limit:
			all = append(all, fmt.Errorf("%s: %d findings exceed the ceiling of %d: go run ./scripts/english -v -only %s", pkg, n, limit, pkg))
		case n < limit:
			all = append(all, fmt.Errorf("%s: lower the ceiling to %d: make lint-english-update", pkg, n))
		}
	}
	return errors.Join(all...)
}
