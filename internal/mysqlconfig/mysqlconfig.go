// Package mysqlconfig reads the address of a MySQL or MariaDB database. FromURL makes a
// Config out of the URL of a store or an outbox, and Config.Driver makes a configuration
// of the driver out of it.
package mysqlconfig

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"gm/pkg/store"
)

// Config is the address of a database.
type Config struct {
	Addr     string // HOST:PORT, or the path of a socket if it contains a slash
	User     string
	Password string
	DB       string
	TLS      string // true, skip-verify, preferred, or empty for no TLS
}

// FromURL returns the address in mysql://USER:PASSWORD@HOST:PORT/DB?KEY=VALUE and the
// options of the query. Their keys may be tls, socket, which replaces HOST:PORT, and
// those in own.
func FromURL(u *store.URL, own ...string) (Config, url.Values, error) {
	if u.Net == nil {
		return Config{}, nil, fmt.Errorf("store %s: not like mysql://host/db", u)
	}
	options, err := u.Options(append(own, "tls", "socket")...)
	if err != nil {
		return Config{}, nil, err
	}
	c := Config{
		Addr: net.JoinHostPort(cmp.Or(u.Net.Hostname(), "localhost"), cmp.Or(u.Net.Port(), "3306")),
		User: u.Net.User.Username(),
		DB:   strings.TrimPrefix(u.Net.Path, "/"),
		TLS:  options.Get("tls"),
	}
	c.Password, _ = u.Net.User.Password()
	if options.Has("socket") {
		c.Addr = options.Get("socket")
	}
	return c, options, nil
}

// Driver returns the configuration of the driver. Its sessions are strict, and the
// server does not end them when they are idle. The time to connect is at most longest.
func (c Config) Driver(longest time.Duration) (*mysql.Config, error) {
	if c.DB == "" {
		return nil, errors.New("no database is named")
	}
	config := mysql.NewConfig()
	config.User, config.Passwd, config.DBName, config.Addr = c.User, c.Password, c.DB, c.Addr
	config.Net = "tcp"
	if strings.Contains(c.Addr, "/") {
		config.Net = "unix"
	}
	switch c.TLS {
	case "", "true", "skip-verify", "preferred":
		config.TLSConfig = c.TLS
	default:
		return nil, fmt.Errorf("tls %q: want true, skip-verify or preferred", c.TLS)
	}
	config.Timeout = longest
	config.MaxAllowedPacket = 0        // the server's
	config.Logger = &mysql.NopLogger{} // its messages are in the errors
	config.Params = map[string]string{
		"sql_mode":     "'STRICT_ALL_TABLES'",
		"autocommit":   "1",
		"wait_timeout": "2147483",
	}
	return config, nil
}
