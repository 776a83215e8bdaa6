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
		if slices.Equal(choices, manVerbs) {
			choices = verbs[0].names()
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
	var schemes []string
	for _, s := range storeSchemes {
		schemes = append(schemes, powershellQuote(s))
	}
	b.WriteString(strings.Replace(powershellTail, "STORES", strings.Join(schemes, ", "), 1))
	return b.String()
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

const powershellTail = `}

# Proposals for a value: a list of its kind and, for some, the words.
function script:Get-GmValue($Value, $Connection, $Word) {
    switch ($Value[0]) {
        'choices' { $Value | Select-Object -Skip 1 }
        'functions' { & gm status -o tsv -t 300 @Connection 2>$null | ForEach-Object { ($_ -split "` + "`" + `t")[0] } }
        'dead' { & gm jobs --dead -o tsv -t 300 @Connection 2>$null | ForEach-Object { ($_ -split "` + "`" + `t")[1] } }
        'contexts' {
            $file = if ($env:GM_CONFIG) { $env:GM_CONFIG } else { Join-Path $HOME '.config/gm/config.toml' }
            Select-String -Path $file -Pattern '^\[contexts\.([^\]]*)\]' -ErrorAction SilentlyContinue |
                ForEach-Object { $_.Matches[0].Groups[1].Value.Trim('"') }
        }
        'stores' {
            if ($Word -match '^(disk|sqlite|tokyocabinet):(.*)$') {
                $scheme = $Matches[1]
                Get-ChildItem -Path ($Matches[2] + '*') -ErrorAction SilentlyContinue | ForEach-Object { $scheme + ':' + $_.FullName }
            } else {
                STORES
            }
        }
        'handles' { & gm jobs -o tsv -t 300 @Connection 2>$null | ForEach-Object { ($_ -split "` + "`" + `t")[1] } }
    }
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
    foreach ($word in $words) {
        if ($pending) {
            if ($pending.Names -contains '--server' -or $pending.Names -contains '--port' -or $pending.Names -contains '--context') {
                $connection += @($pending.Names[-1], $word)
            }
            $pending = $null
        } elseif ($word.StartsWith('-')) {
            $pending = $verb.Flags | Where-Object { $_.Names -ccontains $word -and $null -ne $_.Value } | Select-Object -First 1
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
    } else {
        Get-GmValue $verb.Args $connection $wordToComplete | ForEach-Object { , @($_, $_) }
    }
    foreach ($p in $proposals) {
        if ($p[0].StartsWith($wordToComplete) -or $wordToComplete -match '^(disk|sqlite|tokyocabinet):') {
            [System.Management.Automation.CompletionResult]::new($p[0], $p[0], 'ParameterValue', $p[1])
        }
    }
}
`
