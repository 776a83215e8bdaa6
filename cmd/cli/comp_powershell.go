package cli

import (
	"fmt"
	"slices"
	"strings"
)

// powershellCompletion returns the completion for PowerShell 5 and later.
func powershellCompletion(verbs []compVerb) string {
	var b strings.Builder
	b.WriteString(powershellHead)
	for _, v := range verbs {
		args, choices := v.args, v.choices
		if slices.Equal(choices, manPages) {
			choices = verbs[0].pages()
		}
		fmt.Fprintf(&b, "    %s = @{\n        Args = %s\n        Subs = @(", powershellQuote(v.Path), powershellValue(args, choices))
		for i, name := range v.names() {
			if i > 0 {
				b.WriteString(",")
			}
			fmt.Fprintf(&b, "\n            @(%s, %s)", powershellQuote(name), powershellQuote(v.subs[i].usage))
		}
		b.WriteString(")\n        Flags = @(")
		for i, f := range v.Flags {
			if i > 0 {
				b.WriteString(",")
			}
			value := "$null"
			if f.Value != "" {
				value = powershellValue(f.Kind, f.choices)
			}
			var words []string
			for _, word := range f.words() {
				words = append(words, powershellQuote(word))
			}
			fmt.Fprintf(&b, "\n            @{ Names = @(%s); Text = %s; Value = %s }",
				strings.Join(words, ", "), powershellQuote(f.summary()), value)
		}
		b.WriteString(")\n    }\n")
	}
	b.WriteString(powershellValues)
	powershellSources(&b, verbs[0].completion)
	words, _ := verbs[0].queryFlagWords()
	words = slices.DeleteFunc(words, func(w string) bool { return !strings.HasPrefix(w, "--") })
	isQueryFlag := "$pending.Names -contains '" + strings.Join(words, "' -or $pending.Names -contains '") + "'"
	isPath := "$false"
	if u := verbs[0].completion.URLs; u.Kind != "" {
		isPath = "$wordToComplete -match " + powershellQuote(pathSchemes(&u))
	}
	var topics []string
	for _, name := range verbs[0].topics {
		topics = append(topics, powershellQuote(name))
	}
	b.WriteString(strings.NewReplacer("TOPICS", strings.Join(topics, ", "), "IS_QUERY_FLAG", isQueryFlag, "IS_PATH", isPath).Replace(powershellTail))
	return b.String()
}

// pathSchemes returns a pattern of the schemes before a path.
func pathSchemes(u *CompURLs) string {
	return "^(" + strings.Join(schemeNames(slices.Concat(u.Dirs, u.Files)), "|") + "):"
}

// powershellSources writes the cases that propose values of a completion.
func powershellSources(b *strings.Builder, c *Completion) {
	for _, q := range c.Queries {
		fmt.Fprintf(b, "        %s { & gm %s @Connection 2>$null | ForEach-Object { ($_ -split \"`t\")[%d] } }\n",
			powershellQuote(string(q.Kind)), q.Args, q.Field-1)
	}
	if s := c.Sections; s.Kind != "" {
		fmt.Fprintf(b, `        '%[1]s' {
            $file = if ($env:%[3]s) { $env:%[3]s } else { Join-Path $HOME '.config/%[4]s' }
            Select-String -Path $file -Pattern '^\[%[2]s\.([^\]]*)\]' -ErrorAction SilentlyContinue |
                ForEach-Object { $_.Matches[0].Groups[1].Value.Trim('"') }
        }
`, s.Kind, s.Table, s.Variable, s.Default)
	}
	if u := c.URLs; u.Kind != "" {
		var schemes []string
		for _, s := range u.schemes() {
			schemes = append(schemes, powershellQuote(s))
		}
		fmt.Fprintf(b, `        '%s' {
            if ($Word -match '%s(.*)$') {
                $scheme = $Matches[1]
                Get-ChildItem -Path ($Matches[2] + '*') -ErrorAction SilentlyContinue | ForEach-Object { $scheme + ':' + $_.FullName }
            } else {
                %s
            }
        }
`, u.Kind, pathSchemes(&u), strings.Join(schemes, ", "))
	}
}

// powershellValue returns a kind and its choices as a list.
func powershellValue(kind CompKind, choices []string) string {
	list := []string{powershellQuote(string(kind))}
	for _, c := range choices {
		list = append(list, powershellQuote(c))
	}
	return "@(" + strings.Join(list, ", ") + ")"
}

func powershellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

const powershellHead = `# PowerShell completion for gm; written by "gm completion powershell"

$script:GmVerbs = @{
`

const powershellValues = `}

# Proposals for a value: a list of its kind and, for some, the words.
function script:Get-GmValue($Value, $Connection, $Word) {
    switch ($Value[0]) {
        'choices' { $Value | Select-Object -Skip 1 }
`

const powershellTail = `    }
}

Register-ArgumentCompleter -Native -CommandName gm -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $words = @($commandAst.CommandElements |
        Where-Object { $_.Extent.EndOffset -lt $cursorPosition -or $_.Extent.EndOffset -eq $cursorPosition -and $wordToComplete -eq '' } |
        ForEach-Object { $_.Extent.Text } | Select-Object -Skip 1)
    $path = @()
    $verb = $script:GmVerbs['']
    $pending = $null
    $connection = @()
    $topics = @()
    foreach ($word in $words) {
        if ($pending) {
            if (IS_QUERY_FLAG) {
                $connection += @($pending.Names[-1], $word)
            }
            $pending = $null
        } elseif ($word.StartsWith('-')) {
            $pending = $verb.Flags | Where-Object { $_.Names -ccontains $word -and $null -ne $_.Value } | Select-Object -First 1
        } elseif ($word -eq 'help' -and $path.Count -eq 0) {
            $topics = @(TOPICS)
        } elseif ($verb.Subs.Count -gt 0 -and $word -ne 'help') {
            $path += $word
            $verb = $script:GmVerbs[$path -join ' ']
            if ($null -eq $verb) { return }
        }
    }

    $proposals = if ($pending) {
        Get-GmValue $pending.Value $connection $wordToComplete | ForEach-Object { , @($_, $_) }
    } elseif ($wordToComplete.StartsWith('-')) {
        foreach ($flag in $verb.Flags) { foreach ($name in $flag.Names) { , @($name, $flag.Text) } }
    } elseif ($verb.Subs.Count -gt 0) {
        $verb.Subs
        if ($path.Count -eq 0) { $topics | ForEach-Object { , @($_, $_) } }
    } else {
        Get-GmValue $verb.Args $connection $wordToComplete | ForEach-Object { , @($_, $_) }
    }
    foreach ($p in $proposals) {
        if ($p[0].StartsWith($wordToComplete) -or IS_PATH) {
            [System.Management.Automation.CompletionResult]::new($p[0], $p[0], 'ParameterValue', $p[1])
        }
    }
}
`
