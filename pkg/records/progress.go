package records

import (
	"encoding/json"
	"io"
	"time"

	"gm/pkg/batch"
	"gm/pkg/results"
)

// Progress is how a run shows its progress. The zero value does not show it.
type Progress struct {
	// JSON is a writer to which an object in a line is written each second and at the
	// end of the run.
	JSON io.Writer
	// Bar is a terminal whose last line shows the progress, drawn five times a second.
	// Line returns the options of each drawing. JSON must be nil if Bar is set.
	Bar  *results.Bar
	Line func() results.LineOptions
}

// Intervals between two reports of the progress.
const (
	jsonInterval = time.Second
	barInterval  = 200 * time.Millisecond
)

// startShowing shows the progress of b until stop is called, which shows it once more.
func (p *Progress) startShowing(b *batch.Batch, in *Input) (stop func()) {
	meter := results.NewMeter(b, in.Total, in.sized)
	switch {
	case p.JSON != nil:
		return results.Repeat(jsonInterval, func(bool) {
			if line, err := json.Marshal(meter.Read(time.Now())); err == nil {
				p.JSON.Write(append(line, '\n')) //nolint:errcheck // the run goes on without its progress
			}
		})
	case p.Bar != nil:
		return results.Repeat(barInterval, func(last bool) {
			line := meter.Read(time.Now()).Line(p.Line())
			if last {
				p.Bar.Finish(line)
			} else {
				p.Bar.Draw(line)
			}
		})
	}
	return func() {}
}
