package store

import "strings"

// MaxGearmandUnique is the maximum length in bytes of a unique that gearmand
// keeps unchanged: it has room for 64, with a NUL at the end. A driver must
// store a job with a longer one under another unique in a row or key that
// gearmand reads: gearmand would cut the unique, hand the job out, and then not
// delete it.
const MaxGearmandUnique = 63

// SplitName splits FUNCTION-UNIQUE, the form of gearmand's keys in Redis and
// memcached. It splits before a UUID, which libgearman gives to a job without a
// unique, or else at the first hyphen, as gearmand does. ok is false if there
// is no function.
func SplitName(name string) (function, unique string, ok bool) {
	if at := len(name) - len(uuidForm); at > 1 && name[at-1] == '-' && IsUUID(name[at:]) {
		return name[:at-1], name[at:], true
	}
	function, unique, ok = strings.Cut(name, "-")
	return function, unique, ok && function != ""
}

const uuidForm = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"

// IsUUID reports whether s is a UUID in the usual form.
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
