package records

import (
	"context"
	"log/slog"
)

// ServerNotes returns a logger for the options of a client of several servers. It
// calls note when a server gets no more records, and when it gets records again.
func ServerNotes(note func(text string)) *slog.Logger { return slog.New(serverNotes{note}) }

// serverNotes is the slog.Handler of ServerNotes.
type serverNotes struct{ note func(text string) }

// Enabled implements slog.Handler.
func (n serverNotes) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}

// Handle implements slog.Handler.
func (n serverNotes) Handle(_ context.Context, r slog.Record) error {
	var server, reason string
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "server":
			server = a.Value.String()
		case "error":
			reason = a.Value.String()
		}
		return true
	})
	if r.Level >= slog.LevelWarn {
		n.note("server " + server + " is left out: " + reason)
	} else {
		n.note("server " + server + " gets records again")
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (n serverNotes) WithAttrs([]slog.Attr) slog.Handler { return n }

// WithGroup implements slog.Handler.
func (n serverNotes) WithGroup(string) slog.Handler { return n }
