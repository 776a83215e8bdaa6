package disk

import (
	"bytes"
	"fmt"
	"testing"

	"gm/pkg/store"
)

func TestMeta(t *testing.T) {
	want := meta{pageSize: 4096, root: 17, sealing: 3, freelist: noFreelist, high: 1000, tx: 77}
	b := appendMeta(want)[headerSize:]
	if got, ok := parseMeta(b); !ok || got != want {
		t.Fatalf("got %+v, %v, want %+v", got, ok, want)
	}
	want.wasDamaged = true
	for i := range metaSize {
		damaged := bytes.Clone(b)
		damaged[i] ^= 0x5A
		if _, ok := parseMeta(damaged); ok {
			t.Errorf("byte %d: not noticed", i)
		}
		if got, ok := repairMeta(damaged); !ok || got != want {
			t.Errorf("byte %d: got %+v, %v, want %+v", i, got, ok, want)
		}
		damaged[(i+1)%metaSize] ^= 1
		if got, ok := repairMeta(damaged); ok {
			t.Errorf("bytes %d and the next: got %+v, want none", i, got)
		}
	}
}

func TestReadMeta(t *testing.T) {
	page := func(tx uint64) []byte { return appendMeta(meta{pageSize: 4096, root: 3, high: 9, tx: tx}) }
	broken := make([]byte, 4096)
	for _, test := range []struct {
		name          string
		first, second []byte
		want          uint64
		wrong         bool
	}{
		{"second is newer", page(4), page(5), 5, false},
		{"first is newer", page(6), page(5), 6, false},
		{"first is broken", broken, page(5), 5, true},
		{"second is broken", page(4), broken, 4, true},
		{"both are broken", broken, broken, 0, true},
	} {
		m, err := readMeta(bytes.NewReader(append(bytes.Clone(test.first), test.second...)))
		if m.tx != test.want || (err != nil) != test.wrong {
			t.Errorf("%s: got %d, %v, want %d, an error %v", test.name, m.tx, err, test.want, test.wrong)
		}
	}
}

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
