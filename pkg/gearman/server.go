package gearman

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// DefaultPort is the TCP port of job servers.
const DefaultPort = 4730

// Server is the address of a job server. It is comparable: equal values are the
// same server. Clients choose the same server for a unique only if all of them
// write their servers in the same way.
type Server struct {
	Network string // "tcp" or "unix"
	Addr    string // host:port, or the path of a socket
}

// String returns the address in the syntax of [ParseServers]: host:port or
// unix:/path.
func (s Server) String() string {
	if s.Network == "unix" {
		return "unix:" + s.Addr
	}
	return s.Addr
}

// ParseServers parses a list of servers with commas between them:
//
//	a,b:4731,[::1]:4730,unix:/run/gearman.sock
//
// An entry without a port gets defaultPort, or [DefaultPort] if that is 0. An
// IPv6 address without a port may lack its brackets. The result has the order of
// the list, without duplicates. The error names the invalid entry; an empty list
// is an error.
func ParseServers(list string, defaultPort int) ([]Server, error) {
	if defaultPort == 0 {
		defaultPort = DefaultPort
	}
	if strings.TrimSpace(list) == "" {
		return nil, errors.New("list of servers is empty")
	}
	var servers []Server
	seen := map[Server]bool{}
	for entry := range strings.SplitSeq(list, ",") {
		s, err := parseServer(strings.TrimSpace(entry), defaultPort)
		if err != nil {
			return nil, fmt.Errorf("server %q: %w", strings.TrimSpace(entry), err)
		}
		if !seen[s] {
			seen[s] = true
			servers = append(servers, s)
		}
	}
	return servers, nil
}

func parseServer(entry string, defaultPort int) (Server, error) {
	if path, ok := strings.CutPrefix(entry, "unix:"); ok {
		if path == "" {
			return Server{}, errors.New("no path")
		}
		return Server{Network: "unix", Addr: path}, nil
	}
	host, port := entry, strconv.Itoa(defaultPort)
	switch {
	case strings.HasPrefix(entry, "[") && strings.HasSuffix(entry, "]"):
		host = entry[1 : len(entry)-1]
	case strings.Contains(entry, ":") && net.ParseIP(entry) == nil:
		var err error
		if host, port, err = net.SplitHostPort(entry); err != nil {
			var addrErr *net.AddrError
			if errors.As(err, &addrErr) {
				return Server{}, errors.New(addrErr.Err)
			}
			return Server{}, err
		}
	}
	if host == "" || strings.ContainsAny(host, " \t/[]\x00") {
		return Server{}, errors.New("no host name")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return Server{}, fmt.Errorf("port %q is not a number from 1 to 65535", port)
	}
	return Server{Network: "tcp", Addr: net.JoinHostPort(host, port)}, nil
}
