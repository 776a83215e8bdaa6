package server

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"gm/pkg/queue"
)

// Waits of a policy that names none.
const (
	defaultMinWait = time.Second
	defaultMaxWait = 5 * time.Minute
)

// ParsePolicy parses a policy for jobs that fail: RETRIES,
// RETRIES,WAIT or RETRIES,MIN..MAX, as in 3,1s..5m. RETRIES is -1 for no end.
// The wait doubles from MIN to MAX; without one it is 1s..5m.
func ParsePolicy(s string) (queue.Policy, error) {
	bad := func(what string) (queue.Policy, error) {
		return queue.Policy{}, fmt.Errorf("policy %q: %s; it is RETRIES or RETRIES,MIN..MAX, as in 3,1s..5m", s, what)
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
		least, err1 = ParseDuration(from)
		most, err2 = ParseDuration(to)
		if err1 != nil || err2 != nil || least < 0 || most < least {
			return bad("no range of waits")
		}
	}
	return queue.Policy{Retries: retries, Min: least.Milliseconds(), Max: most.Milliseconds()}, nil
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
func checkPolicy(p *queue.Policy) error {
	switch {
	case p == nil:
		return nil
	case p.Retries < -1:
		return fmt.Errorf("retries %d: the least is -1, for no limit", p.Retries)
	case p.Min < 0 || p.Max < p.Min:
		return fmt.Errorf("waits from %d ms to %d ms are no range", p.Min, p.Max)
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
	s.q.SetPolicy(function, &p)
	s.note(slog.LevelInfo, "policy", slog.String("function", string(function)), slog.String("policy", p.String()))
	return nil
}

// ReplacePolicies sets the policies of now in the place of those of before, both by
// function, as a changed Config.Policies would. A policy that the admin command
// policy or SetPolicy has set has precedence: the policy of a function stays unless
// it is the one in before.
func (s *Server) ReplacePolicies(before, now map[string]queue.Policy) {
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
		case had && (cur == nil || *cur != old), !had && cur != nil:
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
		replace(function, &p)
	}
}
