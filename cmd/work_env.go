package cmd

import (
	"slices"
	"strings"
)

// ownSecrets are the variables from which gm itself reads a secret. No command
// that gm runs gets them.
var ownSecrets = []string{"GM_STORE"}

// storeSecrets are the variables from which the clients of gm serve's stores read
// a password. The commands of gm serve --work do not get them, because there they
// are the server's. Those of gm work do: a command may need its database.
var storeSecrets = []string{"PGPASSWORD", "PGSSLPASSWORD", "MYSQL_PWD", "REDISCLI_AUTH"}

// withoutVars returns an environment without the variables of those names.
func withoutVars(environ, names []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(names, name)
	})
}
