//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
)

// record is a run: its measurements and its machine.
type record struct {
	Machine machine            `json:"machine"`
	Rounds  int                `json:"rounds"`
	Whole   bool               `json:"whole"` // every bench, with its whole load
	Benches map[string]results `json:"benches"`
}

func readRecord(file string) (*record, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r := &record{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return r, nil
}

func (r *record) write(file string) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// of returns the benches of a plot that were measured.
func (r *record) of(p plot, all []*bench) []*bench {
	return slices.DeleteFunc(slices.Clone(all), func(b *bench) bool {
		return b.plot != p || r.Benches[b.name] == nil
	})
}
