// Package cli is the kit for a command line with verbs. It knows nothing of Gearman.
//
// A [Verb] has flags, help texts and an action. [Env] is the environment of one
// command line: Env.Dispatch parses the arguments, finds the verb, and runs its action
// or prints its help. The action returns an error; [ExitWith], [UsageErrorf] and
// [WithHint] give an error its exit code and its hint, and Env.Report prints it.
//
// Rows go out through a [RowWriter] as a table, tab-separated values or JSON.
// Help, manual pages and the completions of shells come from the same tree of verbs. A
// [Topic] is a help text and a manual page about several verbs.
package cli
