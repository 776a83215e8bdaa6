package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// A sentence is one sentence of prose and its place.
type sentence struct {
	pkg  string // the directory, or the name of a file at the root that is not Go
	file string // relative to the root
	line int    // of the paragraph's first line
	text string // on one line
}

// readProse returns every sentence below root, in the order of the files' names.
func readProse(root string) ([]sentence, error) {
	var all []sentence
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skipDirectory(root, name, entry.Name())
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		read := readerOf(rel)
		if read == nil || !entry.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		pkg := path.Dir(rel)
		if pkg == "." && path.Ext(rel) != ".go" {
			pkg = rel
		}
		paragraphs, err := read(rel, text)
		for _, p := range paragraphs {
			for _, s := range splitSentences(p.text) {
				all = append(all, sentence{pkg: pkg, file: rel, line: p.line, text: s})
			}
		}
		return err
	})
	return all, err
}

// skipDirectory returns fs.SkipDir for the directories without prose of the project.
func skipDirectory(root, name, base string) error {
	if name == root {
		return nil
	}
	switch {
	case strings.HasPrefix(base, "."), base == "testdata", base == "bin", base == "node_modules":
		return fs.SkipDir
	}
	return nil
}

// readerOf returns the reader of the named file, or nil if the file has no prose.
func readerOf(name string) func(name string, text []byte) ([]paragraph, error) {
	switch path.Ext(name) {
	case ".go":
		return readGo
	case ".sh":
		return readHashes
	case ".md":
		return readMarkdown
	}
	switch {
	case path.Base(name) == "Makefile":
		return readHashes
	case path.Ext(name) == ".txt" && path.Base(path.Dir(name)) == "help":
		return readMarkdown
	}
	return nil
}

// A paragraph is prose between blank lines, and the number of its first line.
type paragraph struct {
	line int
	text string
}

// String returns the line and the text.
func (p paragraph) String() string { return strconv.Itoa(p.line) + ": " + p.text }

// A collector gathers lines into paragraphs.
type collector struct {
	paragraphs []paragraph
	lines      []string
	first      int
}

// add appends a line of prose to the open paragraph.
func (c *collector) add(number int, line string) {
	if len(c.lines) == 0 {
		c.first = number
	}
	c.lines = append(c.lines, strings.TrimSpace(line))
}

// end closes the open paragraph.
func (c *collector) end() {
	if len(c.lines) > 0 {
		c.paragraphs = append(c.paragraphs, paragraph{c.first, strings.Join(c.lines, " ")})
		c.lines = nil
	}
}

// generated matches the line that marks a generated file.
var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

// readGo returns the comments of a Go file and, unless the file is a test, its
// string literals.
func readGo(name string, text []byte) ([]paragraph, error) {
	if generated.Match(text) {
		return nil, nil
	}
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var c collector
	for _, group := range file.Comments {
		for _, comment := range group.List {
			readComment(&c, files.Position(comment.Pos()).Line, comment.Text)
		}
		c.end()
	}
	if !strings.HasSuffix(name, "_test.go") {
		readLiterals(&c, files, file)
	}
	return c.paragraphs, nil
}

// directive matches a comment for a tool.
var directive = regexp.MustCompile(`^//([a-z]+:[a-z]|line |export |extern )`)

// readComment adds the lines of one comment, without directives and indented code.
func readComment(c *collector, number int, text string) {
	if directive.MatchString(text) {
		return
	}
	text = strings.TrimSuffix(strings.TrimPrefix(text, "/*"), "*/")
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimPrefix(line, "//")
		switch {
		case strings.TrimSpace(line) == "":
			c.end()
		case isCode(line) && !c.continuesItem(line):
			c.end()
		case startsItem(line):
			c.end()
			c.add(number+i, line)
		default:
			c.add(number+i, line)
		}
	}
}

// continuesItem reports whether a comment's line belongs to the open item of a list,
// whose lines are indented like code.
func (c *collector) continuesItem(line string) bool {
	return len(c.lines) > 0 && startsItem(c.lines[0]) && !strings.HasPrefix(line, "\t")
}

// isCode reports whether a comment's line is indented as code or as a table.
func isCode(line string) bool {
	return strings.HasPrefix(line, "\t") || strings.HasPrefix(line, "     ")
}

// item matches the mark before an item of a list, or before a heading.
var item = regexp.MustCompile(`^\s*([-*+]|\d+\.|#+)\s`)

// startsItem reports whether the line begins an item of a list or a heading.
func startsItem(line string) bool { return item.MatchString(line) }

// readLiterals adds each string literal of a file that reads as prose. Literals
// that are joined with + are one paragraph.
func readLiterals(c *collector, files *token.FileSet, file *ast.File) {
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.Field:
			// A struct's tag is no prose.
			return node.Tag == nil
		case *ast.BinaryExpr:
			if text, ok := joinLiterals(node); ok {
				addLiteral(c, files.Position(node.Pos()).Line, text)
				return false
			}
		case *ast.BasicLit:
			if text, ok := joinLiterals(node); ok {
				addLiteral(c, files.Position(node.Pos()).Line, text)
			}
		}
		return true
	})
}

// joinLiterals returns the text of an expression that consists of literals only.
func joinLiterals(expr ast.Expr) (string, bool) {
	switch expr := expr.(type) {
	case *ast.BasicLit:
		if expr.Kind != token.STRING {
			return "", false
		}
		text, err := strconv.Unquote(expr.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		left, ok := joinLiterals(expr.X)
		if !ok || expr.Op != token.ADD {
			return "", false
		}
		right, ok := joinLiterals(expr.Y)
		return left + right, ok
	}
	return "", false
}

// addLiteral adds the paragraphs of a literal that reads as prose.
func addLiteral(c *collector, number int, text string) {
	for _, line := range strings.Split(text, "\n") {
		if strings.TrimSpace(line) == "" || isCode(line) || !isProse(line) {
			c.end()
			continue
		}
		c.add(number, line)
	}
	c.end()
}

// words matches three words of letters in a row.
var words = regexp.MustCompile(`[A-Za-z]{2,}[,:;]? [a-z]+[,:;]? [a-z]{2,}`)

// isProse reports whether a line of a literal has three words in a row and is not code.
func isProse(line string) bool {
	return words.MatchString(line) && !strings.ContainsAny(line, "{}\\`$|")
}

// readHashes returns the comments of a shell script or Makefile, the texts of make
// help included.
func readHashes(_ string, text []byte) ([]paragraph, error) {
	var c collector
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		_, recipe, _ := strings.Cut(line, ":")
		if _, help, found := strings.Cut(recipe, "## "); found {
			c.end()
			c.add(i+1, help)
			c.end()
			continue
		}
		line = strings.TrimPrefix(line, "@")
		prose, found := strings.CutPrefix(line, "# ")
		if !found || strings.HasPrefix(prose, "   ") {
			c.end()
			continue
		}
		c.add(i+1, prose)
	}
	c.end()
	return c.paragraphs, nil
}

// readMarkdown returns the prose of a Markdown file: paragraphs, items, headings and
// rows of tables, without fenced code.
func readMarkdown(_ string, text []byte) ([]paragraph, error) {
	var c collector
	fenced := false
	for i, line := range strings.Split(string(text), "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(trimmed, "```"):
			fenced = !fenced
			c.end()
		case fenced, trimmed == "", strings.HasPrefix(line, "    ") && len(c.lines) == 0:
			c.end()
		case strings.HasPrefix(trimmed, "|"):
			c.end()
			for _, cell := range strings.Split(trimmed, "|") {
				if isProse(cell) {
					c.add(i+1, cell)
					c.end()
				}
			}
		case startsItem(line):
			c.end()
			c.add(i+1, item.ReplaceAllString(line, ""))
		default:
			c.add(i+1, line)
		}
	}
	c.end()
	return c.paragraphs, nil
}

// stop matches the end of a sentence: a stop, and a space before a capital, a digit
// or a quote.
var stop = regexp.MustCompile(`[.!?]["')]*\s+`)

// splitSentences returns the sentences of a paragraph, without inline code. A full
// stop ends a sentence unless a small letter follows, as in "e.g. this".
func splitSentences(text string) []string {
	text = inlineCode.ReplaceAllString(text, "x")
	var all []string
	start := 0
	for _, at := range stop.FindAllStringIndex(text, -1) {
		if at[1] < len(text) && text[at[1]] >= 'a' && text[at[1]] <= 'z' && strings.HasSuffix(strings.TrimSpace(text[:at[1]]), ".") && isShort(text[start:at[0]+1]) {
			continue
		}
		all = appendSentence(all, text[start:at[1]])
		start = at[1]
	}
	return appendSentence(all, text[start:])
}

// inlineCode matches code in a sentence of Markdown.
var inlineCode = regexp.MustCompile("`[^`]+`")

// isShort reports whether a text ends in an abbreviation, such as "e.g.".
func isShort(text string) bool {
	for _, abbreviation := range []string{"e.g.", "i.e.", "etc.", "cf.", "vs."} {
		if strings.HasSuffix(text, abbreviation) {
			return true
		}
	}
	return false
}

// appendSentence appends text to all if it has at least two words.
func appendSentence(all []string, text string) []string {
	text = strings.TrimSpace(text)
	if !strings.Contains(text, " ") {
		return all
	}
	return append(all, text)
}
