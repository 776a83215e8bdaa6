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

// parseConninfo parses libpq's connection string, a URL or words. It has libpq's
// defaults where the driver has others.
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
		return pq.Config{}, errors.New("not words like host=db password='...', with \\ before each \\ and ' of a value")
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

// unsetEmpty unsets libpq's variables that are empty. To libpq these are not set,
// but the driver reads numbers and modes from them.
func unsetEmpty() {
	for _, v := range os.Environ() {
		if name, value, _ := strings.Cut(v, "="); value == "" && strings.HasPrefix(name, "PG") {
			_ = os.Unsetenv(name)
		}
	}
}

// withoutURL returns an error without the URL that it is about, which may have a
// password.
func withoutURL(err error) error {
	if e := (*url.Error)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}

// socketDir returns where a server on this machine has its socket: Debian's
// place, if there is one, else PostgreSQL's own.
func socketDir() string {
	const debian = "/var/run/postgresql"
	if _, err := os.Stat(debian); err == nil {
		return debian
	}
	return "/tmp"
}
