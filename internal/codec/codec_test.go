package codec

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"gm/pkg/store"
)

var records = []store.Record{
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
	wantCorrupt(t, putSum([]byte{0, 0, 0, 0, 9}, 0))
	wantCorrupt(t, putSum([]byte{0, 0, 0, 0, recordWhole, 0x80}, 0))
	wantCorrupt(t, putSum([]byte{0, 0, 0, 0, recordWhole, 1, 1, 1, 1, 1, 200, 'f'}, 0))
	wantCorrupt(t, putSum([]byte{0, 0, 0, 0, recordHead, 1, 1, 1, 1, 1, 0, 0, 0, 5, 1, 2, 3}, 0))
}

func wantCorrupt(t *testing.T, b []byte) {
	t.Helper()
	var corrupt *store.CorruptError
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
			b = putSum(bytes.Clone(b), 0) // past the checksum
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

func TestSalt(t *testing.T) {
	const salt = Salt(0x1234567)
	record := AppendRecord(nil, &records[1])
	plain := bytes.Clone(record)
	salt.Mix(record)
	if got := SaltOf(record); got != salt {
		t.Errorf("salt of the record: got %#x, want %#x", got, salt)
	}
	if seq, ok := salt.RecordSeq(record); !ok || seq != 1 {
		t.Errorf("with the salt: got %d, %v, want 1", seq, ok)
	}
	if _, ok := Salt(0).RecordSeq(record); ok {
		t.Error("the record matches without the salt")
	}
	if _, _, err := DecodeHead(record); err == nil {
		t.Error("the record is decoded without the salt")
	}
	if r, _, err := salt.DecodeHead(record); err != nil || r.Unique != "u" {
		t.Errorf("decode with the salt: got %+v, %v", r, err)
	}
	again := bytes.Clone(record)
	clear(again[:4])
	if salt.Reseal(again); !bytes.Equal(again, record) {
		t.Errorf("reseal: got %x, want %x", again, record)
	}
	if salt.Mix(record); !bytes.Equal(record, plain) {
		t.Errorf("mixed twice: got %x, want %x", record, plain)
	}
	first, err := NewSalt()
	second, err2 := NewSalt()
	if err != nil || err2 != nil || first == second {
		t.Errorf("new salts: got %#x, %v and %#x, %v, want two numbers", first, err, second, err2)
	}
}

func TestSealed(t *testing.T) {
	name, key, salt := []byte("extras"), []byte("k"), Salt(77)
	value := salt.AppendSealed([]byte("before"), name, key, []byte("data"))[len("before"):]
	if data, got, err := Unseal(name, key, value); string(data) != "data" || got != salt || err != nil {
		t.Errorf("got %q, %v, %v, want data, %v", data, got, err, salt)
	}
	for what, where := range map[string][2]string{"another name": {"bodies", "k"}, "another key": {"extras", "l"}} {
		if _, got, err := Unseal([]byte(where[0]), []byte(where[1]), value); got == salt || err != nil {
			t.Errorf("%s: got %v, %v, want another salt", what, got, err)
		}
	}
	for i := range value {
		damaged := bytes.Clone(value)
		damaged[i] ^= 0x10
		if _, got, _ := Unseal(name, key, damaged); got == salt {
			t.Errorf("byte %d: the salt matches", i)
		}
	}
	if _, _, err := Unseal(name, key, value[:3]); err == nil {
		t.Error("3 bytes: got no error")
	}
	again := bytes.Clone(value)
	clear(again[:SealSize])
	if salt.ResealValue(name, key, again); !bytes.Equal(again, value) {
		t.Errorf("reseal: got %x, want %x", again, value)
	}
}

func TestField(t *testing.T) {
	for _, want := range []string{"", "f", strings.Repeat("x", 127), strings.Repeat("x", 128)} {
		b := append(AppendField([]byte(nil), want), "rest"...)
		field, rest, ok := CutField(b)
		if string(field) != want || string(rest) != "rest" || !ok {
			t.Errorf("got %q, %q, %v, want %q and the rest", field, rest, ok, want)
		}
	}
	for _, b := range [][]byte{nil, {5}, {0x80}, {3, 'a', 'b'}, bytes.Repeat([]byte{0xff}, 11)} {
		if field, rest, ok := CutField(b); ok || !bytes.Equal(rest, b) {
			t.Errorf("%x: got %q, %x, want no field", b, field, rest)
		}
	}
}

func BenchmarkAppendRecord(b *testing.B) {
	r := store.Record{Seq: 7e15, Function: "resize", Unique: "3f2504e0-4f89-11d3-9a0c-0305e82c3301", Payload: make([]byte, 100), Priority: 1, Accepted: 1_795_000_000_123}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendRecord(buf[:0], &r)
	}
	b.SetBytes(int64(len(buf)))
}
