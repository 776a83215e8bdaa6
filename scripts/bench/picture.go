//go:build linux

package main

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
)

// picture is how curves are shown: both axes are logarithmic, a curve a unit
// and server, gm's drawn through and gearmand's dashed.
type picture struct {
	plot   plot
	file   string
	title  string
	xLabel string
	curves []namedCurve
}

// namedCurve is a unit and its name in the picture's legend.
type namedCurve struct {
	unit unit
	name string
}

var jobCurves = []namedCurve{
	{cpuForeground, "foreground, there and back"},
	{cpuDrain, "grabbed and done"},
	{cpuUnique, "submitted with a unique"},
	{cpuSubmit, "submitted"},
}

var pictures = []picture{
	{connections, "cost-connections.svg", "Server CPU a job, in us, by connections at work", "clients, and workers", jobCurves},
	{waiting, "cost-waiting.svg", "Server CPU a job, in us, by jobs that wait", "waiting jobs", jobCurves},
	{waiting, "memory-waiting.svg", "Memory a waiting job of 100 bytes, in bytes", "waiting jobs", []namedCurve{{bytesWaiting, "bytes a job"}}},
}

// The picture's sizes, in pixels.
const (
	width, height = 720, 400
	left, right   = 64, 24
	top, bottom   = 84, 56
)

// style has colours for light and for dark, and a ground of its own for pages
// that have neither. Drawn elements use the current colour.
const style = `<style>
svg{color:#24292f}
.ground{fill:#fff}
.grid{color:#d8dee4}
.c0{color:#8250df}
.c1{color:#0969da}
.c2{color:#bc4c00}
.c3{color:#1a7f37}
@media (prefers-color-scheme:dark){
svg{color:#e6edf3}
.ground{fill:#0d1117}
.grid{color:#30363d}
.c0{color:#bc8cff}
.c1{color:#58a6ff}
.c2{color:#f0883e}
.c3{color:#3fb950}
}
text{font:12px system-ui,sans-serif;fill:currentColor}
.title{font-size:15px;font-weight:600}
line,polyline{fill:none;stroke:currentColor}
rect,circle{fill:currentColor}
.curve{stroke-width:2}
.dashed{stroke-dasharray:5 4;stroke-width:1.5}
</style>
`

// point is a place of a curve.
type point struct{ x, y float64 }

// axis maps values to pixels: powers of ten from 10^low to 10^high.
type axis struct{ low, high, from, to float64 }

func (a axis) at(v float64) float64 {
	return a.from + (math.Log10(v)-a.low)/(a.high-a.low)*(a.to-a.from)
}

// newAxis holds all values between whole powers of ten.
func newAxis(values []float64, from, to float64) axis {
	a := axis{math.Inf(1), math.Inf(-1), from, to}
	for _, v := range values {
		a.low, a.high = min(a.low, math.Floor(math.Log10(v))), max(a.high, math.Ceil(math.Log10(v)))
	}
	if a.high <= a.low {
		a.high = a.low + 1
	}
	return a
}

// draw returns the picture as SVG, of benches whose contenders are numbers.
func (p picture) draw(r *record, all []*bench) []byte {
	type drawn struct {
		class  string
		points []point
	}
	var curves []drawn
	var xs, ys []float64
	for i, c := range p.curves {
		for _, b := range all {
			d := drawn{class: fmt.Sprintf("curve c%d", i)}
			if b.server == gearmand {
				d.class += " dashed"
			}
			for _, place := range b.contenders {
				x, _ := strconv.ParseFloat(place.who, 64)
				if y := r.Benches[b.name].median(place.who, c.unit); y > 0 {
					d.points = append(d.points, point{x, y})
					xs, ys = append(xs, x), append(ys, y)
				}
			}
			curves = append(curves, d)
		}
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s">`+"\n%s", width, height, p.title, style)
	fmt.Fprintf(&out, `<rect class="ground" width="%d" height="%d" rx="6"/>`+"\n", width, height)
	x, y := newAxis(xs, left, width-right), newAxis(ys, height-bottom, top)
	p.frame(&out, x, y)
	p.legend(&out)
	for _, c := range curves {
		if len(c.points) == 0 {
			continue
		}
		fmt.Fprintf(&out, `<polyline class="%s" points="`, c.class)
		for _, pt := range c.points {
			fmt.Fprintf(&out, "%.1f,%.1f ", x.at(pt.x), y.at(pt.y))
		}
		out.WriteString("\"/>\n")
		for _, pt := range c.points {
			fmt.Fprintf(&out, `<circle class="%s" cx="%.1f" cy="%.1f" r="3"><title>%s</title></circle>`+"\n", c.class, x.at(pt.x), y.at(pt.y), number(pt.y))
		}
	}
	out.WriteString("</svg>\n")
	return out.Bytes()
}

// frame draws the grid, and the numbers and words at it.
func (p picture) frame(out *bytes.Buffer, x, y axis) {
	for v := y.low; v <= y.high; v++ {
		at := y.at(math.Pow(10, v))
		fmt.Fprintf(out, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`, left, width-right, at, at)
		fmt.Fprintf(out, `<text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", left-8, at+4, power(v))
	}
	for v := x.low; v <= x.high; v++ {
		at := x.at(math.Pow(10, v))
		fmt.Fprintf(out, `<line class="grid" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`, at, at, top, height-bottom)
		fmt.Fprintf(out, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", at, height-bottom+18, power(v))
	}
	fmt.Fprintf(out, `<text x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", (left+width-right)/2, height-14, p.xLabel)
	fmt.Fprintf(out, `<text class="title" x="%d" y="28">%s</text>`+"\n", left, p.title)
}

// legend names the curves' colours and lines.
func (p picture) legend(out *bytes.Buffer) {
	at := left
	for i, c := range p.curves {
		fmt.Fprintf(out, `<rect class="c%d" x="%d" y="43" width="10" height="10"/><text x="%d" y="53">%s</text>`, i, at, at+15, c.name)
		at += 26 + 7*len(c.name)
	}
	fmt.Fprintf(out, "\n"+`<line class="curve" x1="%d" x2="%d" y1="68" y2="68"/><text x="%d" y="72">gm</text>`, left, left+24, left+30)
	fmt.Fprintf(out, `<line class="curve dashed" x1="%d" x2="%d" y1="68" y2="68"/><text x="%d" y="72">gearmand</text>`+"\n", left+64, left+88, left+94)
}

// power shows a power of ten.
func power(exponent float64) string {
	if exponent < 4 {
		return strconv.FormatFloat(math.Pow(10, exponent), 'f', -1, 64)
	}
	return fmt.Sprintf(`10<tspan dy="-4" font-size="9">%.0f</tspan>`, exponent)
}
