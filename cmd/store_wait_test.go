package cmd

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"gm/cmd/cli"
	"gm/internal/serving"
	"gm/internal/testgm"
	"gm/pkg/store"
	"gm/pkg/store/open"
	"gm/pkg/store/storetest"
)

// acquireStore acquires the store of a place, as gm serve does.
func acquireStore(p *open.Place, signals <-chan os.Signal) (store.Store, error) {
	return serving.Acquire(signals, p.Logger, func(ctx context.Context) (store.Store, error) { return p.Acquire(ctx, "gm serve", false) })
}

// startAcquire calls acquireStore for a URL, in the background.
func startAcquire(t *testing.T, url string, wait time.Duration) (log *testgm.Log, signals chan os.Signal, done chan error) {
	t.Helper()
	p, err := open.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	log, signals, done = testgm.NewLog(), make(chan os.Signal, 1), make(chan error, 1)
	p.Wait, p.Logger = wait, slog.New(slog.NewTextHandler(log, nil))
	go func() {
		s, err := acquireStore(p, signals)
		if err == nil {
			err = s.Close()
		} else {
			err = openError(err)
		}
		done <- err
	}()
	return log, signals, done
}

func TestStoreWait(t *testing.T) {
	for kind, start := range startStores {
		if kind == "sqlite" {
			continue
		}
		t.Run(kind, func(t *testing.T) {
			url := start(t).url
			host := url[strings.LastIndex(url, "@")+1:]
			host = strings.TrimPrefix(host, "redis://")
			host, _, _ = strings.Cut(host, "/")
			proxy := storetest.StartProxy(t, host)
			proxy.Refuse(true)
			away := strings.Replace(url, host, proxy.Addr(), 1)

			_, _, done := startAcquire(t, away, 0)
			if err := <-done; !errors.As(err, new(*store.AwayError)) || exitCode(err) != cli.ExitIO || !strings.Contains(hintFor(err), "--store-wait") {
				t.Errorf("without --store-wait: got %v, hint %q, want an AwayError and a hint", err, hintFor(err))
			}

			log, signals, done := startAcquire(t, away, time.Hour)
			log.WaitFor(t, "waiting for the store")
			signals <- syscall.SIGTERM
			if err := <-done; !errors.Is(err, serving.ErrStopped) {
				t.Errorf("after SIGTERM: got %v, want %v", err, serving.ErrStopped)
			}

			_, _, done = startAcquire(t, away, time.Millisecond)
			if err := <-done; !errors.As(err, new(*store.AwayError)) {
				t.Errorf("after --store-wait: got %v, want an AwayError", err)
			}

			// A store that accepts connections and never answers, as behind a load balancer.
			proxy.Stall()
			proxy.Refuse(false)
			_, signals, done = startAcquire(t, away, time.Hour)
			signals <- syscall.SIGTERM
			if err := <-done; !errors.Is(err, serving.ErrStopped) {
				t.Errorf("after SIGTERM during the wait for a silent store: got %v, want %v", err, serving.ErrStopped)
			}
			proxy.Resume()
			proxy.Refuse(true)

			log, _, done = startAcquire(t, away, time.Hour)
			log.WaitFor(t, "waiting for the store")
			proxy.Refuse(false)
			if err := <-done; err != nil {
				t.Errorf("after the store is back: %v", err)
			}
			log.WaitFor(t, "taking over")
		})
	}
}

// TestStoreSignal sends a signal while acquireStore opens a free store. Either the signal
// ends that, and the store is closed, or the signal is left for the server.
func TestStoreSignal(t *testing.T) {
	url := "disk:" + t.TempDir()
	for range 20 {
		p, err := open.Parse(url)
		if err != nil {
			t.Fatal(err)
		}
		p.Logger = slog.New(slog.DiscardHandler)
		signals := make(chan os.Signal, 1)
		signals <- syscall.SIGTERM
		s, err := acquireStore(p, signals)
		switch {
		case err == nil && len(signals) == 0:
			t.Error("the store is open and the signal is lost")
		case err != nil && (!errors.Is(err, serving.ErrStopped) || s != nil || len(signals) != 0):
			t.Errorf("got %v, %v, signals left: %d, want %v", s, err, len(signals), serving.ErrStopped)
		}
		if err := open.Close(s); err != nil { // else the next attempt would wait for it
			t.Fatal(err)
		}
	}
}

// TestStoreWaitPermanent checks that --store-wait does not wait after permanent errors.
func TestStoreWaitPermanent(t *testing.T) {
	mysql := storetest.StartMySQL(t)
	postgres := storetest.StartPostgres(t)
	redis := storetest.StartRedis(t)
	redis.Do(t, "CONFIG", "SET", "requirepass", "x")
	for _, url := range []string{
		"mysql://gm:wrong@" + mysql.Addr() + "/gm",
		"mysql://gm:secret@" + mysql.Addr() + "/nodb",
		"postgres://nobody@" + postgres.Addr() + "/postgres?sslmode=disable",
		"postgres://gm@" + postgres.Addr() + "/nodb?sslmode=disable",
		"redis://:wrong@" + redis.Addr() + "/0",
		"disk:/proc/none",
		"unheard:x",
	} {
		log, _, done := startAcquire(t, url, time.Hour)
		select {
		case err := <-done:
			if err == nil || errors.As(err, new(*store.AwayError)) {
				t.Errorf("%s: got %v, want a permanent error", url, err)
			}
		case <-time.After(time.Minute):
			t.Errorf("%s: still waiting, log %q", url, log.Lines())
		}
	}
}

func TestStoreWaitFlag(t *testing.T) {
	e := &env{Env: cli.Env{Getenv: func(string) string { return "" }}}
	for args, want := range map[string]string{
		"--store-wait,5m,--data,x": "", "--store-wait,5m": "--store-wait needs a store",
	} {
		withFlags(t, e, serveVerb(e), strings.Split(args, ","), func(c *cli.Context) {
			p, err := e.servePlace(c)
			switch {
			case want == "" && (err != nil || p.Wait != 5*time.Minute):
				t.Errorf("%s: got %+v, %v, want a wait of 5m", args, p, err)
			case want != "" && (err == nil || !strings.Contains(err.Error(), want) || exitCode(err) != cli.ExitUsage):
				t.Errorf("%s: got %v, want an error of usage with %q", args, err, want)
			}
		})
	}
}

// TestStorePasswords checks that no command prints the password of a store, wherever it
// was given.
func TestStorePasswords(t *testing.T) {
	var urls []string
	for _, scheme := range []string{"postgres", "postgresql", "mysql", "mariadb", "redis", "rediss", "memcached", "unheard"} {
		for _, between := range []string{"", "/", "?", "#", "@", ":", "%", "&", "=", "1/", "'", " "} {
			password := "hush1" + between + "hush2"
			urls = append(
				urls,
				scheme+"://u:"+password+"@127.0.0.1:1/0", scheme+"://:"+password+"@127.0.0.1:1/0", scheme+"://u:12/"+password+"@127.0.0.1:1/0",
				scheme+"://127.0.0.1:1/0?password="+password, scheme+"://127.0.0.1:1/0?password="+password+"&table=t",
				scheme+":host=127.0.0.1 port=1 password="+password+" dbname=d",
			)
		}
	}
	checkHidden := func(what, printed string) {
		if strings.Contains(printed, "hush") {
			t.Errorf("%s: printed as %s", what, printed)
		}
	}
	for _, url := range urls {
		checkHidden("gm store check "+url, gmAll(t, nil, "store", "check", url))
		for _, args := range [][]string{{"--store", url}, {"--libpq-conninfo", url, "--queue-type", "Postgres"}} {
			checkHidden("gm serve "+strings.Join(args, " "), gmAll(t, nil, append([]string{"serve", "-p", "0"}, args...)...))
		}
		checkHidden("GM_STORE="+url+" gm serve", gmAll(t, map[string]string{"GM_STORE": url}, "serve", "-p", "0"))
	}
	for _, args := range [][]string{
		{"--queue-type", "MySQL", "--mysql-host", "127.0.0.1", "--mysql-port", "1", "--mysql-user", "u", "--mysql-db", "d", "--mysql-password", "hush1/?#@hush2"},
		{"--queue-type", "redis", "--redis-server", "127.0.0.1", "--redis-port", "1", "--redis-password", "hush1/?#@hush2"},
	} {
		checkHidden("gm serve "+strings.Join(args, " "), gmAll(t, nil, append([]string{"serve", "-p", "0"}, args...)...))
	}
}

// gmAll runs a command line that fails in this process, and returns all that it
// prints.
func gmAll(t *testing.T, environment map[string]string, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	e := &env{Env: cli.Env{
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out,
		Getenv: func(name string) string { return environment[name] },
	}}
	if code := e.run(t.Context(), append([]string{"gm"}, args...)); code == 0 {
		t.Errorf("gm %q: exit code 0, want an error", args)
	}
	return out.String()
}
