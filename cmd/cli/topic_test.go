package cli

import (
	"reflect"
	"testing"
)

// topicText has each kind of block.
const topicText = `# The first section
A paragraph
in two lines.
* An item with ` + "`code`" + `
  in two lines.
* Another one.

term(` + "`a`" + `, b)
: Its meaning
in two lines.

## A part
` + "```sql postgres\nSELECT 1;\n\n-- the end\n```" + `
The end.
`

func TestTopicBlocks(t *testing.T) {
	topic := &Topic{Name: "x", Usage: "an example", Text: topicText}
	want := []TopicBlock{
		{TopicHeading, "The first section", nil},
		{TopicText, "A paragraph\nin two lines.", nil},
		{TopicItem, "An item with `code`\nin two lines.", nil},
		{TopicItem, "Another one.", nil},
		{TopicTerm, "term(`a`, b)", nil},
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
	topic := &Topic{Name: "x", Usage: "an example", Text: topicText}
	want := `gm-x - an example

THE FIRST SECTION

A paragraph in two lines.

* An item with code in two lines.
* Another one.

term(a, b)
    Its meaning in two lines.

A part

    SELECT 1;

    -- the end

The end.
`
	if got := string(TopicHelp(topic)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
