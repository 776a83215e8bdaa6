package outbox

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
)

// compareJSON returns the difference between two values in JSON, or nothing.
func compareJSON(t testing.TB, got, want string) string {
	t.Helper()
	var a, b any
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(got), &a); err != nil {
		return fmt.Sprintf("got %q: %v", got, err)
	}
	if !reflect.DeepEqual(a, b) {
		return fmt.Sprintf("got  %s\nwant %s", got, want)
	}
	return ""
}
