package outbox

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gm/pkg/store/storetest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	storetest.CleanLasting()
	os.Exit(code)
}

// The servers that all tests share. Each test has a database of its own.
var servers struct {
	sync.Mutex
	postgres *storetest.Postgres
	mysql    *storetest.MySQL
	number   atomic.Int64 // of the last database
}

// database is an empty database of a running server.
type database struct {
	dialect Dialect
	name    string
	addr    string
	url     func(addr string) string
	query   func(t testing.TB, sql string) string
	kill    func() // the server; only in tests that eachDatabaseAlone runs
	start   func(t testing.TB)
}

// commit returns bytes of the statement COMMIT that no other statement of a relay has.
func (d *database) commit() []byte {
	if d.dialect == Postgres {
		return []byte("COMMIT\x00")
	}
	return []byte("\x03COMMIT")
}

// eachDatabase runs a test on PostgreSQL and on MariaDB.
func eachDatabase(t *testing.T, f func(t *testing.T, d *database)) {
	t.Parallel()
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		f(t, newPostgres(t))
	})
	t.Run("mysql", func(t *testing.T) {
		t.Parallel()
		f(t, newMySQL(t))
	})
}

// eachDatabaseAlone is eachDatabase for a test that changes the server. No other test
// runs meanwhile.
func eachDatabaseAlone(t *testing.T, f func(t *testing.T, d *database)) {
	t.Run("postgres", func(t *testing.T) { f(t, newPostgres(t)) })
	t.Run("mysql", func(t *testing.T) { f(t, newMySQL(t)) })
}

// newName returns the name of another database.
func newName() string { return fmt.Sprintf("test%d", servers.number.Add(1)) }

// newPostgres returns a new database in PostgreSQL.
func newPostgres(t testing.TB) *database {
	t.Helper()
	servers.Lock()
	if servers.postgres == nil {
		servers.postgres = storetest.StartPostgres(storetest.Lasting(t))
	}
	s := servers.postgres
	servers.Unlock()
	name := newName()
	s.Query(t, "CREATE DATABASE "+name)
	return &database{
		dialect: Postgres, name: name, addr: s.Addr(), kill: s.Kill, start: s.Start,
		url:   func(addr string) string { return strings.Replace(s.URL(addr), "/postgres?", "/"+name+"?", 1) },
		query: func(t testing.TB, sql string) string { t.Helper(); return s.QueryIn(t, name, sql) },
	}
}

// newMySQL returns a new database in MariaDB.
func newMySQL(t testing.TB) *database {
	t.Helper()
	servers.Lock()
	if servers.mysql == nil {
		servers.mysql = storetest.StartMySQL(storetest.Lasting(t))
	}
	s := servers.mysql
	servers.Unlock()
	name := newName()
	s.Query(t, "CREATE DATABASE "+name+"; GRANT ALL ON "+name+".* TO gm@'%'")
	plain := strings.NewReplacer("\t", "|", `\\`, `\`) // the client escapes backslashes
	return &database{
		dialect: MySQL, name: name, addr: s.Addr(), kill: s.Kill, start: s.Start,
		url:   func(addr string) string { return strings.TrimSuffix(s.URL(addr), "/gm") + "/" + name },
		query: func(t testing.TB, sql string) string { t.Helper(); return plain.Replace(s.QueryIn(t, name, sql)) },
	}
}

// openAs returns the outbox for another user without rights in it. In MariaDB the
// password is wrong too; PostgreSQL trusts all users.
func (d *database) openAs(t testing.TB, user, password string) *DB {
	t.Helper()
	if d.dialect == Postgres {
		d.query(t, "DO $$ BEGIN CREATE ROLE "+user+" LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
	}
	url := d.url(d.addr)
	url = strings.Replace(url, "gm:secret@", user+":"+password+"@", 1)
	url = strings.Replace(url, "//gm@", "//"+user+"@", 1)
	db, err := Open(url, Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
