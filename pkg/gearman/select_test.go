package gearman

import (
	"context"
	"fmt"
	"net"
	"reflect"
	"sync"
	"testing"
	"time"
)

// dialFunc is the type of Options.Dial.
type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// countDials notes the addresses that are dialled.
func countDials(d dialFunc, mu *sync.Mutex, addrs *[]string) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		mu.Lock()
		*addrs = append(*addrs, addr)
		mu.Unlock()
		return d(ctx, network, addr)
	}
}

func TestRankIsEvenAndStable(t *testing.T) {
	const keys = 20_000
	var servers []Server
	for i := range 5 {
		servers = append(servers, Server{"tcp", fmt.Sprintf("10.0.0.%d:4730", i+1)})
	}
	share := make([]int, 5)
	moved := 0
	for k := range keys {
		key := fmt.Sprint("job-", k)
		all, four := rank(servers, "f", key), rank(servers[:4], "f", key)
		share[all[0]]++
		if all[0] != four[0] {
			moved++
			if all[0] != 4 {
				t.Fatalf("%s moved from %d to %d, not to the new server", key, four[0], all[0])
			}
		}
		rest := []int{}
		for _, i := range all {
			if i != 4 {
				rest = append(rest, i)
			}
		}
		if !reflect.DeepEqual(rest, four) {
			t.Fatalf("%s: order of the others changed from %v to %v", key, four, rest)
		}
	}
	for i, n := range share {
		if n < keys/5*9/10 || n > keys/5*11/10 {
			t.Errorf("server %d has %d of %d keys", i, n, keys)
		}
	}
	if moved < keys/5*9/10 || moved > keys/5*11/10 {
		t.Errorf("a fifth server moved %d of %d keys", moved, keys)
	}
	if a, b := rank(servers, "f", "k"), rank([]Server{servers[0], servers[1]}, "g", "k"); len(a) != 5 || len(b) != 2 {
		t.Errorf("got %v and %v", a, b)
	}
}

// The choice must never change: clients of different versions have to agree.
func TestRankIsFixed(t *testing.T) {
	servers := []Server{{"tcp", "a:4730"}, {"tcp", "b:4730"}, {"unix", "/c"}}
	got := [][]int{rank(servers, "f", "1"), rank(servers, "f", "2"), rank(servers, "g", "1")}
	if want := [][]int{{2, 0, 1}, {2, 1, 0}, {2, 0, 1}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestBackoffBounds(t *testing.T) {
	o, err := Options{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		b := newBackoff(&o)
		for n := range 40 {
			top := o.MaxBackoff
			if n < 10 {
				top = min(top, o.MinBackoff<<(n+1))
			}
			if d := b.nextWait(); d < top/2 || d < o.MinBackoff || d > top {
				t.Fatalf("failure %d: got %v, want %v to %v", n, d, top/2, top)
			}
		}
		b.reset()
		if d := b.nextWait(); d > 2*o.MinBackoff {
			t.Fatalf("after a success: got %v", d)
		}
	}
	one := backoff{min: time.Second, max: time.Second}
	if d := one.nextWait(); d != time.Second {
		t.Errorf("got %v, want 1s", d)
	}
}

func TestParseServers(t *testing.T) {
	tcp := func(a string) Server { return Server{"tcp", a} }
	tests := []struct {
		list string
		want []Server
	}{
		{"a", []Server{tcp("a:4730")}},
		{"a,b:4731, [::1]:4732 ,unix:/run/g", []Server{tcp("a:4730"), tcp("b:4731"), tcp("[::1]:4732"), {"unix", "/run/g"}}},
		{"::1,[fe80::1]", []Server{tcp("[::1]:4730"), tcp("[fe80::1]:4730")}},
		{"a,a:4730", []Server{tcp("a:4730")}},
	}
	for _, tt := range tests {
		got, err := ParseServers(tt.list, 0)
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%q: got %v, %v, want %v", tt.list, got, err, tt.want)
		}
		for _, s := range got {
			if again, err := ParseServers(s.String(), 1); err != nil || again[0] != s {
				t.Errorf("%v: parses as %v, %v", s, again, err)
			}
		}
	}
	for list, want := range map[string]string{
		"":            "list of servers is empty",
		"a,,b":        `server "": no host name`,
		"a,b:x":       `server "b:x": port "x" is not a number from 1 to 65535`,
		"a:0":         `server "a:0": port "0" is not a number from 1 to 65535`,
		"a:65536":     `server "a:65536": port "65536" is not a number from 1 to 65535`,
		"a:":          `server "a:": port "" is not a number from 1 to 65535`,
		":4730":       `server ":4730": no host name`,
		"a:1:2":       `server "a:1:2": too many colons in address`,
		"[::1":        `server "[::1": missing ']' in address`,
		"unix:":       `server "unix:": no path`,
		"http://a:80": `server "http://a:80": too many colons in address`,
	} {
		if _, err := ParseServers(list, 0); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", list, err, want)
		}
	}
	if got, err := ParseServers("a", 7003); err != nil || got[0].Addr != "a:7003" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	s := Server{"tcp", "a:1"}
	for _, o := range []Options{
		{ConnectTimeout: -1},
		{MinBackoff: -1},
		{MaxBackoff: -1},
		{MinBackoff: 2, MaxBackoff: 1},
		{MaxPayload: -1},
		{MaxUnique: -1},
		{MaxUnique: 256},
		{MaxUnique: 31},
		{Servers: []Server{{}}},
		{Servers: []Server{s, s}},
	} {
		if _, err := NewClient(o); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
	for _, o := range []WorkerOptions{{Concurrency: -1}, {MaxJobs: -1}, {ID: "a b"}, {Options: Options{MaxPayload: -1}}} {
		if _, err := NewWorker(o); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
}
