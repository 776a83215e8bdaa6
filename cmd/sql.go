package cmd

import (
	_ "embed" // for the text

	"gm/cmd/cli"
)

//go:embed help/sql.txt
var sqlText string

// sqlTopic describes the two ways in which a database creates jobs.
var sqlTopic = cli.Topic{
	Name:  "sql",
	Usage: "jobs from PostgreSQL, MySQL and MariaDB",
	Verbs: []string{"outbox", "serve", "submit", "work"},
	Text:  sqlText,

	Labels: map[string]string{"postgres": "PostgreSQL:", "mysql": "MySQL and MariaDB:"},
}
