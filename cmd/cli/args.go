package cli

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"
)

// A Call is a parsed command line: the verb, its flags and its arguments. Go's flag
// package stops at the first positional argument; here flags may stand anywhere. Flags
// before the verb belong to it as well.
type Call struct {
	Path  []*Verb     // from the root to the verb
	Flags []givenFlag // in the order of the command line
	Args  []string    // positional

	Help    bool   // -h or --help, or the verb help
	brief   bool   // -h or --help
	Topic   *Topic // that help must show, or nil
	Version bool   // --version, before any verb
}

// givenFlag is a flag of the command line.
type givenFlag struct {
	Name  string // the flag's first name, without dashes
	Value string
}

// Verb returns the verb that the command line names.
func (c *Call) Verb() *Verb { return c.Path[len(c.Path)-1] }

// Context returns the context from which the action of the verb reads its flags and
// arguments. urfave/cli would make it with a second parse, which takes a millisecond.
func (c *Call) Context() (*urfave.Context, error) {
	v := c.Verb()
	set := flag.NewFlagSet(v.Name, flag.ContinueOnError)
	for _, f := range v.Flags {
		if err := defineFlag(set, f); err != nil {
			return nil, fmt.Errorf("%s: %w", c.pathNames(), err)
		}
	}
	for _, f := range c.Flags {
		if err := set.Set(f.Name, f.Value); err != nil {
			err = UsageErrorf("invalid value %q for flag %s: %w", f.Value, Dashed(f.Name), valueError(set.Lookup(f.Name), err))
			return nil, WithHint(err, "gm help "+c.pathNames()+" describes it")
		}
	}
	if err := set.Parse(append([]string{"--"}, c.Args...)); err != nil {
		return nil, err
	}
	ctx := urfave.NewContext(nil, set, nil)
	ctx.Command = &urfave.Command{Name: v.Name}
	return ctx, nil
}

// valueError returns the reason why a flag refuses a value. Package flag only says "parse
// error" for numbers and booleans.
func valueError(f *flag.Flag, err error) error {
	if f == nil || err.Error() != "parse error" {
		return err
	}
	if b, ok := f.Value.(interface{ IsBoolFlag() bool }); ok && b.IsBoolFlag() {
		return errors.New("want true or false")
	}
	return errors.New("want a number")
}

// defineFlag adds a flag to a set under its first name, the name that ParseArgs uses. The
// flag's own method adds it under every name, which is slower.
func defineFlag(set *flag.FlagSet, f urfave.Flag) error {
	switch f := f.(type) {
	case *urfave.BoolFlag:
		set.Bool(f.Name, f.Value, "")
	case *urfave.StringFlag:
		set.String(f.Name, f.Value, "")
	case *urfave.IntFlag:
		set.Int(f.Name, f.Value, "")
	case *urfave.GenericFlag:
		set.Var(f.Value, f.Name, "")
	default:
		return f.Apply(set)
	}
	return nil
}

// ParseArgs parses args, which do not include the program's name. Its errors are usage
// errors: an unknown verb or flag, a flag without its value.
func ParseArgs(root *Verb, args []string) (*Call, error) {
	p := &argParser{Call: Call{Path: []*Verb{root}}}
	for i := 0; i < len(args); {
		used, err := p.parseNext(args[i:])
		if err != nil {
			return nil, err
		}
		i += used
	}
	if err := p.checkFlags(); err != nil {
		return nil, err
	}
	if err := p.checkEmpty(); err != nil {
		return nil, err
	}
	return &p.Call, nil
}

type argParser struct {
	Call
	seen      []urfave.Flag // for each of call.flags, its definition
	words     []string      // for each of call.flags, as it was written
	flagsDone bool
}

// parseNext parses the first of args and returns the number of words that it has used.
func (p *argParser) parseNext(args []string) (int, error) {
	arg := args[0]
	switch {
	case p.flagsDone || !p.isFlag(arg):
		return 1, p.parsePositional(arg)
	case arg == "--":
		p.flagsDone = true
		return 1, nil
	case strings.HasPrefix(arg, "--"):
		return p.parseLong(arg, args[1:])
	}
	return p.parseShort(arg, args[1:])
}

// isFlag reports whether arg looks like a flag. A lone - and a negative number are data,
// unless the verb has the digit as a flag.
func (p *argParser) isFlag(arg string) bool {
	if len(arg) < 2 || arg[0] != '-' {
		return false
	}
	digit := arg[1] >= '0' && arg[1] <= '9' || arg[1] == '.' && len(arg) > 2
	return !digit || p.Verb().Flag(arg[1:2]) != nil
}

// parsePositional parses a word that is no flag: the name of a verb if the current one has
// subcommands, else an argument.
func (p *argParser) parsePositional(arg string) error {
	v := p.Verb()
	if !v.HasVerbs() {
		p.Args = append(p.Args, arg)
		p.flagsDone = p.flagsDone || v.ArgsEndFlags
		return nil
	}
	if p.Topic != nil {
		return UsageErrorf("help %s: unexpected argument %q", p.Topic.Name, arg)
	}
	if sub := v.Sub(arg); sub != nil {
		p.Path = append(p.Path, sub)
		return nil
	}
	if len(p.Path) > 1 {
		return p.unknownVerb(v.Name+" command", arg)
	}
	topic := v.Program.Topic(arg)
	switch {
	case topic != nil && p.Help:
		p.Topic = topic
		return nil
	case topic != nil:
		return WithHint(UsageErrorf("unknown verb %q", arg), "gm help "+topic.Name+" shows a text on it")
	case arg == "help" && !p.Help:
		p.Help = true
		return nil
	}
	return p.unknownVerb("verb", arg)
}

// unknownVerb returns the error for a word that is not the name of a verb.
func (p *argParser) unknownVerb(what, arg string) error {
	names := p.Verb().subNames()
	if p.Help {
		names = append(names, p.Verb().Program.topicNames()...)
	}
	err := UsageErrorf("unknown %s %q", what, arg)
	if near := Nearest(arg, names); near != "" {
		return WithHint(err, "did you mean "+near+"?")
	}
	return WithHint(err, strings.TrimSpace("gm help "+p.pathNames())+" lists them")
}

// parseLong parses --name, --name=value or --name value.
func (p *argParser) parseLong(arg string, rest []string) (int, error) {
	name, value, hasValue := strings.Cut(arg[2:], "=")
	f := p.Verb().Flag(name)
	switch {
	case name == "help":
		p.Help, p.brief = true, true
		return 1, nil
	case f == nil && name == "version" && len(p.Path) == 1:
		p.Version = true
		return 1, nil
	case f == nil || len(name) < 2:
		return 0, p.unknownFlag("--" + name)
	case hasValue:
		p.addFlag(f, "--"+name, value)
		return 1, nil
	case !TakesValue(f):
		p.addFlag(f, "--"+name, "true")
		return 1, nil
	}
	if v := OptionalOf(f); v != nil && (len(rest) == 0 || !v.AcceptsWord(rest[0])) {
		p.addFlag(f, "--"+name, "true")
		return 1, nil
	}
	return p.addNextWord(f, "--"+name, rest)
}

// parseShort parses -x, -xyz, -xVALUE or -x VALUE.
func (p *argParser) parseShort(arg string, rest []string) (int, error) {
	for i, letter := range arg[1:] {
		name := string(letter)
		f := p.Verb().Flag(name)
		switch {
		case f == nil && name == "h":
			p.Help, p.brief = true, true
			continue
		case f == nil:
			if long := arg[1:]; i == 0 && p.Verb().Flag(long) != nil {
				return 0, WithHint(UsageErrorf("unknown flag %s", arg), "did you mean --"+long+"?")
			}
			return 0, p.unknownFlag("-" + name)
		case !TakesValue(f) || OptionalOf(f) != nil:
			p.addFlag(f, "-"+name, "true")
			continue
		}
		if value := arg[1+i+len(name):]; value != "" {
			p.addFlag(f, "-"+name, strings.TrimPrefix(value, "="))
			return 1, nil
		}
		return p.addNextWord(f, "-"+name, rest)
	}
	return 1, nil
}

// addNextWord adds f with the next word as its value, even if the word looks like a flag.
func (p *argParser) addNextWord(f urfave.Flag, word string, rest []string) (int, error) {
	if len(rest) == 0 {
		return 0, UsageErrorf("flag %s needs a value", word)
	}
	p.addFlag(f, word, rest[0])
	return 2, nil
}

// addFlag adds a flag in the order of the command line.
func (p *argParser) addFlag(f urfave.Flag, word, value string) {
	p.Flags = append(p.Flags, givenFlag{FlagNames(f)[0], value})
	p.seen = append(p.seen, f)
	p.words = append(p.words, word)
}

// checkFlags returns an error if a flag before the verb is not one of its flags.
func (p *argParser) checkFlags() error {
	if p.Verb().HasVerbs() {
		return nil // the program only prints help
	}
	for i, f := range p.seen {
		own := p.Verb().Flag(FlagNames(f)[0])
		if own == nil || TakesValue(own) != TakesValue(f) {
			return p.unknownFlag(p.words[i])
		}
	}
	return nil
}

// checkEmpty returns an error for empty values of flags, and for empty arguments of verbs
// that take no data. In a script they come from a variable that is not set, and the verb
// would do something that the author of the script did not mean.
func (p *argParser) checkEmpty() error {
	if p.Help || p.Verb().HasVerbs() {
		return nil
	}
	for i, f := range p.seen {
		if p.Flags[i].Value == "" && p.Path[0].Program.EmptyMeans[p.Flags[i].Name] == "" && TakesValue(f) {
			return WithHint(UsageErrorf("%s: the value of %s is empty", p.pathNames(), p.words[i]),
				"a variable may be unset; without the flag its default applies")
		}
	}
	if !p.Verb().DataArgs && slices.Contains(p.Args, "") {
		return WithHint(UsageErrorf("%s: an argument is empty", p.pathNames()), "a variable may be unset")
	}
	return nil
}

// unknownFlag returns the error for a flag that the verb does not have.
func (p *argParser) unknownFlag(word string) error {
	v := p.Verb()
	err := UsageErrorf("unknown flag %s", word)
	if len(p.Path) > 1 {
		err = UsageErrorf("%s: unknown flag %s", p.pathNames(), word)
	}
	if near := Nearest(word, v.flagWords()); near != "" {
		return WithHint(err, "did you mean "+near+"?")
	}
	hint := strings.TrimSpace("gm help "+p.pathNames()) + " lists the flags"
	if !v.HasVerbs() {
		hint += "; -- ends the flags before data that begins with -"
	}
	return WithHint(err, hint)
}

// pathNames returns the verb's names below the root.
func (c *Call) pathNames() string {
	var names []string
	for _, v := range c.Path[1:] {
		names = append(names, v.Name)
	}
	return strings.Join(names, " ")
}

// Flag returns the flag with the name, without dashes, or nil.
func (v *Verb) Flag(name string) urfave.Flag {
	for _, f := range v.Flags {
		if slices.Contains(FlagNames(f), name) {
			return f
		}
	}
	return nil
}

// subNames returns the names of the visible subcommands.
func (v *Verb) subNames() []string {
	var names []string
	for _, sub := range v.Subs() {
		if !sub.Hidden {
			names = append(names, sub.Name)
		}
	}
	return names
}

// FlagNames returns a flag's names, without dashes. It avoids the regular expression of
// the flag's own method.
func FlagNames(f urfave.Flag) []string {
	name, others := "", []string(nil)
	switch f := f.(type) {
	case *urfave.BoolFlag:
		name, others = f.Name, f.Aliases
	case *urfave.StringFlag:
		name, others = f.Name, f.Aliases
	case *urfave.StringSliceFlag:
		name, others = f.Name, f.Aliases
	case *urfave.IntFlag:
		name, others = f.Name, f.Aliases
	case *urfave.GenericFlag:
		name, others = f.Name, f.Aliases
	default:
		return f.Names()
	}
	return append([]string{name}, others...)
}

// flagWords returns the names of the flags with their dashes.
func (v *Verb) flagWords() []string {
	words := []string{"--help"}
	for _, f := range v.Flags {
		for _, name := range FlagNames(f) {
			words = append(words, Dashed(name))
		}
	}
	return words
}

// Dashed returns a flag's name with its dashes.
func Dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// TakesValue reports whether a flag has a value.
func TakesValue(f urfave.Flag) bool {
	doc, ok := f.(urfave.DocGenerationFlag)
	return ok && doc.TakesValue()
}

// Nearest returns the candidate that the misspelled word probably means, or "".
func Nearest(word string, candidates []string) string {
	best, limit := "", 1+len(strings.TrimLeft(word, "-"))/4
	for _, c := range candidates {
		if len(strings.TrimLeft(c, "-")) < 2 {
			continue // a single letter is close to every word
		}
		if d := editDistance(word, c); d <= limit {
			best, limit = c, d-1
		}
	}
	return best
}

// editDistance returns the number of bytes to insert, delete, replace or swap with their
// neighbour to turn a into b.
func editDistance(a, b string) int {
	before, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, prev, row = prev, row, before
	}
	return prev[len(b)]
}

// NoArgs returns a usage error if there are positional arguments.
func NoArgs(c *urfave.Context) error {
	if c.NArg() > 0 {
		return UsageErrorf("%s: unexpected argument %q", c.Command.Name, c.Args().First())
	}
	return nil
}
