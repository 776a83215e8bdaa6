package fleet

import (
	"context"
	"errors"

	"gm/pkg/gearman"
)

// Connection is a connection of a worker or a client to a server. Pointers are nil if the
// server does not report the value; then they are null in JSON.
type Connection struct {
	Server    string           `json:"server"`
	FD        int              `json:"fd"`
	Addr      string           `json:"addr"`
	ID        string           `json:"id"`
	Functions []string         `json:"functions"`
	State     *ConnectionState `json:"state"`
	Jobs      []gearman.Handle `json:"jobs"` // jobs that it holds as a worker
	AgeMS     *int64           `json:"age_ms"`
	Waits     *int             `json:"waits"` // results that it waits for as a client
}

// ConnectionState is the activity of a connection.
type ConnectionState string

const (
	ConnectionWorking  ConnectionState = "working"
	ConnectionSleeping ConnectionState = "sleeping"
	ConnectionIdle     ConnectionState = "idle"   // a worker that has no job and does not sleep
	ConnectionClient   ConnectionState = "client" // without functions
)

// ConnectionsOf asks one server for its connections: gm's server for its sessions,
// others for their workers.
func ConnectionsOf(ctx context.Context, admin *gearman.Admin) ([]*Connection, error) {
	server := admin.Server().String()
	sessions, err := admin.Sessions(ctx)
	if err == nil {
		rows := make([]*Connection, len(sessions))
		for i := range sessions {
			rows[i] = sessionRow(server, &sessions[i])
		}
		return rows, nil
	}
	if !errors.Is(err, gearman.ErrUnsupported) {
		return nil, err
	}
	workers, err := admin.Workers(ctx)
	if err != nil {
		return nil, err
	}
	rows := make([]*Connection, len(workers))
	for i, w := range workers {
		rows[i] = &Connection{Server: server, FD: w.FD, Addr: w.Addr, ID: w.ID, Functions: w.Functions}
	}
	return rows, nil
}

// sessionRow returns the row of a connection of gm's server.
func sessionRow(server string, s *gearman.Session) *Connection {
	state := ConnectionIdle
	switch {
	case len(s.Jobs) > 0:
		state = ConnectionWorking
	case s.Sleeping:
		state = ConnectionSleeping
	case len(s.Functions) == 0:
		state = ConnectionClient
	}
	return &Connection{
		Server: server, FD: s.FD, Addr: s.Addr, ID: s.ID, Functions: s.Functions,
		State: &state, Jobs: s.Jobs, AgeMS: &s.AgeMS, Waits: &s.Waits,
	}
}

// ConnectionCounts are the numbers of connections by activity.
type ConnectionCounts struct {
	Connections int  `json:"connections"`
	Workers     int  `json:"workers"` // connections with functions
	Working     *int `json:"working"` // nil if no server reports states
	Sleeping    *int `json:"sleeping"`
}

// CountConnections counts the rows.
func CountConnections(rows []*Connection) ConnectionCounts {
	n := ConnectionCounts{Connections: len(rows)}
	working, sleeping, known := 0, 0, false
	for _, r := range rows {
		if len(r.Functions) > 0 {
			n.Workers++
		}
		if r.State == nil {
			continue
		}
		known = true
		switch *r.State {
		case ConnectionWorking:
			working++
		case ConnectionSleeping:
			sleeping++
		}
	}
	if known {
		n.Working, n.Sleeping = &working, &sleeping
	}
	return n
}
