package cmd

import (
	"slices"
	"strings"
)

// ownSecrets are the variables from which gm itself reads a secret. No command
// that gm runs gets them.
var ownSecrets = []string{"GM_STORE"}

// withoutVars returns an environment without the variables of those names.
func withoutVars(environ, names []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(names, name)
	})
}
