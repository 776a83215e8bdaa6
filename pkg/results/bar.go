package results

import (
	"io"
	"sync"
)

// Bar is a terminal whose last line is the progress of a run and is drawn again
// and again. Bytes that are written to the Bar appear above that line. Its
// methods may be called by several goroutines.
type Bar struct {
	w io.Writer

	mu    sync.Mutex
	line  string // the progress; empty means that none is shown
	drawn bool   // line is on the terminal
	open  bool   // stdout, which is the same terminal, is in the middle of a line
}

// NewBar returns a Bar on the terminal that w writes to.
func NewBar(w io.Writer) *Bar { return &Bar{w: w} }

// Terminal returns the writer of the terminal.
func (b *Bar) Terminal() io.Writer { return b.w }

// Stdout returns a writer that writes to w, which is the same terminal. The
// progress is not drawn while its last line is not complete.
func (b *Bar) Stdout(w io.Writer) io.Writer { return &barStdout{b, w} }

// barStdout is stdout on the terminal of a Bar.
type barStdout struct {
	bar *Bar
	w   io.Writer
}

// Write implements io.Writer.
func (o *barStdout) Write(p []byte) (int, error) {
	b := o.bar
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hideLine()
	n, err := o.w.Write(p)
	if n > 0 {
		b.open = p[n-1] != '\n'
	}
	b.showLine()
	return n, err
}

// Write writes p above the progress.
func (b *Bar) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hideLine()
	b.endOpenLine()
	n, err := b.w.Write(p)
	b.showLine()
	return n, err
}

// Draw replaces the progress with line.
func (b *Bar) Draw(line string) { b.drawLine(line, false) }

// Finish replaces the progress with line for the last time.
func (b *Bar) Finish(line string) { b.drawLine(line, true) }

// clearLine moves the cursor to the beginning of the line and clears it.
const clearLine = "\r\x1b[K"

func (b *Bar) hideLine() {
	if b.drawn {
		io.WriteString(b.w, clearLine)
		b.drawn = false
	}
}

func (b *Bar) showLine() {
	if b.line != "" && !b.open {
		io.WriteString(b.w, b.line)
		b.drawn = true
	}
}

// endOpenLine ends the line that stdout has begun.
func (b *Bar) endOpenLine() {
	if b.open {
		io.WriteString(b.w, "\n")
		b.open = false
	}
}

func (b *Bar) drawLine(line string, last bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.line = line
	if last {
		b.endOpenLine()
		b.line = ""
		line += "\n"
	}
	if !b.open {
		io.WriteString(b.w, clearLine+line)
		b.drawn = !last
	}
}
