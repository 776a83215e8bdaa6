package store

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// URL names a store: a scheme, and a rest that the driver parses.
//
//	disk:DIR
//	sqlite:FILE[?table=NAME]
//	postgres://USER:PASSWORD@HOST:PORT/DB?table=NAME
//	mysql://USER:PASSWORD@HOST:PORT/DB?table=NAME
//	redis://:PASSWORD@HOST:PORT/DB?prefix=NAME
//	memcached://HOST:PORT,HOST:PORT?prefix=NAME
//	tokyocabinet:FILE
type URL struct {
	Scheme string
	Path   string     // for a URL without //: the text after the colon and before ?
	Net    *url.URL   // for a URL with //; nil otherwise
	Query  url.Values // never nil
	raw    string
	noun   string // names the kind of URL in errors; empty means a store
}

// fileSchemes are the schemes of stores in files, whose names may have any
// character.
var fileSchemes = []string{"disk", "sqlite", "tokyocabinet"}

// errEncode is the error of a URL whose password contains a character that ends
// it.
var errEncode = errors.New("a password with one of / ? # @ : % or & needs these written as %2F %3F %23 %40 %3A %25 and %26")

// errQuery is the error of a query. The error of package url quotes it.
var errQuery = errors.New("the part after ? is not like NAME=VALUE&NAME=VALUE, with % as %25")

// ParseURL parses s. It distinguishes only schemes of files from others. No
// error contains any part of a password.
func ParseURL(s string) (*URL, error) {
	return ParseURLOf("store", "disk:DIR or postgres://host/db", s)
}

// ParseURLOf is ParseURL for the URL of something else in a database. noun is its name in
// errors, and forms are examples of a URL.
func ParseURLOf(noun, forms, s string) (*URL, error) {
	fail := func(err error) (*URL, error) { return nil, fmt.Errorf("%s %q: %w", noun, Redact(s), err) }
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || scheme == "" || rest == "" {
		return fail(fmt.Errorf("not like %s", forms))
	}
	u := &URL{Scheme: strings.ToLower(scheme), raw: s, noun: noun}
	if strings.HasPrefix(rest, "//") {
		n, err := url.Parse(s)
		switch {
		case err != nil && strings.Contains(s, "@"): // the error may quote the password
			return fail(errEncode)
		case err != nil:
			return fail(errors.Unwrap(err))
		case !slices.Contains(fileSchemes, u.Scheme) && (strings.Contains(s, "#") || strings.Contains(afterHost(rest), "@")):
			return fail(errEncode)
		}
		if u.Query, err = url.ParseQuery(n.RawQuery); err != nil {
			return fail(errQuery)
		}
		u.Net = n
		return u, nil
	}
	path, query, _ := strings.Cut(rest, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return fail(errQuery)
	}
	u.Path, u.Query = path, values
	return u, nil
}

// afterHost returns the rest after the host in a URL's part that begins with
// //.
func afterHost(rest string) string {
	at := strings.IndexAny(rest[2:], "/?#")
	if at < 0 {
		return ""
	}
	return rest[2+at:]
}

// String returns the URL without its password.
func (u *URL) String() string {
	if u.raw == "" && u.Net != nil {
		return Redact(u.Net.String())
	}
	if u.raw == "" {
		return Redact(u.Scheme + ":" + u.Path)
	}
	return Redact(u.raw)
}

// File returns the path of a store in files, from SCHEME:FILE or SCHEME:///FILE.
// It is empty if the URL names a host.
func (u *URL) File() string {
	if u.Net != nil && u.Net.Host == "" {
		return u.Net.Path
	}
	return u.Path
}

// Options returns the query. Of several values for a key, only the last is there.
// A key that is not among the known ones is an error.
func (u *URL) Options(known ...string) (url.Values, error) {
	options := make(url.Values, len(u.Query))
	for key, values := range u.Query {
		if !slices.Contains(known, key) {
			return nil, u.UnknownKey(key)
		}
		options.Set(key, values[len(values)-1])
	}
	return options, nil
}

// UnknownKey returns the error of a key in the query that the driver does not
// know. It names the key unless that may be a part of a password.
func (u *URL) UnknownKey(key string) error {
	if secretKey().MatchString(u.raw) {
		return fmt.Errorf("%s %s: unknown option in the query: %w", cmp.Or(u.noun, "store"), u, errEncode)
	}
	return fmt.Errorf("%s %s: unknown option %q", cmp.Or(u.noun, "store"), u, key)
}

// secretKey returns the expression for a key with a secret value, in a query or
// among words like host=db. The value of passfile is not secret.
var secretKey = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)(?:pass(?:word|wd|phrase)?|pwd|secret|token)\s*=`)
})

// userinfo returns the expression for everything between // and the last @.
var userinfo = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?s)//[^:@]*(:.*)@`) })

// Redacted replaces a password.
const Redacted = "xxxxx"

// Redact returns the text of a URL, or of words like host=db, without its
// passwords. It also covers a password with characters that should have been
// encoded: it removes everything before the host up to the last @, and
// everything after the name of a secret.
func Redact(s string) string {
	if at := secretKey().FindStringIndex(s); at != nil {
		s = s[:at[1]] + Redacted
	}
	if at := userinfo().FindStringSubmatchIndex(s); at != nil {
		s = s[:at[2]] + ":" + Redacted + s[at[3]:]
	}
	return s
}
