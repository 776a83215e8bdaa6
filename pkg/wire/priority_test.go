package wire

import (
	"slices"
	"testing"
)

func TestPriorityNames(t *testing.T) {
	for _, tt := range []struct {
		priority Priority
		name     string
	}{{PriorityHigh, "high"}, {PriorityNormal, "normal"}, {PriorityLow, "low"}} {
		if got := tt.priority.String(); got != tt.name || !tt.priority.Valid() {
			t.Errorf("String is %q, Valid is %v, want %q", got, tt.priority.Valid(), tt.name)
		}
		if got, err := ParsePriority(tt.name); got != tt.priority || err != nil {
			t.Errorf("ParsePriority(%q) is %v, %v", tt.name, got, err)
		}
	}
	for _, bad := range []Priority{PriorityHigh - 1, PriorityLow + 1} {
		if bad.Valid() {
			t.Errorf("%v is valid", bad)
		}
	}
	if got := Priority(9).String(); got != "priority(9)" {
		t.Errorf("String is %q", got)
	}
	if got, err := ParsePriority("LOW"); got != PriorityLow || err != nil {
		t.Errorf("ParsePriority(LOW) is %v, %v", got, err)
	}
	if got, err := ParsePriority(""); got != PriorityNormal || err != nil {
		t.Errorf("ParsePriority of nothing is %v, %v", got, err)
	}
	if _, err := ParsePriority("urgent"); err == nil {
		t.Error("ParsePriority takes urgent")
	}
}

// The zero value is normal, and the values are in the order of service.
func TestPriorityOrder(t *testing.T) {
	var zero Priority
	if zero != PriorityNormal {
		t.Errorf("the zero value is %v", zero)
	}
	got := []Priority{PriorityLow, PriorityHigh, PriorityNormal}
	slices.Sort(got)
	if want := []Priority{PriorityHigh, PriorityNormal, PriorityLow}; !slices.Equal(got, want) {
		t.Errorf("sorted they are %v, want %v", got, want)
	}
}
