package gearman

import (
	"slices"
	"strings"

	"gm/pkg/wire"
)

// requestOptions sends the options of a new connection, before everything else. mu is
// held.
func (c *clientConn) requestOptions() {
	c.options = append(c.options, wire.OptionExceptions)
	if c.home.client.opts.Once {
		c.options = append(c.options, c.home.client.opts.onceOption())
	}
	for _, option := range c.options {
		c.putLocked(wire.OptionReq, []byte(option))
	}
}

// onceOption returns the name of the option for Once.
func (o *Options) onceOption() string {
	if o.OncePrefix == "" {
		return wire.OptionOnce
	}
	return wire.OptionOnce + ":" + o.OncePrefix
}

// onOption handles the acceptance of an option. Servers answer the options in order, but
// some ignore those that they do not know.
func (c *clientConn) onOption(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.options, func(option string) bool { return strings.EqualFold(option, name) })
	if i < 0 {
		return
	}
	c.once = c.once || c.options[i] == c.home.client.opts.onceOption()
	c.options = c.options[i+1:]
}

// onRefusedOption reports whether an ERROR refuses an option, and handles it if so. mu
// is held.
func (c *clientConn) onRefusedOption(e *ServerError) bool {
	if len(c.options) == 0 || !strings.EqualFold(e.Code, wire.CodeUnknownOption) {
		return false
	}
	c.options = c.options[1:]
	return true
}
