package gearman_test

import (
	"bytes"
	"testing"
	"time"

	"gm/pkg/gearman"
	"gm/pkg/server"
)

// TestOnceWithServers submits a background job again after its end.
func TestOnceWithServers(t *testing.T) {
	start := func(cfg server.Config) func(t *testing.T) gearman.Server {
		return func(t *testing.T) gearman.Server {
			s, stop := startServerWith("127.0.0.1:0", cfg)
			t.Cleanup(stop)
			return s
		}
	}
	for _, test := range []struct {
		name   string
		server func(t *testing.T) gearman.Server
		prefix string
		want   bool // the server does not repeat the job
	}{
		{"gm with results", start(server.Config{KeepResults: time.Hour}), "", true},
		{"gm without results", start(server.Config{}), "", false},
		{"gm without results, a prefix", start(server.Config{}), "u", true},
		{"gearmand", startGearmand, "", false},
		{"gearmand, a prefix", startGearmand, "u", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := test.server(t)
			stop := startWorker(s, map[string]gearman.Handler{"reverse": reverse})
			defer stop()
			c, err := gearman.NewClient(gearman.Options{Servers: []gearman.Server{s}, Once: true, OncePrefix: test.prefix})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			submit := func() *gearman.Result {
				t.Helper()
				result, err := c.Do(t.Context(), &gearman.Task{Function: "reverse", Unique: "u", Background: true})
				if err != nil {
					t.Fatal(err)
				}
				return result
			}
			first := submit()
			for ended := false; !ended; {
				status, err := c.Status(t.Context(), first.Handle)
				if err != nil {
					t.Fatal(err)
				}
				ended = !status.Known
			}
			again := submit()
			if (again.Handle == first.Handle) != test.want || first.Once != test.want || again.Once != test.want {
				t.Errorf("got %+v after %+v, want the same job and Once: %v", again, first, test.want)
			}
			// Other tasks of the connection go on.
			result, err := c.Do(t.Context(), &gearman.Task{Function: "reverse", Payload: []byte("abc")})
			if err != nil || !bytes.Equal(result.Data, []byte("cba")) {
				t.Errorf("got %+v, %v", result, err)
			}
		})
	}
}
