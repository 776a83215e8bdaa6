package server

import (
	"time"

	"gm/internal/duration"
)

// ParseDuration parses a duration as [time.ParseDuration] does, and days before
// everything else: 2d, 1.5d, 1d12h. A day has 24 hours.
func ParseDuration(s string) (time.Duration, error) { return duration.Parse(s) }
