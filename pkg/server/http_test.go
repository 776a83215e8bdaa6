package server_test

import (
	"strings"
	"testing"

	"gm/pkg/server"
	"gm/pkg/wire"
)

// A web page can have a browser send a request to the server's port. Nothing
// of it is executed, wherever in the connection and in whatever order its lines
// come.
func TestHTTPIsRefused(t *testing.T) {
	for name, head := range map[string]string{
		"POST":                   "POST / HTTP/1.1\r\nHost: localhost:4730\r\nContent-Length: 99\r\n\r\n",
		"GET":                    "GET / HTTP/1.1\r\n\r\n",
		"HTTP/1.0":               "post /x http/1.0\n",
		"HTTP/0.9":               "GET /\r\n",
		"absolute form":          "GET http://localhost:4730/ HTTP/1.1\r\n",
		"OPTIONS *":              "OPTIONS * HTTP/1.1\r\n",
		"CONNECT":                "CONNECT localhost:4730 HTTP/1.1\r\n",
		"an unknown method":      "BREW /pot HTTP/1.1\r\n",
		"HTTP/2 preface":         "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"a response":             "HTTP/1.1 200 OK\r\n",
		"a target with blanks":   "GET /a b c HTTP/1.1\r\n",
		"Host first":             "Host: localhost\r\n",
		"Host in lower case":     "host:localhost\r\n",
		"HOST in upper case":     "HOST : x\r\nHOST: x\r\n",
		"another header first":   "Content-Type: text/plain\r\n",
		"Origin":                 "origin: http://evil.example\r\n",
		"User-Agent":             "User-Agent: Mozilla/5.0\r\n",
		"Sec-Fetch-Mode":         "sec-fetch-mode: no-cors\r\n",
		"X-Forwarded-For":        "X-Forwarded-For: 10.0.0.1\r\n",
		"an empty line before":   "\r\nPOST / HTTP/1.1\r\n",
		"after a line of ours":   "version\r\nPOST / HTTP/1.1\r\n",
		"after a packet of ours": string(req(wire.EchoReq, "x")) + "POST / HTTP/1.1\r\n",
		"blanks before":          "  POST / HTTP/1.1\r\n",
		"tabs between":           "POST\t/\tHTTP/1.1\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			var log logs
			s, addr := start(t, server.Config{Logger: log.logger(0)})
			p := dial(t, addr)
			p.send([]byte(head+"create function evil\r\n"), req(wire.SubmitJobBG, "evil", "", "x"))
			log.wait(t, "level=WARN", "msg=dropped", p.LocalAddr().String(), "speaks HTTP")
			var got strings.Builder
			for b := make([]byte, 4096); ; {
				n, err := p.Read(b)
				got.Write(b[:n])
				if err != nil {
					break
				}
			}
			if !strings.Contains(got.String(), "ERR HTTP ") || !strings.HasSuffix(got.String(), "\r\n") {
				t.Errorf("got %q", got.String())
			}
			if functions := server.Snapshot(s); len(functions) != 0 {
				t.Errorf("executed: %+v", functions)
			}
		})
	}
}

// What only resembles HTTP is a command like any other.
func TestWhatResemblesHTTPIsTaken(t *testing.T) {
	_, addr := start(t, server.Config{})
	for _, line := range []string{
		"create function GET", "create function http://x", "create function host:", "maxqueue GET 5",
		"create function HTTPS/1.1",
	} {
		if got := dial(t, addr).line(line); got != "OK\r" && got != "OK" {
			t.Errorf("%q: got %q", line, got)
		}
	}
	for _, line := range []string{"get", "post x", "H:test:1", "trace"} {
		p := dial(t, addr)
		if got := p.line(line); !strings.HasPrefix(got, "ERR UNKNOWN_COMMAND") {
			t.Errorf("%q: got %q", line, got)
		}
		p.sync()
	}
}
