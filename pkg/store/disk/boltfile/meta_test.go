package boltfile

import (
	"bytes"
	"testing"
)

func TestMeta(t *testing.T) {
	want := Meta{PageSize: 4096, Root: 17, Tag: 3, Freelist: ^uint64(0), High: 1000, Tx: 77}
	b := appendMeta(want)[HeaderSize:]
	if got, ok := parseMeta(b); !ok || got != want {
		t.Fatalf("got %+v, %v, want %+v", got, ok, want)
	}
	want.WasDamaged = true
	for i := range metaSize {
		damaged := bytes.Clone(b)
		damaged[i] ^= 0x5A
		if _, ok := parseMeta(damaged); ok {
			t.Errorf("byte %d: not detected", i)
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
	page := func(tx uint64) []byte { return appendMeta(Meta{PageSize: 4096, Root: 3, High: 9, Tx: tx}) }
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
		m, err := ReadMeta(bytes.NewReader(append(bytes.Clone(test.first), test.second...)))
		if m.Tx != test.want || (err != nil) != test.wrong {
			t.Errorf("%s: got %d, %v, want %d, an error %v", test.name, m.Tx, err, test.want, test.wrong)
		}
	}
}
