package fleet

import (
	"time"

	"gm/pkg/gearman"
)

// A RateMeter computes rates from successive readings of the same servers. The zero
// value is ready for the first reading, whose rates are unknown.
type RateMeter struct {
	before map[serverFunction]Function
	at     time.Time // of before
}

type serverFunction struct {
	server   gearman.Server
	function string
}

// SetRates sets the rates of all rows of a reading taken at now. It compares each
// function of each server with the reading before. It does not compare sums, because a
// server that comes back would look like a burst in a sum.
func (m *RateMeter) SetRates(now time.Time, answers []Answer[ServerFunctions]) {
	reading := map[serverFunction]Function{}
	for _, a := range answers {
		for _, row := range a.Value.Functions {
			k := serverFunction{a.Server, row.Function}
			row.Rates = &Rates{}
			if before, ok := m.before[k]; ok {
				row.Rates = ratesBetween(&before, row, now.Sub(m.at))
			}
			reading[k] = *row
		}
	}
	m.before, m.at = reading, now
}

// ratesBetween compares two readings of one function, taken d apart. A counter that went
// back belongs to a server that has restarted; its rate is unknown.
func ratesBetween(before, now *Function, d time.Duration) *Rates {
	rate := func(before, now *uint64) *float64 {
		if before == nil || now == nil || *now < *before || d <= 0 {
			return nil
		}
		r := float64(*now-*before) / d.Seconds()
		return &r
	}
	return &Rates{
		In:     rate(before.Submitted, now.Submitted),
		Done:   rate(before.Completed, now.Completed),
		Failed: rate(before.Failed, now.Failed),
	}
}
