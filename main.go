// Command gm is a Gearman job server, worker, client and administrator in one
// binary. Run "gm help" for its verbs.
package main

import (
	"os"

	"gm/cmd"
)

func main() { os.Exit(cmd.Main(os.Args)) }
