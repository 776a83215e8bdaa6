package udf_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// sqlStates are the SQLSTATEs of the errors that the extension raises, by their names in
// its source.
var sqlStates = map[string]string{
	"MAKE_SQLSTATE('U', 'G', '0', '0', '1')":              "UG001",
	"MAKE_SQLSTATE('U', 'G', '0', '0', '2')":              "UG002",
	"MAKE_SQLSTATE('U', 'G', '0', '0', '3')":              "UG003",
	"ERRCODE_CONFIG_FILE_ERROR":                           "F0000",
	"ERRCODE_CONNECTION_FAILURE":                          "08006",
	"ERRCODE_INVALID_PARAMETER_VALUE":                     "22023",
	"ERRCODE_INVALID_TEXT_REPRESENTATION":                 "22P02",
	"ERRCODE_OUT_OF_MEMORY":                               "53200",
	"ERRCODE_PROTOCOL_VIOLATION":                          "08P01",
	"ERRCODE_QUERY_CANCELED":                              "57014",
	"ERRCODE_INTERNAL_ERROR":                              "", // of mistakes in the extension
	"ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION": "08001",
}

// TestPageErrors checks that the page lists the errors of both libraries.
func TestPageErrors(t *testing.T) {
	page := readText(t, pageFile)
	sources, err := filepath.Glob("postgres/*.c")
	if err != nil || len(sources) == 0 {
		t.Fatalf("%d sources: %v", len(sources), err)
	}
	var codes []string
	for _, file := range sources {
		for _, name := range regexp.MustCompile(`ERRCODE_\w+|MAKE_SQLSTATE\([^)]*\)`).FindAllString(readText(t, file), -1) {
			state, ok := sqlStates[name]
			if !ok {
				t.Errorf("%s: %s has no SQLSTATE in this test", file, name)
			}
			codes = append(codes, state)
		}
	}
	for _, m := range regexp.MustCompile(`UDF_ERROR_\w+ = (\d+)`).FindAllStringSubmatch(readText(t, "mysql/gman_mysql.h"), -1) {
		codes = append(codes, m[1])
	}
	if len(codes) < 20 {
		t.Errorf("the errors are %q; want more", codes)
	}
	for _, code := range codes {
		if code != "" && !strings.Contains(page, "`"+code+"`") {
			t.Errorf("the page does not list the error %s", code)
		}
	}
}

func readText(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
