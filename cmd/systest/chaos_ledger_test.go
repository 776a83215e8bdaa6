package systest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gm/pkg/wire"
)

// stream is the jobs of one submitter: they have one function and are numbered from 0.
// The number determines everything in a job, so that it can be checked.
type stream struct {
	name     string
	function string
	submit   func(n int) wire.Type
	unique   func(n int) string
	maxSize  int           // of a payload
	window   int           // submissions on their way at a time
	perLife  int           // submissions in one life of the server
	pace     time.Duration // between windows

	ordered bool // a single worker gets them, so that it sees their order
	shared  bool // a unique comes again: jobs are known by their handles
	delayed bool // SUBMIT_JOB_EPOCH
}

func always(t wire.Type) func(int) wire.Type { return func(int) wire.Type { return t } }

var bgByPriority = [...]wire.Type{wire.SubmitJobHighBG, wire.SubmitJobBG, wire.SubmitJobLowBG}

// chaosStreams returns one stream of each sort.
func chaosStreams() []*stream {
	shared := func(n int) string { return "shared " + strconv.Itoa(n%40) }
	return []*stream{
		{
			name: "plain", function: "plain", maxSize: 200, window: 64, perLife: 4000, ordered: true,
			submit: always(wire.SubmitJobBG),
			unique: func(n int) string { return []string{"", "-"}[n%2] },
		},
		{
			name: "unique", function: "unique", maxSize: 200, window: 32, perLife: 2000, ordered: true,
			submit: func(n int) wire.Type { return bgByPriority[n%7%3] },
			unique: func(n int) string { return fmt.Sprintf("it's \"%d\" \\ ü%%s", n) },
		},
		{
			name: "alone", function: "alone", maxSize: 20, window: 1, perLife: 1000, ordered: true,
			submit: always(wire.SubmitJobBG),
			unique: func(n int) string { return strings.Repeat("long ", 20) + strconv.Itoa(n) },
		},
		{name: "shared1", function: "shared", maxSize: 100, window: 16, perLife: 1000, shared: true, submit: always(wire.SubmitJobBG), unique: shared},
		{name: "shared2", function: "shared", maxSize: 100, window: 16, perLife: 1000, shared: true, submit: always(wire.SubmitJobBG), unique: shared},
		{
			name: "delayed", function: "delayed", maxSize: 100, window: 8, perLife: 300, delayed: true,
			submit: always(wire.SubmitJobEpoch),
			unique: func(n int) string { return []string{"", strconv.Itoa(n)}[n%2] },
		},
		{
			name: "large", function: "large", maxSize: 20_000, window: 8, perLife: 300,
			submit: always(wire.SubmitJobBG),
			unique: func(n int) string { return "large" + strconv.Itoa(n) },
		},
	}
}

// payload returns the payload of job n: its name, and bytes of all kinds.
func (st *stream) payload(n int) []byte {
	b := fmt.Appendf(nil, "%s %d ", st.name, n)
	random := rand.New(rand.NewPCG(uint64(n), uint64(len(st.name))))
	for range random.IntN(st.maxSize) {
		b = append(b, "\x00'\"\\\n\xff%;ab"[random.IntN(10)])
	}
	return b
}

// ledger records the state of all jobs, and the violations of the rules:
//
//   - an acknowledged job comes out; a refused one does not;
//   - a job comes out as it was submitted, and keeps its handle;
//   - the jobs of a stream and a priority come out in order. After a kill the jobs
//     that a worker had come out again, in their places;
//   - no job comes out before its time;
//   - a job comes out again only if the server was killed while a worker had it, or a
//     worker left with it, or if the kill came less than forgetting after its end:
//     the end of a background job is stored with one of the next batches, and no
//     reply reports that it is durable.
type ledger struct {
	mu       sync.Mutex
	streams  []*stream
	byName   map[string]int
	entries  [][]entry          // by stream and number
	order    []lastNumbers      // by stream
	handles  map[string]*coming // of shared streams
	kills    map[int]time.Time  // by life; not those that have ended well
	draining bool
	wrong    []string
	nWrong   int
	sum      figures
	per      []streamFigures
}

// forgetting is how long the end of a job may take to be durable, on a machine
// that does much else.
const forgetting = 3 * time.Second

// entry is the state of one job.
type entry struct {
	status jobStatus
	left   bool   // its worker has left with it
	times  int16  // it came out
	life   int16  // in which it did so last
	number uint64 // of its handle
	ended  int64  // when its last result was sent, in Unix microseconds
	due    int64  // Unix time in seconds
}

type jobStatus uint8

const (
	onItsWay jobStatus = iota
	acknowledged
	refused
)

// lastNumbers are the numbers of the jobs of a stream that came out last in a
// life, by the type of their submission.
type lastNumbers struct {
	life int
	by   map[wire.Type]int
}

// coming is the state of the handle of a job of a shared stream.
type coming struct{ acknowledged, came bool }

type streamFigures struct{ acked, came int }

// figures sum up a ledger.
type figures struct {
	kills, stops   int
	submitted      int
	acked, refused int
	came           int           // jobs came out, each time
	again          int           // of them, because a worker had them at a kill, or has left with them
	twice          int           // of them, though they had ended, a moment before a kill
	longest        time.Duration // that moment

	life        int // in which something was last heard
	ackedInLife int
}

func (f *figures) ackedIn(life int) int {
	if f.life != life {
		return 0
	}
	return f.ackedInLife
}

func newLedger(streams []*stream) *ledger {
	l := &ledger{
		streams: streams, byName: map[string]int{},
		entries: make([][]entry, len(streams)), order: make([]lastNumbers, len(streams)),
		handles: map[string]*coming{}, kills: map[int]time.Time{}, per: make([]streamFigures, len(streams)),
	}
	for i, st := range streams {
		l.byName[st.name] = i
	}
	return l
}

// fail notes that something went against the rules. The lock is held.
func (l *ledger) fail(format string, args ...any) {
	if l.nWrong++; l.nWrong <= 20 {
		l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
	}
}

// submitted returns the number of the stream's next job.
func (l *ledger) submitted(st *stream) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := l.byName[st.name]
	e := entry{}
	if st.delayed {
		e.due = time.Now().Unix() + 1 + int64(len(l.entries[i])%2)
	}
	l.entries[i] = append(l.entries[i], e)
	l.sum.submitted++
	return len(l.entries[i]) - 1
}

// due returns when a delayed job may come out, in Unix seconds.
func (l *ledger) due(st *stream, n int) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.entries[l.byName[st.name]][n].due
}

// answered takes the answer to a submission in the server's given life: a
// handle, or none if it was refused.
func (l *ledger) answered(life int, st *stream, n int, handle string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.enter(life)
	i := l.byName[st.name]
	e := &l.entries[i][n]
	if handle == "" {
		e.status = refused
		l.sum.refused++
		if e.times > 0 && !st.shared {
			l.fail("%s %d came out and was then refused", st.name, n)
		}
		return
	}
	e.status = acknowledged
	l.sum.acked++
	if life == l.sum.life {
		l.sum.ackedInLife++
	}
	l.per[i].acked++
	if st.shared {
		l.coming(handle).acknowledged = true
		return
	}
	l.number(st, n, e, handle)
}

// enter notes that something has happened in a life. The lock is held.
func (l *ledger) enter(life int) {
	if life > l.sum.life {
		l.sum.life, l.sum.ackedInLife = life, 0
	}
}

func (l *ledger) coming(handle string) *coming {
	c := l.handles[handle]
	if c == nil {
		c = &coming{}
		l.handles[handle] = c
	}
	return c
}

// number compares the handle with the earlier one. The lock is held.
func (l *ledger) number(st *stream, n int, e *entry, handle string) {
	_, text, _ := strings.Cut(strings.TrimPrefix(handle, "H:"), ":")
	number, err := strconv.ParseUint(text, 10, 64)
	switch {
	case err != nil:
		l.fail("%s %d has the handle %q", st.name, n, handle)
	case e.number == 0:
		e.number = number
	case e.number != number:
		l.fail("%s %d has the handle %q, but had the number %d before", st.name, n, handle, e.number)
	}
}

// jobID is a job's place in the ledger.
type jobID struct{ stream, n int }

// came takes a job that came out in a life of the server.
func (l *ledger) came(life int, handle, unique string, payload []byte) (id jobID, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.enter(life)
	fields := bytes.SplitN(payload, []byte(" "), 3)
	i, known := -1, false
	if len(fields) == 3 {
		i, known = l.byName[string(fields[0])]
	}
	if !known {
		l.fail("a job with the payload %.40q came out, which nobody has submitted", payload)
		return jobID{}, false
	}
	st := l.streams[i]
	n, err := strconv.Atoi(string(fields[1]))
	if err != nil || n < 0 || n >= len(l.entries[i]) || !bytes.Equal(payload, st.payload(n)) {
		l.fail("a job with the payload %.40q came out, which %s has not submitted", payload, st.name)
		return jobID{}, false
	}
	if want := st.unique(n); unique != want {
		l.fail("%s %d came out with the unique %q, want %q", st.name, n, unique, want)
	}
	e := &l.entries[i][n]
	l.sum.came++
	if l.per[i].came++; st.shared {
		l.coming(handle).came = true
	}
	if !st.shared || e.number != 0 {
		l.number(st, n, e, handle)
	}
	if e.status == refused {
		l.fail("%s %d came out in life %d though it was refused", st.name, n, life)
	}
	if now := time.Now(); now.Unix() < e.due {
		l.fail("%s %d came out %v before its time", st.name, n, time.Unix(e.due, 0).Sub(now))
	}
	if st.ordered {
		l.inOrder(life, i, n)
	}
	if e.times > 0 {
		l.cameAgain(life, st, n, e)
	}
	e.times++
	e.life, e.left, e.ended = int16(life), false, 0
	return jobID{i, n}, true
}

// inOrder compares n with the last number of its stream and priority. The lock
// is held.
func (l *ledger) inOrder(life, i, n int) {
	o := &l.order[i]
	if o.life != life {
		*o = lastNumbers{life, map[wire.Type]int{}}
	}
	t := l.streams[i].submit(n)
	if last, ok := o.by[t]; ok && n <= last {
		l.fail("%s %d (%v) came out after %d in life %d", l.streams[i].name, n, t, last, life)
	}
	o.by[t] = n
}

// cameAgain asks why a job came out once more. The lock is held.
func (l *ledger) cameAgain(life int, st *stream, n int, e *entry) {
	killed, wasKilled := l.kills[int(e.life)]
	ended := time.UnixMicro(e.ended)
	switch {
	case e.left:
		l.sum.again++
	case int(e.life) == life:
		l.fail("%s %d came out twice in life %d", st.name, n, life)
	case !wasKilled:
		l.fail("%s %d came out in life %d and again in life %d, but the server was not killed between them", st.name, n, e.life, life)
	case e.ended == 0:
		l.sum.again++
	case killed.Sub(ended) > forgetting:
		l.fail("%s %d came out again in life %d though it had ended %v before the kill", st.name, n, life, killed.Sub(ended))
	default:
		l.sum.twice++
		l.sum.longest = max(l.sum.longest, killed.Sub(ended))
	}
}

// endedJobs notes that the results of jobs were sent.
func (l *ledger) endedJobs(ids []jobID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now().UnixMicro()
	for _, id := range ids {
		l.entries[id.stream][id.n].ended = now
	}
}

// leftJobs notes that the worker of jobs leaves without results.
func (l *ledger) leftJobs(ids []jobID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		l.entries[id.stream][id.n].left = true
	}
}

// ended notes that a life has ended, and whether it has ended well.
func (l *ledger) ended(life int, when time.Time, well bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if well {
		l.sum.stops++
		return
	}
	l.sum.kills++
	l.kills[life] = when
}

// drainAll lets the workers do all that is left.
func (l *ledger) drainAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.draining = true
}

// behind reports whether workers may take jobs of a function: until the end they leave
// half of the acknowledged jobs.
func (l *ledger) behind(function string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	var f streamFigures
	for i, st := range l.streams {
		if st.function == function {
			f.acked += l.per[i].acked
			f.came += l.per[i].came
		}
	}
	return l.draining || 2*f.came < f.acked
}

func (l *ledger) figures() *figures {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.sum
	return &f
}

// missing returns how many acknowledged jobs have not come out.
func (l *ledger) missing() int { return len(l.missingJobs()) }

func (l *ledger) missingJobs() (missing []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, st := range l.streams {
		if st.shared {
			continue
		}
		for n, e := range l.entries[i] {
			if e.status == acknowledged && e.times == 0 {
				missing = append(missing, fmt.Sprintf("%s %d", st.name, n))
			}
		}
	}
	for handle, c := range l.handles {
		if c.acknowledged && !c.came {
			missing = append(missing, "shared "+handle)
		}
	}
	return missing
}

// report logs the figures, and fails the test if there are violations.
func (l *ledger) report(t *testing.T) {
	t.Helper()
	missing := l.missingJobs()
	l.mu.Lock()
	defer l.mu.Unlock()
	f := &l.sum
	t.Logf("%s: kills %d, stops %d, submitted %d, acknowledged %d, refused %d, came out %d, lost %d; again from a worker's hands %d, again after their end %d (at most %v before the kill)",
		t.Name(), f.kills, f.stops, f.submitted, f.acked, f.refused, f.came, len(missing), f.again, f.twice, f.longest.Round(100*time.Microsecond))
	if len(missing) > 0 {
		slices.Sort(missing)
		t.Errorf("%d acknowledged jobs are lost: %q", len(missing), missing[:min(20, len(missing))])
	}
	for _, text := range l.wrong {
		t.Error(text)
	}
	if l.nWrong > len(l.wrong) {
		t.Errorf("and %d more", l.nWrong-len(l.wrong))
	}
}
