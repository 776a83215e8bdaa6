package work

import (
	"os"
	"slices"
	"strings"
)

// ownSecrets are the variables from which gm itself reads a secret. No program
// gets them.
var ownSecrets = []string{"GM_STORE", "GM_OUTBOX"}

// environWithout returns the environment of this process without the variables
// of those names.
func environWithout(names []string) []string {
	return slices.DeleteFunc(os.Environ(), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(names, name)
	})
}
