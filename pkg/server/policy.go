package server

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"gm/internal/duration"
	"gm/pkg/queue"
)

// Waits of a policy that names none.
const (
	defaultMinWait = time.Second
	defaultMaxWait = 5 * time.Minute
)

// Policy says how often and when the failed jobs of a function are retried. A job
// without retries left has failed for good.
type Policy struct {
	// Retries is the maximum number of retries of a job that its worker has failed.
	// 0 means no retry, -1 no limit. Attempts that lost their worker do not count; see
	// Config.JobRetries.
	Retries int
	// MinWait is the wait before the first retry. It doubles with each failure up to
	// MaxWait. The server picks a random time between half of the wait and all of it.
	// Parts of a millisecond do not count.
	MinWait, MaxWait time.Duration
}

// String returns the policy as ParsePolicy reads it: RETRIES,MIN..MAX, as in
// 3,1s..5m.
func (p Policy) String() string { return policyText(p.toQueue()) }

// toQueue returns the policy as the queue has it.
func (p Policy) toQueue() *queue.Policy {
	return &queue.Policy{Retries: p.Retries, Min: p.MinWait.Milliseconds(), Max: p.MaxWait.Milliseconds()}
}

// policyOfQueue returns the Policy of toQueue.
func policyOfQueue(p *queue.Policy) Policy {
	return Policy{
		Retries: p.Retries,
		MinWait: time.Duration(p.Min) * time.Millisecond,
		MaxWait: time.Duration(p.Max) * time.Millisecond,
	}
}

// ParsePolicy parses a policy for jobs that fail: RETRIES, RETRIES,WAIT or
// RETRIES,MIN..MAX, as in 3,1s..5m. RETRIES is -1 for no limit. The wait doubles from
// MIN to MAX; the default is 1s..5m.
func ParsePolicy(s string) (Policy, error) {
	bad := func(what string) (Policy, error) {
		return Policy{}, fmt.Errorf("policy %q: %s; it is RETRIES or RETRIES,MIN..MAX, as in 3,1s..5m", s, what)
	}
	count, waits, hasWaits := strings.Cut(s, ",")
	retries, err := strconv.Atoi(strings.TrimSpace(count))
	if err != nil || retries < -1 {
		return bad("no number of retries")
	}
	least, most := defaultMinWait, defaultMaxWait
	if hasWaits {
		from, to, isRange := strings.Cut(strings.TrimSpace(waits), "..")
		if !isRange {
			to = from
		}
		var err1, err2 error
		least, err1 = duration.Parse(from)
		most, err2 = duration.Parse(to)
		if err1 != nil || err2 != nil || least < 0 || most < least {
			return bad("no range of waits")
		}
	}
	return Policy{Retries: retries, MinWait: least.Truncate(time.Millisecond), MaxWait: most.Truncate(time.Millisecond)}, nil
}

// policyKey is the prefix of the keys of policies in a store; the function's name in
// hexadecimal follows.
const policyKey = "policy/"

// policyOf returns the policy of a function, nil if its jobs that fail end. The
// lock is held.
func (s *Server) policyOf(function []byte) (*queue.Policy, error) {
	f := s.q.Function(function)
	if f == nil {
		return nil, queue.ErrNoFunction
	}
	return f.Policy(), nil
}

// setPolicy sets or, with nil, removes the policy of a function, and stores it. The
// lock is held.
func (s *Server) setPolicy(function []byte, p *queue.Policy) error {
	if err := s.errPolicyFixed(function); err != nil {
		return err
	}
	s.q.SetPolicy(function, p)
	if s.commit != nil {
		s.commit.put(functionExtra(policyKey, function, policyText(p)))
	}
	return nil
}

// errPolicyFixed returns the reason why the policy of a function cannot be set, nil
// if it can. The lock is held.
func (s *Server) errPolicyFixed(function []byte) error {
	if err := checkFunction(function); err != nil {
		return err
	}
	if s.loading {
		return ErrLoading // the policy in the store would replace it
	}
	return nil
}

// policyText returns a policy as the store keeps it, so that ParsePolicy returns
// the same policy: one without waits names them.
func policyText(p *queue.Policy) string {
	switch {
	case p == nil:
		return "-"
	case p.Max == 0:
		return fmt.Sprintf("%d,0s..0s", p.Retries)
	}
	return p.String()
}

// checkPolicy returns an error for a policy that ParsePolicy would not return.
func checkPolicy(p *Policy) error {
	switch {
	case p == nil:
		return nil
	case p.Retries < -1:
		return fmt.Errorf("retries %d: must be at least -1, which means no limit", p.Retries)
	case p.MinWait < 0 || p.MaxWait < p.MinWait:
		return fmt.Errorf("waits from %v to %v: the first must be from 0 to the second", p.MinWait, p.MaxWait)
	}
	return nil
}

// restorePolicy sets a policy from the store. The lock is held.
func (s *Server) restorePolicy(key string, value []byte) error {
	function, text, err := parseFunctionExtra(policyKey, key, value)
	if err != nil {
		return err
	}
	if text == "-" {
		s.q.SetPolicy(function, nil)
		return nil
	}
	p, err := ParsePolicy(text)
	if err != nil {
		return err
	}
	s.q.SetPolicy(function, p.toQueue())
	s.logAfterTurn(slog.LevelInfo, "policy", slog.String("function", string(function)), slog.String("policy", p.String()))
	return nil
}

// ReplacePolicies sets the policies of now in the place of those of before, both by
// function, as a changed Config.Policies would. A policy that the admin command
// policy or SetPolicy has set has precedence: the policy of a function stays unless
// it is the one in before.
func (s *Server) ReplacePolicies(before, now map[string]Policy) {
	s.mu.Lock()
	defer func() { s.endTurn(nil) }()
	current := map[string]*queue.Policy{}
	for f := range s.q.Functions {
		current[f.Name()] = f.Policy()
	}
	replace := func(function string, p *queue.Policy) {
		old, had := before[function]
		cur := current[function]
		switch {
		case had && (cur == nil || *cur != *old.toQueue()), !had && cur != nil:
			return
		case cur == nil && p == nil:
			return
		}
		s.q.SetPolicy([]byte(function), p)
	}
	for function := range before {
		if _, stays := now[function]; !stays {
			replace(function, nil)
		}
	}
	for function, p := range now {
		replace(function, p.toQueue())
	}
}
