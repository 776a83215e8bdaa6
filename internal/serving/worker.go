package serving

import (
	"context"
	"net"
	"strconv"

	"gm/pkg/gearman"
	"gm/pkg/server"
)

// Worker does jobs until ctx is done.
type Worker interface {
	Run(ctx context.Context) error
}

// startWorker runs a worker, over connections to the server that need no port. The
// returned function stops it and returns when its jobs have ended. newWorker is that of
// Config.
func startWorker(newWorker func(gearman.Options, string) (Worker, error), srv *server.Server, ls []net.Listener, maxPayload int) (stop func(), err error) {
	if newWorker == nil {
		return func() {}, nil
	}
	w, err := newWorker(pipeOptions(srv, maxPayload), reachableAddress(ls))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx) //nolint:errcheck // it ends with the server
	}()
	return func() { cancel(); <-done }, nil
}

// pipeOptions returns options that connect to a server of this process without a port.
// They have no logger, because the connections end with the server.
func pipeOptions(srv *server.Server, maxPayload int) gearman.Options {
	return gearman.Options{
		Servers: []gearman.Server{{Network: "pipe", Addr: "pipe"}},
		Dial: func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			go srv.ServeConn(there) //nolint:errcheck // the client notices the end of the connection
			return here, nil
		},
		MaxPayload: maxPayload,
	}
}

// reachableAddress returns the address of the first listener as a program on this
// machine connects to it, or "" without listeners.
func reachableAddress(ls []net.Listener) string {
	for _, l := range ls {
		switch addr := l.Addr().(type) {
		case *net.TCPAddr:
			if addr.IP.IsUnspecified() {
				return net.JoinHostPort("localhost", strconv.Itoa(addr.Port))
			}
			return addr.String()
		case *net.UnixAddr:
			return "unix:" + addr.Name
		}
	}
	return ""
}
