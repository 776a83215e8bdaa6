package cli

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// A Topic is a text about more than one verb: a page of section 7 of the manual, which
// help shows too. Its Text is a small part of Markdown:
//
//   - "# Heading" and "## Heading",
//   - paragraphs, and lists of "* item",
//   - terms, each with its explanation: one or more lines, then one that begins with ": ",
//   - code between lines of ```, the first of which may have words about the code,
//   - `code` in a line.
type Topic struct {
	Name  string   // the word after help and man
	Usage string   // a line for lists
	Verbs []string // the verbs whose pages refer to the topic
	Text  string

	// Labels are lines before code, by a word about it.
	Labels map[string]string
}

// Topic returns the topic that a word means, its name or that of its page, or nil.
func (p *Program) Topic(word string) *Topic {
	for i := range p.Topics {
		if t := &p.Topics[i]; word == t.Name || word == t.PageName() {
			return t
		}
	}
	return nil
}

// topicNames returns the names of the topics.
func (p *Program) topicNames() []string {
	var names []string
	for i := range p.Topics {
		names = append(names, p.Topics[i].Name)
	}
	return names
}

// PageName returns the name of the topic's manual page: gm-sql.
func (t *Topic) PageName() string { return ProgramName + "-" + t.Name }

// A TopicBlock is a heading, a paragraph, an item of a list, a term or a piece of code.
type TopicBlock struct {
	Kind TopicKind
	Text string   // without marks; of code with its line ends
	Info []string // the words after the marks of code
}

// TopicKind is the kind of a TopicBlock.
type TopicKind int

// The kinds of blocks of a topic.
const (
	TopicText    TopicKind = iota // a paragraph
	TopicHeading                  // the beginning of a section
	TopicSubhead                  // the beginning of a part of a section
	TopicItem                     // an item of a list
	TopicTerm                     // a term
	TopicMeaning                  // the explanation of the term before it
	TopicCode                     // lines of code
)

// topicMarks are the beginnings of lines that begin a block of their own.
var topicMarks = []struct {
	mark string
	kind TopicKind
}{
	{"# ", TopicHeading},
	{"## ", TopicSubhead},
	{"* ", TopicItem},
	{": ", TopicMeaning},
}

const codeMark = "```"

// Blocks returns the blocks of the text.
func (t *Topic) Blocks() []TopicBlock {
	var blocks []TopicBlock
	open := false // the next line continues the last block
	lines := strings.Split(strings.TrimSpace(t.Text), "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if info, ok := strings.CutPrefix(line, codeMark); ok {
			end := i + 1
			for end < len(lines) && lines[end] != codeMark {
				end++
			}
			code := strings.Join(lines[i+1:end], "\n") + "\n"
			blocks = append(blocks, TopicBlock{TopicCode, code, strings.Fields(info)})
			i, open = end, false
			continue
		}
		if strings.TrimSpace(line) == "" {
			open = false
			continue
		}
		block, marked := TopicBlock{Text: line}, false
		for _, m := range topicMarks {
			if text, ok := strings.CutPrefix(line, m.mark); ok {
				block, marked = TopicBlock{Kind: m.kind, Text: text}, true
			}
		}
		switch {
		case open && !marked:
			blocks[len(blocks)-1].Text += "\n" + strings.TrimSpace(line)
			continue
		case block.Kind == TopicMeaning && open:
			blocks[len(blocks)-1].Kind = TopicTerm
		}
		blocks = append(blocks, block)
		open = block.Kind != TopicHeading && block.Kind != TopicSubhead
	}
	return blocks
}

// indented returns lines of code with blanks before those that are not empty.
func indented(code string) string {
	var b strings.Builder
	for line := range strings.Lines(code) {
		if line != "\n" {
			line = "    " + line
		}
		b.WriteString(line)
	}
	return b.String()
}

// label returns the line before a block of code, or "".
func (t *Topic) label(b *TopicBlock) string {
	for _, word := range b.Info {
		if label := t.Labels[word]; label != "" {
			return label
		}
	}
	return ""
}

// TopicHelp returns a topic as plain text.
func TopicHelp(t *Topic) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s - %s\n", t.PageName(), RenameProgram(t.Usage))
	last := TopicHeading
	for _, block := range t.Blocks() {
		text := RenameProgram(block.Text)
		if block.Kind != TopicMeaning && (block.Kind != TopicItem || last != TopicItem) {
			b.WriteByte('\n')
		}
		last = block.Kind
		if block.Kind == TopicCode {
			if label := t.label(&block); label != "" {
				b.WriteString(label + "\n\n")
			}
			b.WriteString(indented(text))
			continue
		}
		text = strings.ReplaceAll(text, "`", "")
		switch block.Kind {
		case TopicHeading:
			text = strings.ToUpper(text) + "\n"
		case TopicSubhead, TopicTerm:
			text += "\n"
		case TopicItem:
			text = wrap(text, "* ", "  ", helpWidth)
		case TopicMeaning:
			text = wrap(text, "    ", "    ", helpWidth)
		default:
			text = wrap(text, "", "", helpWidth)
		}
		b.WriteString(text)
	}
	return b.Bytes()
}

// TopicPage returns the manual page of a topic. Its last section names the pages of the
// program and of the topic's verbs.
func TopicPage(root *Verb, t *Topic, date string) []byte {
	m := &ManWriter{}
	m.title(strings.ToUpper(t.PageName()), "7", date, &root.Program)
	m.Macro("SH", "NAME")
	m.Text(Roff(t.PageName()) + " \\- " + Roff(RenameProgram(t.Usage)))
	last := TopicText
	for _, block := range t.Blocks() {
		if label := t.label(&block); label != "" {
			m.topicBlock(&TopicBlock{Text: label}, last)
			last = TopicText
		}
		m.topicBlock(&block, last)
		last = block.Kind
	}
	pages := []string{ManName([]*Verb{root})}
	for _, name := range t.Verbs {
		pages = append(pages, ManName([]*Verb{root, root.Sub(name)}))
	}
	m.Macro("SH", "SEE ALSO")
	m.pageNames(pages, "1")
	return m.Bytes()
}

// topicBlock writes a block of a topic after one of another kind.
func (m *ManWriter) topicBlock(b *TopicBlock, last TopicKind) {
	text := RenameProgram(b.Text)
	isFirst := last == TopicHeading || last == TopicSubhead
	switch b.Kind {
	case TopicHeading:
		m.Macro("SH", strings.ToUpper(strings.ReplaceAll(text, "`", "")))
	case TopicSubhead:
		m.Macro("SS", strings.ReplaceAll(text, "`", ""))
	case TopicItem:
		m.WriteString(".IP \\(bu 2\n")
		m.code(text)
	case TopicTerm:
		for i, term := range strings.Split(text, "\n") {
			m.Macro([]string{"TP", "TQ"}[min(i, 1)])
			m.Text(boldCode(term))
		}
	case TopicMeaning:
		m.code(text)
	default:
		if !isFirst {
			m.Macro("PP")
		}
		if b.Kind == TopicCode {
			m.verbatim(strings.TrimSuffix(indented(text), "\n"))
			return
		}
		m.code(text)
	}
}

// code writes a paragraph in which text between backquotes is bold.
func (m *ManWriter) code(text string) {
	m.Text(boldCode(strings.TrimSuffix(wrap(text, "", "", 66), "\n")))
}

// boldCode returns text as roff, in bold between backquotes.
func boldCode(text string) string {
	var b strings.Builder
	for i, part := range strings.Split(text, "`") {
		if i%2 == 1 {
			part = `\fB` + Roff(part) + `\fR`
		} else {
			part = Roff(part)
		}
		b.WriteString(part)
	}
	return b.String()
}

// pageNames writes references to pages of a section of the manual.
func (m *ManWriter) pageNames(names []string, section string) {
	var pages []string
	for _, name := range names {
		pages = append(pages, `\fB`+Roff(name)+`\fR(`+section+`)`)
	}
	m.Text(strings.Join(pages, ",\n"))
}

// helpTopics writes the list of topics.
func helpTopics(b *bytes.Buffer, p *Program) {
	if len(p.Topics) == 0 {
		return
	}
	fmt.Fprintf(b, "\nTopics (%s help TOPIC):\n", ProgramName)
	for i := range p.Topics {
		fmt.Fprintf(b, "  %s  %s\n", p.Topics[i].Name, RenameProgram(p.Topics[i].Usage))
	}
}

// topicsOf returns the topics to which the page of a verb refers, all for the root.
func topicsOf(root, v *Verb) []*Topic {
	var topics []*Topic
	for i := range root.Program.Topics {
		if t := &root.Program.Topics[i]; v == root || slices.Contains(t.Verbs, v.Name) {
			topics = append(topics, t)
		}
	}
	return topics
}
