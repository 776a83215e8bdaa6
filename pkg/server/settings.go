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

// functionKey begins the keys of what an administrator has set for functions,
// except their policies.
const functionKey = "function/"

// settings is what an administrator has set for a function, as a store keeps
// it.
type settings struct {
	Created bool `json:"created,omitempty"`
	Paused  bool `json:"paused,omitempty"`
	// Limits are those of high, normal and low submissions, 0 for none.
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

// parseFunctionExtra returns what functionExtra was called with.
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

// changeSettings changes the settings of a function and has them stored. The lock
// is held.
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

// restoreSettings sets what the store has kept of a function. The lock is held.
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
	s.q.SetLimits(function, one.Limits) // makes it known
	if one.Created {
		s.q.Create(function)
	}
	if err := s.q.Pause(s.readTime(), function, one.Paused); err != nil {
		return fmt.Errorf("extra %q: %w", key, err)
	}
	s.note(slog.LevelInfo, "settings", slog.String("function", string(function)),
		slog.Bool("paused", one.Paused), slog.Any("limits", one.Limits))
	return nil
}

// errSettingsUnread refuses a change of what the store may still bring.
func (s *Server) errSettingsUnread() error {
	if s.loading && !s.extrasRead {
		return errLoading
	}
	return nil
}

// pause pauses or resumes a function. The lock is held.
func (s *Server) pause(now int64, function []byte, paused bool) error {
	if err := s.errSettingsUnread(); err != nil {
		return err
	}
	err := s.q.Pause(now, function, paused)
	switch {
	case err == nil:
		s.changeSettings(function, func(one *settings) { one.Paused = paused })
	case s.loading && errors.Is(err, queue.ErrNoFunction):
		return errLoading // its jobs may not be read yet
	}
	return err
}

// drop forgets a function with everything that is set for it. The lock is held.
func (s *Server) drop(function []byte) error {
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
