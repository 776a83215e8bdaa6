package queue

// troubleCall runs the calls about dead jobs, memory and loading, and reports
// whether verb is one.
func (s *script) troubleCall(verb string, args []string) bool {
	switch verb {
	case "policy":
		var p *Policy
		if len(args) > 1 {
			p = &Policy{Retries: int(s.int(args[1])), Min: s.int(args[2]), Max: s.int(args[3])}
		}
		s.q.SetPolicy([]byte(args[0]), p)
	case "loading":
		s.q.SetLoading(s.now)
	case "loaded":
		for s.q.EndLoading(s.now, 1) {
		}
	case "wanted":
		s.q.Wanted(int(s.int(args[0])), func(j *Job) bool {
			s.sayJob(j)
			return true
		})
	case "totals":
		t := s.q.Totals()
		s.say("%d jobs, %d dead, %d spilled, %d bytes", t.Jobs, t.Dead, t.Spilled, t.Bytes)
	case "dead", "deadnumbers":
		function := ""
		if len(args) > 0 {
			function = args[0]
		}
		s.q.DeadLetters(function, func(d *DeadLetter) bool {
			if verb == "deadnumbers" {
				s.say("%d", d.Record.Seq)
				return true
			}
			s.say("%d %v, attempts %d, %d-%d, %q %q of %d", d.Record.Seq, d.Reason, d.Attempts(), d.Started, d.Died,
				d.Error, d.Record.Payload, d.Size)
			return true
		})
	case "restoredead":
		d := &DeadLetter{Record: *s.record(args[0], s.submission(append(args[1:2:2], args[3:]...))), Died: s.int(args[2]), Reason: Failed}
		d.Size, s.size = s.size, 0
		d.Spilled = d.Size > 0
		s.dead[args[0]] = d
		s.sayError(s.q.RestoreDeadLetter(s.now, d))
	case "isdead", "retrydead", "dropdead", "releasedead":
		s.deadCall(verb, s.dead[args[0]], args)
	default:
		return false
	}
	return true
}

func (s *script) deadCall(verb string, d *DeadLetter, args []string) {
	if d == nil {
		s.t.Fatalf("no dead job %s", args[0])
	}
	switch verb {
	case "isdead":
		s.say("%v", s.q.LookupDeadLetter([]byte("H:h:"+args[0])) == d)
	case "dropdead":
		s.q.DropDeadLetter(d)
	case "releasedead":
		s.q.ReleaseDeadLetter(d)
	case "retrydead":
		got, err := s.q.RetryDeadLetter(s.now, d, len(args) > 1)
		switch {
		case err != nil:
			s.sayError(err)
		case got.Fresh:
			s.say("%d again", got.Job.Seq())
			s.jobs[args[0]] = got.Job
		case got.Promoted:
			s.say("joins %d and makes it background", got.Job.Seq())
		default:
			s.say("joins %d", got.Job.Seq())
		}
	}
}
