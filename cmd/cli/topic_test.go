package cli

import (
	"reflect"
	"testing"

	urfave "github.com/urfave/cli/v2"
)

// topicText has each kind of block.
const topicText = `# The first section
A paragraph
in two lines.
* An item with ` + "`code`" + `
  in two lines.
* Another one.

term(` + "`a`" + `, b)
the same
: Its meaning
in two lines.

## A part
` + "```sql postgres\nSELECT 1;\n\n-- the end\n```" + `
The end.
`

func TestTopicBlocks(t *testing.T) {
	topic := &Topic{Name: "x", Usage: "an example", Text: topicText, Labels: map[string]string{"postgres": "PostgreSQL:"}}
	want := []TopicBlock{
		{TopicHeading, "The first section", nil},
		{TopicText, "A paragraph\nin two lines.", nil},
		{TopicItem, "An item with `code`\nin two lines.", nil},
		{TopicItem, "Another one.", nil},
		{TopicTerm, "term(`a`, b)\nthe same", nil},
		{TopicMeaning, "Its meaning\nin two lines.", nil},
		{TopicSubhead, "A part", nil},
		{TopicCode, "SELECT 1;\n\n-- the end\n", []string{"sql", "postgres"}},
		{TopicText, "The end.", nil},
	}
	if got := topic.Blocks(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestTopicHelp(t *testing.T) {
	topic := &Topic{Name: "x", Usage: "an example", Text: topicText, Labels: map[string]string{"postgres": "PostgreSQL:"}}
	want := `gm-x - an example

THE FIRST SECTION

A paragraph in two lines.

* An item with code in two lines.
* Another one.

term(a, b)
the same
    Its meaning in two lines.

A part

PostgreSQL:

    SELECT 1;

    -- the end

The end.
`
	if got := string(TopicHelp(topic)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTopicPage(t *testing.T) {
	root := &Verb{Command: &urfave.Command{Name: "gm"}, Program: Program{Version: func() string { return "1" }, Manual: "M"}}
	want := `.TH "GM\-X" "7" "2000-01-01" "gm 1" "M"
.SH "NAME"
gm\-x \- an example
.SH "THE FIRST SECTION"
A paragraph in two lines.
.IP \(bu 2
An item with \fBcode\fR in two lines.
.IP \(bu 2
Another one.
.TP
term(\fBa\fR, b)
.TQ
the same
Its meaning in two lines.
.SS "A part"
PostgreSQL:
.PP
.nf
    SELECT 1;

    \-\- the end
.fi
.PP
The end.
.SH "SEE ALSO"
\fBgm\fR(1)
`
	topic := &Topic{Name: "x", Usage: "an example", Text: topicText, Labels: map[string]string{"postgres": "PostgreSQL:"}}
	if got := string(TopicPage(root, topic, "2000-01-01")); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
