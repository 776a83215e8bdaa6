package store

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

var records = []Record{
	{},
	{Seq: 1, Function: "f", Unique: "u", Payload: []byte("payload"), Priority: 1, Accepted: 1_795_000_000_123},
	{Seq: math.MaxUint64, RunAt: math.MaxInt64, Accepted: math.MinInt64, Attempts: math.MaxInt, Priority: 255},
	{Seq: 7, RunAt: -1, Attempts: -1, Function: "\x00\xff", Unique: strings.Repeat("u", 300), Reducer: "r", Payload: make([]byte, 1000)},
}

func TestRecordRoundTrip(t *testing.T) {
	for _, want := range records {
		b := AppendRecord([]byte("before"), &want)
		got, err := DecodeRecord(b[len("before"):])
		if err != nil {
			t.Errorf("decode %+v: %v", want, err)
			continue
		}
		if len(got.Payload) == 0 {
			got.Payload = want.Payload
		}
		if !reflect.DeepEqual(*got, want) {
			t.Errorf("got %+v, want %+v", *got, want)
		}
	}
}

func TestHeadRoundTrip(t *testing.T) {
	for _, want := range records {
		b := AppendHead(nil, &want, BodyOf(want.Payload))
		got, body, err := DecodeHead(b)
		if err != nil {
			t.Errorf("decode %+v: %v", want, err)
			continue
		}
		if body == nil || *body != BodyOf(want.Payload) {
			t.Errorf("body of %+v: got %v, want %v", want, body, BodyOf(want.Payload))
		}
		want.Payload = nil
		if !reflect.DeepEqual(*got, want) {
			t.Errorf("got %+v, want %+v", *got, want)
		}
		if r, err := DecodeRecord(b); err == nil {
			t.Errorf("head decoded as a whole record: %+v", r)
		}
	}
}

func TestDamagedRecord(t *testing.T) {
	whole := AppendRecord(nil, &records[1])
	head := AppendHead(nil, &records[1], BodyOf(records[1].Payload))
	for _, b := range [][]byte{whole, head} {
		for i := range b {
			damaged := bytes.Clone(b)
			damaged[i] ^= 0x10
			wantCorrupt(t, damaged)
			wantCorrupt(t, b[:i])
		}
		wantCorrupt(t, append(bytes.Clone(b), 0))
	}
	// Sealed, but not by us.
	wantCorrupt(t, seal([]byte{0, 0, 0, 0, 9}, 0))
	wantCorrupt(t, seal([]byte{0, 0, 0, 0, recordWhole, 0x80}, 0))
	wantCorrupt(t, seal([]byte{0, 0, 0, 0, recordWhole, 1, 1, 1, 1, 1, 200, 'f'}, 0))
	wantCorrupt(t, seal([]byte{0, 0, 0, 0, recordHead, 1, 1, 1, 1, 1, 0, 0, 0, 5, 1, 2, 3}, 0))
}

func wantCorrupt(t *testing.T, b []byte) {
	t.Helper()
	var corrupt *CorruptError
	if r, _, err := DecodeHead(b); !errors.As(err, &corrupt) {
		t.Errorf("decode %q: got %+v, %v, want a *CorruptError", b, r, err)
	}
}

func FuzzDecodeHead(f *testing.F) {
	for _, r := range records {
		f.Add(AppendRecord(nil, &r))
		f.Add(AppendHead(nil, &r, BodyOf(r.Payload)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 4 {
			b = seal(bytes.Clone(b), 0) // past the checksum
		}
		r, body, err := DecodeHead(b)
		if err != nil {
			return
		}
		var again []byte
		if body == nil {
			again = AppendRecord(nil, r)
		} else {
			again = AppendHead(nil, r, *body)
		}
		r2, body2, err := DecodeHead(again)
		if err != nil || !reflect.DeepEqual(r, r2) || !reflect.DeepEqual(body, body2) {
			t.Errorf("%q: decoded %+v, then %+v, %v", b, r, r2, err)
		}
	})
}

func BenchmarkAppendRecord(b *testing.B) {
	r := Record{Seq: 7e15, Function: "resize", Unique: "3f2504e0-4f89-11d3-9a0c-0305e82c3301", Payload: make([]byte, 100), Priority: 1, Accepted: 1_795_000_000_123}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendRecord(buf[:0], &r)
	}
	b.SetBytes(int64(len(buf)))
}
