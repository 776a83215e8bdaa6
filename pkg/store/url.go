package store

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// URL names a store: a scheme and what its driver makes of the rest.
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
	Path   string     // of a URL without //: what follows the colon, before ?
	Net    *url.URL   // of a URL with //; nil otherwise
	Query  url.Values // never nil
	raw    string
}

// ParseURL parses s. It does not look at the scheme.
func ParseURL(s string) (*URL, error) {
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || scheme == "" || rest == "" {
		return nil, fmt.Errorf("store %q: not like disk:DIR or postgres://host/db", s)
	}
	u := &URL{Scheme: strings.ToLower(scheme), raw: s}
	if strings.HasPrefix(rest, "//") {
		n, err := url.Parse(s)
		if err != nil {
			return nil, fmt.Errorf("store %s://...: %w", u.Scheme, errors.Unwrap(err)) // not with the password
		}
		u.Net, u.Query = n, n.Query()
		return u, nil
	}
	path, query, _ := strings.Cut(rest, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, fmt.Errorf("store %q: %w", s, err)
	}
	u.Path, u.Query = path, values
	return u, nil
}

// String returns the URL without its password.
func (u *URL) String() string {
	if u.Net != nil {
		return u.Net.Redacted()
	}
	return u.raw
}
