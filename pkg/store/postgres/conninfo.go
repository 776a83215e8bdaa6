package postgres

import (
	"errors"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/lib/pq"

	"gm/pkg/store"
	"gm/pkg/store/internal/sqlstore"
)

// parseConninfo parses a connection string of libpq, a URL or words. Where the driver
// has other defaults, it uses those of libpq.
func parseConninfo(s string) (pq.Config, error) {
	unsetEmpty()
	// The driver needs exactly these values, independent of the environment.
	const encoding, dates = "UTF8", "ISO, MDY"
	var host bool
	if strings.HasPrefix(s, "postgres://") || strings.HasPrefix(s, "postgresql://") {
		u, err := url.Parse(s)
		if err != nil {
			return pq.Config{}, withoutURL(err)
		}
		query := u.Query()
		host = u.Host != "" || query.Has("host") || query.Has("hostaddr")
		query.Set("client_encoding", encoding)
		query.Set("datestyle", dates)
		u.RawQuery = query.Encode()
		s = u.String()
	} else {
		host = regexp.MustCompile(`(^|\s)host(addr)?\s*=`).MatchString(s)
		s += " client_encoding='" + encoding + "' datestyle='" + dates + "'"
	}
	c, err := pq.NewConfig(s)
	if err != nil && store.Redact(s) != s && !strings.Contains(s, "://") { // the error may quote a part of the password
		return pq.Config{}, errors.New("want words like host=db password='...', with \\ before each \\ and ' of a value")
	}
	if err != nil {
		return pq.Config{}, withoutURL(err)
	}
	if c.ConnectTimeout <= 0 || c.ConnectTimeout > sqlstore.ConnectTimeout {
		c.ConnectTimeout = sqlstore.ConnectTimeout
	}
	if c.ApplicationName == "" {
		c.ApplicationName = "gm"
	}
	if c.SSLMode == "" {
		c.SSLMode = pq.SSLModePrefer
	}
	if !host && c.Service == "" && os.Getenv("PGHOST") == "" && os.Getenv("PGHOSTADDR") == "" {
		c.Host, c.SSLMode = socketDir(), pq.SSLModeDisable
	}
	c.BinaryParameters = true // array.go writes them
	return c, nil
}

// unsetEmpty unsets the empty environment variables of libpq. libpq ignores them, but
// the driver tries to parse them as numbers and modes.
func unsetEmpty() {
	for _, v := range os.Environ() {
		if name, value, _ := strings.Cut(v, "="); value == "" && strings.HasPrefix(name, "PG") {
			_ = os.Unsetenv(name)
		}
	}
}

// withoutURL returns an error without its URL, which may contain a password.
func withoutURL(err error) error {
	if e := (*url.Error)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}

// socketDir returns the directory of the sockets of servers on this machine: Debian's,
// if it exists, and otherwise PostgreSQL's default.
func socketDir() string {
	const debian = "/var/run/postgresql"
	if _, err := os.Stat(debian); err == nil {
		return debian
	}
	return "/tmp"
}
