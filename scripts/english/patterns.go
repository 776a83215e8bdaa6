package main

import "regexp"

// A pattern is a phrase that a reader has to read twice, or that has a more usual one.
type pattern struct {
	name    string
	instead string         // the usual phrase
	expr    *regexp.Regexp // matches the phrase
	usual   *regexp.Regexp // matches the uses of expr that are good English; nil if there are none
}

// patterns are all phrases that are counted. In package net of the Go standard library,
// 0.7 % of the sentences have one.
var patterns = []pattern{
	{
		name: "what", instead: "name the thing",
		expr:  regexp.MustCompile(`(?i)\bwhat(ever)?\b`),
		usual: regexp.MustCompile(`\?|(?i)\b(no matter what|what if)\b`),
	},
	{
		name: "who", instead: "name the person or the program",
		expr: regexp.MustCompile(`(?i)\bwho(ever|m)?\b`),
		usual: regexp.MustCompile(`\?|` +
			`(?i)\b(user|reader|person|people|anyone|someone|operator|administrator|programmer|developer|author|maintainer)s? who\b`),
	},
	{
		name: "beside", instead: "besides, next to, compared with",
		expr: regexp.MustCompile(`(?i)\bbeside\b`),
	},
	{
		name: "but", instead: "except, only",
		expr:  regexp.MustCompile(`(?i)\b(but for|(all|none|nothing|nobody|everything|everybody|anything|no \w+) but)\b`),
		usual: regexp.MustCompile(`(?i)\bbut for (each|every|all|an?|example|instance|now|later|those|these|this|that)\b`),
	},
	{
		name: "is-to", instead: "must, should, will",
		expr: regexp.MustCompile(`(?i)\b(is|are|was|were) (still |not |only |also )?to [a-z]{2,}`),
		usual: regexp.MustCompile(`(?i)\b(purpose|default|idea|goal|aim|point|way|alternative|option|choice|intent|intention|rule|` +
			`convention|workaround|solution|fix|trick|role|equal|equivalent|relative)\b[^.]{0,40} (is|are|was|were) (not |only |also )?to\b` +
			`|\bthis (is|was) (not |only |also )?to\b`),
	},
	{
		name: "has-it", instead: "let, make, ask, or the plain verb",
		expr: regexp.MustCompile(`(?i)\b(has|have|had|having) (it|them|this|that|one|him|her) ` +
			`(that|be|[a-z]+ed|(tak|giv|writt|forgott|brok)en|(d|g)one|cut|sent|read|put|kept|made|run|go|come|say|talk|wait|told|found|held|lost)\b`),
	},
	{
		name: "by-itself", instead: "on its own, alone, automatically",
		expr: regexp.MustCompile(`(?i)\b(by|of) (itself|themselves)\b`),
	},
	{
		name: "says-whether", instead: "reports whether",
		expr: regexp.MustCompile(`(?i)\b(says?|tells?|told|knows?) (whether|if)\b`),
	},
	{
		name: "hears", instead: "detect, learn, be notified",
		expr: regexp.MustCompile(`(?i)\b(hears?|heard) (of|from|that|about|it)\b|\btells? (of|that|about)\b`),
	},
	{
		name: "its-end", instead: "about to expire, about to end",
		expr: regexp.MustCompile(`(?i)\b(near|nears|comes? to|coming to|came to) (its|their|an|the) ends?\b`),
	},
}

// quoted matches a phrase in quotes, which is talked about and not used.
var quoted = regexp.MustCompile(`"[^"]*"|“[^”]*”`)

// findPatterns returns the names of the patterns that a sentence has.
func findPatterns(text string) []string {
	text = quoted.ReplaceAllString(text, "x")
	var names []string
	for _, p := range patterns {
		if p.expr.MatchString(text) && (p.usual == nil || !p.usual.MatchString(text)) {
			names = append(names, p.name)
		}
	}
	return names
}
