package queue

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"gm/pkg/store"
	"gm/pkg/wire"
)

// A script shows a rule: one call per line, and after "=>" its results and the
// calls of the sink, in their order, separated by "; ". A line without "=>"
// must do neither. Peers are single capitals, jobs are their numbers, time
// begins at 1000.
//
//	at T                     Tick at T
//	wall T                   SetClocks
//	P can F [TIMEOUT]        CanDo
//	P cannot F, P reset      CantDo, ResetAbilities
//	P sleep, P grab, P gone  PreSleep, Grab, Remove
//	P submit F [high|low] [bg] [hold] [unique=U] [payload=X] [reduce=R] [at=T]
//	restore N F [size=S] [failures=A] [losses=A] ...
//	                         Restore, or RestoreHead
//	release N, abort N, complete N, fail N, giveback N, cancel N
//	note N TEXT..., failforgood N
//	                         Note, FailForGood
//	status N NUM DEN         SetStatus
//	show N                   state, attempts, status, waiters
//	policy F [R MIN MAX]     SetPolicy
//	trouble N                state, attempts, RunAt, Note
//	dead [F]                 Dead: N reason, attempts, times, error, payload
//	deadnumbers [F]          Dead: N
//	isdead N                 whether LookupDeadLetter finds it
//	restoredead N F DIED [...]
//	                         RestoreDeadLetter
//	retrydead N [hold]       RetryDeadLetter
//	dropdead N, releasedead N DropDeadLetter, ReleaseDeadLetter
//	load N PAYLOAD           Loaded
//	wanted MAX, totals       Wanted, Totals
//	payload N                payload, size, spilled
//	loading, loaded          SetLoading
//	pause F, resume F, purge F, create F, drop F, limit F HIGH NORMAL LOW
//	functions                name high/normal/low delayed running workers sleeping
//	unique U                 ByUnique
//	next, rouse              Next, Rouse
type script struct {
	t     *testing.T
	q     *Queue
	now   int64
	peers map[string]*Peer
	jobs  map[string]*Job
	dead  map[string]*DeadLetter
	size  int    // of the head that is restored
	tried [2]int // failures and losses of the record that is restored
	out   []string

	events []string // that the call has caused
}

// runScript runs a script. It calls endTurn after each call.
func runScript(t *testing.T, cfg Config, text string, endTurn func(*Queue)) {
	s := &script{t: t, now: 1000, peers: make(map[string]*Peer), jobs: make(map[string]*Job), dead: make(map[string]*DeadLetter)}
	cfg.Host = "h"
	s.q = New(cfg, s)
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		call, want, _ := strings.Cut(line, "=>")
		s.out, s.events = nil, nil
		s.call(strings.Fields(call))
		endTurn(s.q)
		if got := strings.Join(append(s.events, s.out...), "; "); got != strings.TrimSpace(want) {
			t.Fatalf("line %d: %s\n got: %s\nwant: %s", i, line, got, strings.TrimSpace(want))
		}
	}
}

func (s *script) say(format string, args ...any) { s.out = append(s.out, fmt.Sprintf(format, args...)) }

func (s *script) event(format string, args ...any) {
	s.events = append(s.events, fmt.Sprintf(format, args...))
}

func (s *script) Wake(p *Peer) { s.event("wake %v", p.Owner) }

func (s *script) Requeued(j *Job, p *Peer, why Reason) {
	s.event("%d requeued from %v: %v", j.Seq(), p.Owner, why)
}

func (s *script) Ended(j *Job, why Reason) {
	s.event("%d %v%s", j.Seq(), why, s.waiters(j))
}

func (s *script) DeadRetained(d *DeadLetter, j *Job) {
	if d.Record.Seq != j.Seq() || d.Handle() != j.Handle() || d.Function() != j.Function() {
		s.t.Fatalf("job %d is retained as %d", j.Seq(), d.Record.Seq)
	}
	s.dead[fmt.Sprint(j.Seq())] = d
	s.event("%d retained", j.Seq())
}

func (s *script) DeadDropped(d *DeadLetter) { s.event("%d dropped", d.Record.Seq) }

func (s *script) Withholding(on bool) { s.event("withholding %v", on) }

func (s *script) waiters(j *Job) (to string) {
	for p := range j.Waiters {
		to += fmt.Sprintf(" %v", p.Owner)
	}
	return to
}

func (s *script) peer(name string) *Peer {
	if s.peers[name] == nil {
		s.peers[name] = s.q.NewPeer(name)
	}
	return s.peers[name]
}

func (s *script) call(words []string) {
	if words[0] == strings.ToUpper(words[0]) {
		s.peerCall(words[0], s.peer(words[0]), words[1], words[2:])
		return
	}
	verb, args := words[0], words[1:]
	switch verb {
	case "at":
		s.now = s.int(args[0])
		s.q.Tick(s.now)
	case "wall":
		s.q.SetClocks(s.now, s.int(args[0]))
	case "restore":
		s.restoreJob(args)
	case "functions":
		for _, f := range s.q.Snapshot(s.now) {
			s.say("%s %d/%d/%d %d %d %d %d", f.Function, f.High, f.Normal, f.Low, f.Delayed, f.Running, f.Workers, f.Sleeping)
		}
	case "unique":
		j, _ := s.q.ByUnique([]byte(args[0]), nil, 1000)
		s.sayJob(j)
	case "next":
		at, ok := s.q.Next()
		s.say("%d %v", at, ok)
	case "rouse":
		s.q.Rouse()
	case "pause", "resume":
		s.sayError(s.q.Pause(s.now, []byte(args[0]), verb == "pause"))
	case "purge":
		n, err := s.q.Purge(s.now, []byte(args[0]), s.q.LastSeq(), 1000)
		s.say("%d", n)
		s.sayError(err)
	case "create":
		s.q.Create([]byte(args[0]))
	case "drop":
		s.sayError(s.q.Drop([]byte(args[0])))
	case "limit":
		s.q.SetLimits([]byte(args[0]), [3]int{int(s.int(args[1])), int(s.int(args[2])), int(s.int(args[3]))})
	default:
		if !s.troubleCall(verb, args) {
			s.jobCall(verb, s.job(args[0]), args[1:])
		}
	}
}

func (s *script) peerCall(name string, p *Peer, verb string, args []string) {
	switch verb {
	case "can":
		var timeout int64
		if len(args) > 1 {
			timeout = s.int(args[1])
		}
		s.q.CanDo(s.now, p, []byte(args[0]), timeout)
	case "cannot":
		s.q.CantDo(p, []byte(args[0]))
	case "reset":
		s.q.ResetAbilities(p)
	case "sleep":
		s.q.PreSleep(s.now, p)
	case "grab":
		s.sayJob(s.q.Grab(s.now, p))
	case "gone":
		for s.q.Remove(s.now, p, 1) {
		}
	case "holds":
		s.sayJob(s.q.Held(p, []byte("H:h:"+args[0])))
	case "submit":
		sub := s.submission(args)
		if !sub.Background {
			sub.Client = p
		}
		got, err := s.q.Submit(s.now, sub)
		switch {
		case err != nil:
			s.sayError(err)
			return
		case got.Fresh:
			s.say("%d", got.Job.Seq())
			s.jobs[fmt.Sprint(got.Job.Seq())] = got.Job
		case got.Promoted:
			s.say("joins %d and makes it background", got.Job.Seq())
		default:
			s.say("joins %d", got.Job.Seq())
		}
	default:
		s.t.Fatalf("%s %s: no such call", name, verb)
	}
}

func (s *script) submission(args []string) *Submission {
	sub := &Submission{Function: []byte(args[0]), Priority: wire.PriorityNormal}
	for _, arg := range args[1:] {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "high":
			sub.Priority = wire.PriorityHigh
		case "low":
			sub.Priority = wire.PriorityLow
		case "bg":
			sub.Background = true
		case "hold":
			sub.Hold = true
		case "unique":
			sub.Unique = []byte(value)
		case "payload":
			sub.Payload = []byte(value)
		case "reduce":
			sub.Reducer = []byte(value)
		case "at":
			sub.RunAt = s.int(value)
		case "size":
			s.size = int(s.int(value))
		case "failures":
			s.tried[0] = int(s.int(value))
		case "losses":
			s.tried[1] = int(s.int(value))
		default:
			s.t.Fatalf("submit: no such word: %s", arg)
		}
	}
	return sub
}

func (s *script) restoreJob(args []string) {
	s.size, s.tried = 0, [2]int{}
	r := s.record(args[0], s.submission(args[1:]))
	j, err := s.q.RestoreHead(s.now, r, s.size)
	if err != nil {
		s.sayError(err)
		return
	}
	s.jobs[args[0]] = j
}

func (s *script) record(seq string, sub *Submission) *store.Record {
	r := &store.Record{
		Seq: uint64(s.int(seq)), Function: string(sub.Function), Unique: string(sub.Unique), Reducer: string(sub.Reducer),
		Payload: sub.Payload, Priority: uint8(rankOf(sub.Priority)), RunAt: sub.RunAt, Accepted: 500,
	}
	r.SetTried(s.tried[0], s.tried[1])
	return r
}

func (s *script) jobCall(verb string, j *Job, args []string) {
	switch verb {
	case "release":
		s.q.Release(s.now, j)
	case "abort":
		s.q.Abort(s.now, j)
	case "complete":
		s.q.Complete(s.now, j)
	case "fail":
		want := j.State() == Running && s.q.Final(j)
		if ended := s.q.Fail(s.now, j); ended != want || ended && j.State() != Ended {
			s.t.Fatalf("Fail: ended is %v, Final said %v", ended, want)
		}
	case "failforgood":
		s.q.FailForGood(s.now, j)
	case "note":
		s.q.Note(j, []byte(strings.Join(args, " ")))
	case "trouble":
		s.say("%v, attempts %d, at %d, %q", j.State(), j.Attempts(), j.RunAt(), j.Note())
	case "load":
		s.q.Loaded(j, []byte(args[0]))
	case "payload":
		s.say("%q of %d, spilled %v", j.Payload(), j.Size(), j.Spilled())
	case "giveback":
		s.q.GiveBack(s.now, j)
	case "cancel":
		done := s.q.Cancel(s.now, j)
		s.say("%v", done)
	case "status":
		s.q.SetStatus(j, s.int(args[0]), s.int(args[1]))
	case "show":
		num, den := j.Status()
		text := fmt.Sprintf("%v, attempts %d, %d/%d,", j.State(), j.Attempts(), num, den)
		if j.Background() {
			text += " background,"
		}
		if j.Ignored() {
			text += " ignored,"
		}
		s.say("%s payload %q,%s", text, j.Payload(), s.waiters(j))
	default:
		s.t.Fatalf("%s: no such call", verb)
	}
}

func (s *script) sayJob(j *Job) {
	if j == nil {
		s.say("none")
		return
	}
	s.say("%d", j.Seq())
}

func (s *script) sayError(err error) {
	if err != nil {
		s.say("%v", err)
	}
}

func (s *script) job(seq string) *Job {
	j := s.jobs[seq]
	if j == nil {
		s.t.Fatalf("no job %s", seq)
	}
	return j
}

func (s *script) int(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}
