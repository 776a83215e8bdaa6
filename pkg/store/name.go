package store

import "strings"

// MaxGearmandUnique is the length in bytes of the longest unique that gearmand
// keeps as it is: it has room for 64, with a NUL at the end. A job with a longer
// one, in a row or under a key that gearmand is to find, needs another there:
// gearmand would cut it, hand the job out, and then not delete it.
const MaxGearmandUnique = 63

// SplitName splits FUNCTION-UNIQUE, which gearmand has in the keys of Redis
// and memcached: before a UUID, which is what libgearman gives a job without a
// unique, or else at the first hyphen, as gearmand does. It is not ok if there
// is no function.
func SplitName(name string) (function, unique string, ok bool) {
	if at := len(name) - len(uuidForm); at > 1 && name[at-1] == '-' && IsUUID(name[at:]) {
		return name[:at-1], name[at:], true
	}
	function, unique, ok = strings.Cut(name, "-")
	return function, unique, ok && function != ""
}

const uuidForm = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"

// IsUUID says whether s is a UUID as it is usually written.
func IsUUID(s string) bool {
	if len(s) != len(uuidForm) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		hex := '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
		if hex != (uuidForm[i] == 'x') || !hex && c != '-' {
			return false
		}
	}
	return true
}
