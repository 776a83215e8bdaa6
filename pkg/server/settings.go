package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"gm/pkg/queue"
)

// functionKey is the prefix of the keys of the settings of functions, except their
// policies, in a store.
const functionKey = "function/"

// settings are the settings of a function by an administrator, as a store keeps
// them.
type settings struct {
	Created bool `json:"created,omitempty"`
	Paused  bool `json:"paused,omitempty"`
	// Limits are for submissions of high, normal and low priority; 0 means no limit.
	Limits [3]int `json:"limits,omitzero"`
}

// maxHexKey is the longest key that has the name of a function in hexadecimal.
// Stores take keys of 200 bytes.
const maxHexKey = 200

// functionExtra returns an extra of a function. Its key ends in the name in
// hexadecimal or, if that is too long for a key, in a digest of it. Then the
// name stands behind the text, and a line end.
func functionExtra(prefix string, function []byte, text string) (key string, value []byte) {
	value = []byte(text)
	if len(prefix)+hex.EncodedLen(len(function)) <= maxHexKey {
		return prefix + hex.EncodeToString(function), value
	}
	digest := sha256.Sum256(function)
	return prefix + "sha256-" + hex.EncodeToString(digest[:]), append(append(value, '\n'), function...)
}

// parseFunctionExtra returns the arguments of the functionExtra that made the extra.
func parseFunctionExtra(prefix, key string, value []byte) (function []byte, text string, err error) {
	line, name, isDigest := bytes.Cut(value, []byte{'\n'})
	if isDigest {
		return name, string(line), nil
	}
	function, err = hex.DecodeString(strings.TrimPrefix(key, prefix))
	if err != nil {
		return nil, "", fmt.Errorf("extra %q: %w", key, err)
	}
	return function, string(value), nil
}

// changeSettings changes the settings of a function and stores them. The lock is held.
func (s *Server) changeSettings(function []byte, change func(one *settings)) {
	before := s.settings[string(function)]
	one := before
	if change(&one); one == before {
		return
	}
	key, value := functionExtra(functionKey, function, one.encode())
	if one == (settings{}) {
		delete(s.settings, string(function))
		if s.commit != nil {
			s.commit.delete(key)
		}
		return
	}
	s.settings[string(function)] = one
	if s.commit != nil {
		s.commit.put(key, value)
	}
}

func (one settings) encode() string {
	line, err := json.Marshal(one)
	if err != nil { // it is a plain struct
		panic(err)
	}
	return string(line)
}

// restoreSettings sets the settings of a function from the store. The lock is held.
func (s *Server) restoreSettings(key string, value []byte) error {
	function, text, err := parseFunctionExtra(functionKey, key, value)
	if err != nil {
		return err
	}
	var one settings
	if err := json.Unmarshal([]byte(text), &one); err != nil {
		return fmt.Errorf("extra %q: %w", key, err)
	}
	if err := checkFunction(function); err != nil {
		return fmt.Errorf("extra %q: %w", key, err)
	}
	s.settings[string(function)] = one
	s.q.SetLimits(function, one.Limits) // creates the function
	if one.Created {
		s.q.Create(function)
	}
	if err := s.q.Pause(s.readTime(), function, one.Paused); err != nil {
		return fmt.Errorf("extra %q: %w", key, err)
	}
	s.logAfterTurn(slog.LevelInfo, "settings", slog.String("function", string(function)),
		slog.Bool("paused", one.Paused), slog.Any("limits", one.Limits))
	return nil
}

// errSettingsUnread returns ErrLoading while settings may still be read from the store.
func (s *Server) errSettingsUnread() error {
	if s.loading && !s.extrasRead {
		return ErrLoading
	}
	return nil
}

// pauseFunction pauses or resumes a function. The lock is held.
func (s *Server) pauseFunction(now int64, function []byte, paused bool) error {
	if err := s.errSettingsUnread(); err != nil {
		return err
	}
	err := s.q.Pause(now, function, paused)
	switch {
	case err == nil:
		s.changeSettings(function, func(one *settings) { one.Paused = paused })
	case s.loading && errors.Is(err, queue.ErrNoFunction):
		return ErrLoading // its jobs may not be read yet
	}
	return err
}

// createFunction makes a function known. The lock is held.
func (s *Server) createFunction(function []byte) error {
	if err := checkFunction(function); err != nil {
		return err
	}
	if err := s.errSettingsUnread(); err != nil {
		return err
	}
	s.q.Create(function)
	s.changeSettings(function, func(one *settings) { one.Created = true })
	return nil
}

// limitFunction limits the jobs of a function: of high, normal and low submissions,
// 0 for no limit. The lock is held.
func (s *Server) limitFunction(function []byte, limits [3]int) error {
	if err := checkFunction(function); err != nil {
		return err
	}
	if err := s.errSettingsUnread(); err != nil {
		return err
	}
	s.q.SetLimits(function, limits)
	s.changeSettings(function, func(one *settings) { one.Limits = limits })
	return nil
}

// purgeTask drops the jobs of a function that wait or are delayed now. The lock is
// held.
func (s *Server) purgeTask(function []byte) (*task, error) {
	switch {
	case s.loading:
		return nil, ErrLoading
	case s.q.Function(function) == nil:
		return nil, queue.ErrNoFunction
	}
	step, total := s.purgeStep(function)
	return &task{step: step, end: func() (int, error) { return *total, nil }}, nil
}

// dropTask forgets a function without workers and running jobs, and drops its
// waiting jobs first, as gearmand does. The lock is held.
func (s *Server) dropTask(function []byte) (*task, error) {
	if s.loading {
		return nil, ErrLoading
	}
	if err := s.q.Idle(function); err != nil {
		return nil, err
	}
	function = bytes.Clone(function)
	purge, total := s.purgeStep(function)
	return &task{
		step: func(now int64, most int) bool { return s.q.Idle(function) == nil && purge(now, most) },
		end:  func() (int, error) { return *total, s.dropFunction(function) },
	}, nil
}

// purgeStep returns the step of a task that drops the jobs of a function that wait
// or are delayed now, and the number of the dropped jobs. The lock is held.
func (s *Server) purgeStep(function []byte) (step func(now int64, most int) (more bool), total *int) {
	function, total = bytes.Clone(function), new(int)
	last := s.q.LastSeq()
	return func(now int64, most int) bool {
		for b := newBudget(most); ; {
			n, err := s.q.Purge(now, function, last, clockInterval)
			*total += n
			if err != nil || n < clockInterval {
				return false
			}
			if !b.spend(n) {
				return true
			}
		}
	}, total
}

// dropFunction forgets a function with everything that is set for it. The lock is held.
func (s *Server) dropFunction(function []byte) error {
	hadPolicy := s.hasPolicy(function)
	if err := s.q.Drop(function); err != nil {
		return err
	}
	s.changeSettings(function, func(one *settings) { *one = settings{} })
	if hadPolicy && s.commit != nil {
		key, _ := functionExtra(policyKey, function, "")
		s.commit.delete(key)
	}
	return nil
}

// hasPolicy reports whether a function has a policy. The lock is held.
func (s *Server) hasPolicy(function []byte) bool {
	f := s.q.Function(function)
	return f != nil && f.Policy() != nil
}
