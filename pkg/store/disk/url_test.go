package disk

import (
	"fmt"
	"testing"

	"gm/pkg/store"
)

func TestParseURL(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"disk:/var/lib/gm", "/var/lib/gm always <nil>"},
		{"disk:data?sync=never", "data never <nil>"},
		{"disk:data?sync=interval", "data interval <nil>"},
		{"disk:data?sync=often", `data often store disk:data: sync is "often", want always, interval or never`},
		{"disk:data?snyc=never", `data always store disk:data?snyc=never: unknown option "snyc"`},
		{"disk://host/data", " always store disk://host/data: want disk:DIR"},
	} {
		u, err := store.ParseURL(test.in)
		if err != nil {
			t.Fatal(err)
		}
		c, err := ParseURL(u)
		if got := fmt.Sprint(c.Dir, " ", c.Sync, " ", err); got != test.want {
			t.Errorf("%s: got %s, want %s", test.in, got, test.want)
		}
	}
}
