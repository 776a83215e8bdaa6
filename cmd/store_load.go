package cmd

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"gm/pkg/store"
)

func (e *env) storeLoad() *verb {
	return e.storeCommand("load", "put the lines of gm store dump into a store",
		`Reads stdin. Jobs keep their numbers, and so their handles and their order. The store has to be empty, or else --merge adds to it: a job that is there already is left as it is; one with the unique of another that waits is joined to that, as at a server; one with the number of another gets the next free one. An extra that is there already is left as it is, except the highest number that a server gave to a job: the higher one is kept. A job without seq is new, and comes last.

It fails if the last line, which tells how many there were, is missing or wrong: then the dump was cut short. What was read up to there is loaded. --partial is for lines that were chosen, or written by others.

Prints one row: jobs that were added, extras that were, jobs that were joined, jobs that were there already.

`+dumpLines,
		[]example{
			{"from one kind of store to another", "gm store dump redis://localhost/0 | gm store load disk:/var/lib/gm"},
			{"the jobs of one function only", `gm store dump disk:old | grep '"function":"resize"' | gm store load --partial disk:new`},
		},
		loadStore,
		append([]cli.Flag{
			&cli.BoolFlag{Name: "merge", Usage: "add to what the store has"},
			&cli.BoolFlag{Name: "partial", Usage: "the lines are not a whole dump"},
		}, e.rowFlags()...)...)
}

// Bounds of a batch.
const (
	loadOps   = 2000
	loadBytes = 8 << 20
)

// loader puts lines into a store.
type loader struct {
	store.Store
	ctx   context.Context
	batch []store.Op
	bytes int

	seqs    map[uint64]digest   // the jobs in the store, by number
	uniques map[digest]struct{} // their functions and uniques
	extras  map[string]struct{}
	last    uint64 // the highest number of a job that is known
	highest uint64 // in the store's extra [store.NumberKey], 0 if there is none
	whole   bool   // the last line was an end
	since   loaded // the last end
	total   loaded
}

// loaded counts lines.
type loaded struct {
	Jobs   int `json:"jobs"`
	Extras int `json:"extras"`
	Joined int `json:"joined"`
	There  int `json:"there"`
}

var loadedColumns = []column{{"jobs", true}, {"extras", true}, {"joined", true}, {"there", true}}

func (l *loaded) cells(bool) []string {
	return []string{strconv.Itoa(l.Jobs), strconv.Itoa(l.Extras), strconv.Itoa(l.Joined), strconv.Itoa(l.There)}
}

// loadStore is the action of store load.
func loadStore(s *storeCall) error {
	rows, err := s.newRows(s.Context, loadedColumns...)
	if err != nil {
		return err
	}
	l := &loader{
		Store: s.Store, ctx: s.Context.Context, last: store.FirstSeq(time.Now()),
		seqs: map[uint64]digest{}, uniques: map[digest]struct{}{}, extras: map[string]struct{}{},
	}
	if n, ok := s.Store.(store.Numbered); ok {
		last, err := n.LastSeq(l.ctx)
		if err != nil {
			return err
		}
		l.last = max(l.last, last)
	}
	if s.Caps().Lists {
		if err := l.look(s); err != nil {
			return err
		}
	}
	err = l.read(s.stdin)
	if err == nil && !l.whole && !s.Bool("partial") {
		err = withHint(exitWith(exitIO, s.fail(errors.New("the lines have no end: the dump may be cut short; what was read is loaded"))),
			"load a whole dump with --merge; --partial if these are all the lines there should be")
	}
	if addErr := rows.add(&l.total); err == nil {
		err = addErr
	}
	if closeErr := rows.close(); err == nil {
		err = closeErr
	}
	return err
}

// look learns what the store has.
func (l *loader) look(s *storeCall) error {
	if !s.Bool("merge") {
		empty, err := isEmpty(l.ctx, l.Store)
		if err == nil && !empty {
			err = withHint(exitWith(exitRefused, s.fail(errors.New("the store is not empty"))), "--merge adds to what it has")
		}
		return err
	}
	err := l.Replay(l.ctx, func(r *store.Record) error {
		l.note(r)
		return nil
	})
	if err != nil {
		return err
	}
	return l.Extras(l.ctx, "", func(key string, value []byte) error {
		l.extras[key] = struct{}{}
		if key == store.NumberKey {
			l.raiseNumber(value)
		}
		return nil
	})
}

// note remembers that the store has r.
func (l *loader) note(r *store.Record) {
	l.seqs[r.Seq] = digestOf(r.Function, r.Unique, string(r.Payload))
	if coalesces(r) {
		l.uniques[digestOf(r.Function, r.Unique)] = struct{}{}
	}
	l.last = max(l.last, r.Seq)
}

// raiseNumber notes the number of a [store.NumberKey] extra, and reports whether
// it is higher than the one in the store. A value that is no number is not.
func (l *loader) raiseNumber(value []byte) bool {
	n, err := store.ParseNumber(value)
	if err != nil || n <= l.highest {
		return false
	}
	l.highest = n
	l.last = max(l.last, n) // jobs without a number come after it
	return true
}

// coalesces reports whether no other job may have r's function and unique.
func coalesces(r *store.Record) bool { return r.Unique != "" && r.Unique != "-" }

// digest stands for bytes of any length.
type digest [16]byte

func digestOf(parts ...string) digest {
	h := sha256.New()
	for _, p := range parts {
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(p))))
		io.WriteString(h, p)
	}
	return digest(h.Sum(nil))
}

// read loads all lines. Its error says which line is to blame.
func (l *loader) read(r io.Reader) error {
	in := bufio.NewReaderSize(r, 256<<10)
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return fmt.Errorf("read dump: %w", err)
		}
		if len(bytes.TrimSpace(line)) > 0 {
			if err := l.line(line); err != nil {
				return errors.Join(fmt.Errorf("line %d: %w", n, err), l.flush())
			}
		}
		if err == io.EOF {
			return l.flush()
		}
		if err := l.ctx.Err(); err != nil {
			return err
		}
	}
}

func (l *loader) line(text []byte) error {
	var line dumpLine
	if err := json.Unmarshal(text, &line); err != nil {
		return err
	}
	if line.End {
		return l.end(&line)
	}
	l.whole = false
	op, err := line.op()
	if err != nil {
		return err
	}
	if op.Kind == store.Put {
		l.since.Extras++
		_, there := l.extras[op.Key]
		if op.Key == store.NumberKey && l.raiseNumber(op.Value) {
			there = false
		}
		if there {
			return nil
		}
		l.extras[op.Key] = struct{}{}
		l.total.Extras++
		return l.add(op, len(op.Value))
	}
	l.since.Jobs++
	r := op.Record
	if most := l.Caps().MaxPayload; most > 0 && len(r.Payload) > most {
		return fmt.Errorf("payload of %d bytes: the store takes %d at most", len(r.Payload), most)
	}
	if !l.number(r) {
		return nil
	}
	l.note(r)
	l.total.Jobs++
	return l.add(op, len(r.Payload))
}

// number gives r a number, if it has none or one that is taken. It returns
// false if r is not to be added.
func (l *loader) number(r *store.Record) bool {
	if other, taken := l.seqs[r.Seq]; taken && r.Seq != 0 && other == digestOf(r.Function, r.Unique, string(r.Payload)) {
		l.total.There++
		return false
	}
	if _, waits := l.uniques[digestOf(r.Function, r.Unique)]; waits && coalesces(r) {
		l.total.Joined++
		return false
	}
	if r.Seq == 0 {
		r.Seq = l.last + 1
	}
	for {
		if _, taken := l.seqs[r.Seq]; !taken {
			return true
		}
		r.Seq++
	}
}

// end checks the counts of a last line. More lines may follow: dumps can be
// put one behind the other.
func (l *loader) end(line *dumpLine) error {
	if line.Jobs == nil || line.Extras == nil || *line.Jobs != l.since.Jobs || *line.Extras != l.since.Extras {
		return fmt.Errorf("the end does not count the %d jobs and %d extras before it: the dump is not whole", l.since.Jobs, l.since.Extras)
	}
	l.whole, l.since = true, loaded{}
	return nil
}

// add puts op into the next batch.
func (l *loader) add(op store.Op, size int) error {
	l.batch = append(l.batch, op)
	if l.bytes += size; len(l.batch) < loadOps && l.bytes < loadBytes {
		return nil
	}
	return l.flush()
}

func (l *loader) flush() error {
	if len(l.batch) == 0 {
		return nil
	}
	batch := l.batch
	l.batch, l.bytes = nil, 0
	return l.Commit(l.ctx, batch)
}
