// Package pgconfig reads the address of a PostgreSQL database as libpq does. FromURL
// splits the URL of a store or an outbox into a connection string of libpq and other
// options, and Parse makes a configuration of the driver out of the string.
package pgconfig

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/lib/pq"

	"gm/pkg/store"
)

// libpqKeys are the options of libpq that a URL may have.
var libpqKeys = []string{
	"host", "hostaddr", "port", "dbname", "user", "password", "passfile", "service", "connect_timeout", "application_name",
	"options", "target_session_attrs", "load_balance_hosts", "search_path",
	"sslmode", "sslnegotiation", "sslrootcert", "sslcert", "sslkey", "sslsni", "ssl_min_protocol_version", "ssl_max_protocol_version",
}

// FromURL returns the connection string of postgres://USER:PASSWORD@HOST:PORT/DB?KEY=VALUE
// and the options whose keys are in own. The other keys are options of libpq.
func FromURL(u *store.URL, own ...string) (conninfo string, options url.Values, err error) {
	if u.Net == nil {
		return "", nil, fmt.Errorf("store %s: not like postgres://host/db", u)
	}
	libpq, err := u.Options(append(own, libpqKeys...)...)
	if err != nil {
		return "", nil, err
	}
	options = make(url.Values)
	for _, key := range own {
		if libpq.Has(key) {
			options.Set(key, libpq.Get(key))
			libpq.Del(key)
		}
	}
	plain := *u.Net
	plain.RawQuery = libpq.Encode()
	return plain.String(), options, nil
}

// Parse parses a connection string of libpq, a URL or words. Where the driver has other
// defaults, it uses those of libpq. The time to connect is at most longest.
func Parse(s string, longest time.Duration) (pq.Config, error) {
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
	if c.ConnectTimeout <= 0 || c.ConnectTimeout > longest {
		c.ConnectTimeout = longest
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
	c.BinaryParameters = true // values of bytes go as they are
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
