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

// ParsePolicy parses what is to become of jobs that fail: RETRIES,
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

// policyKey begins the keys of policies in a store; the function's name in
// hexadecimal follows.
const policyKey = "policy/"

// adminPolicy answers a function's policy, or sets it.
func (c *conn) adminPolicy(_ int64, args [][]byte) []byte {
	q := c.s.q
	if len(args) == 1 {
		f := q.Function(args[0])
		if f == nil {
			return okOrErr(queue.ErrNoFunction)
		}
		if p := f.Policy(); p != nil {
			return fmt.Appendf(nil, "OK %s\r\n", p)
		}
		return []byte("OK -\r\n")
	}
	if err := checkFunction(args[0]); err != nil {
		return okOrErr(err)
	}
	if c.s.loading {
		return okOrErr(errLoading) // what is read would take its place
	}
	var policy *queue.Policy
	if value := string(args[1]); value != "-" {
		p, err := ParsePolicy(value)
		if err != nil {
			return okOrErr(err)
		}
		policy = &p
	}
	q.SetPolicy(args[0], policy)
	if c.s.commit != nil {
		text := "-"
		if policy != nil {
			text = policy.String()
		}
		c.s.commit.put(functionExtra(policyKey, args[0], text))
	}
	return okOrErr(nil)
}

// restorePolicy sets a policy that the store has kept. The lock is held.
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
// function, as a changed Config.Policies would. What the admin command policy has
// set goes before both: the policy of a function stays unless it is that of before.
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
