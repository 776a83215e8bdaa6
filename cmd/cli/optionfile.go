package cli

import (
	"errors"
	"os"
	"strings"

	urfave "github.com/urfave/cli/v2"
)

// SetFromFile sets the flags of a verb that a file has and the command line has not. The
// flag with this name names the file, which has the form of a command line; without the
// flag SetFromFile does nothing. The verb is one below root.
func SetFromFile(root *Verb, c *urfave.Context, name string) error {
	path := c.String(name)
	if path == "" {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return UsageErrorf("read --%s: %w", name, err)
	}
	words, err := splitWords(string(text))
	if err != nil {
		return UsageErrorf("%s: %w", path, err)
	}
	call, err := ParseArgs(root, append([]string{c.Command.Name}, words...))
	switch {
	case err != nil:
		wrapped := UsageErrorf("%s: %w", path, err)
		if hint := HintOf(err); hint != "" {
			wrapped = WithHint(wrapped, hint)
		}
		return wrapped
	case call.Help || call.Version || len(call.Args) > 0:
		return UsageErrorf("%s: want only options", path)
	}
	given := map[string]bool{}
	for _, f := range call.Flags {
		given[f.Name] = c.IsSet(f.Name)
	}
	for _, f := range call.Flags {
		if given[f.Name] {
			continue
		}
		if err := c.Set(f.Name, f.Value); err != nil {
			return UsageErrorf("%s: invalid value %q for flag %s: %w", path, f.Value, Dashed(f.Name), err)
		}
	}
	return nil
}

var errOpenQuote = errors.New("missing closing quote")

// splitWords splits text at white space. Quotes enclose white space, and # begins a
// comment where a word could begin.
func splitWords(text string) (words []string, err error) {
	var word []byte
	inWord, quote := false, byte(0)
	for i := 0; i < len(text); i++ {
		b := text[i]
		switch {
		case quote != 0 && b == quote:
			quote = 0
		case quote != 0:
			word = append(word, b)
		case b == '\'' || b == '"':
			inWord, quote = true, b
		case b == '#' && !inWord:
			end := strings.IndexByte(text[i:], '\n')
			if end < 0 {
				end = len(text) - i
			}
			i += end
		case strings.IndexByte(" \t\r\n", b) >= 0:
			if inWord {
				words = append(words, string(word))
			}
			word, inWord = nil, false
		default:
			word, inWord = append(word, b), true
		}
	}
	if quote != 0 {
		return nil, errOpenQuote
	}
	if inWord {
		words = append(words, string(word))
	}
	return words, nil
}
