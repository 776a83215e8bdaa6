//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gm/internal/codec"
)

// TestLeadsTo checks that a search through buckets with many records ends at each
// of them.
func TestLeadsTo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.tch")
	d, err := openHash(path, 7)
	if err != nil {
		t.Fatal(err)
	}
	for seq := range uint64(300) {
		j := add(seq+1, fmt.Sprint("f", seq%3), fmt.Sprint("u", seq*seq), "payload").Record
		if err := d.put(keyOf(j), valueOf(j)); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	table, err := openTable(path)
	if err != nil {
		t.Fatal(err)
	}
	defer table.closeFile()
	n := 0
	err = table.eachRecord(func(r *record) error {
		n++
		if found, err := table.leadsTo(r); err != nil || !found {
			t.Errorf("record %q: found %v, %v", r.key, found, err)
		}
		return nil
	}, func(offset int64, err error) { t.Errorf("at %d: %v", offset, err) })
	if err != nil || n != 300 {
		t.Errorf("got %d records, %v, want 300", n, err)
	}
}

// TestForgedRecord breaks the header of a record whose payload looks like a
// record of gm or of gearmand: that does not count as a record.
func TestForgedRecord(t *testing.T) {
	for name, forged := range map[string]string{
		"gm's":       string(valueOf(add(666, "forged", "x", "").Record)),
		"gearmand's": "forged\x00x\x001" + "0\x00payload",
	} {
		file := filepath.Join(t.TempDir(), "queue.tch")
		s := open(t, file)
		commit(t, s, add(3, "f", "u3", "payload"))
		head, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		key := "forged-x"
		block := append([]byte{blockRecord, hashOf([]byte(key))}, make([]byte, 8+2)...)
		block = appendVnum(appendVnum(block, len(key)), len(forged))
		block = append(append(block, key...), forged...)
		padding := 16 - len(block)%16
		orderOf(head).PutUint16(block[10:], uint16(padding))
		block = append(block, make([]byte, padding)...)
		var payload []byte
		for range 16 { // records begin at multiples of 16
			payload = append(append(payload, block...), 0)
		}
		commit(t, s, add(1, "f", "u1", string(payload)), add(2, "f", "u2", "payload"))
		crash(t, s)
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(b, []byte("f-u1"))
		b[at-5] = 0xff // in its header
		b[(at-12)&^15] = 0
		if err := errors.Join(os.WriteFile(file, b, 0o600), os.Remove(file+".journal")); err != nil {
			t.Fatal(err)
		}
		s, err = Open(t.Context(), Config{File: file})
		if err != nil {
			t.Fatal(err)
		}
		got := jobsIn(t, s)
		if len(got) == 0 || slices.ContainsFunc(got, func(j string) bool { return strings.Contains(j, "forged") }) {
			t.Errorf("%s: got %.300q", name, got)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func appendVnum(b []byte, n int) []byte {
	for ; n >= 0x80; n >>= 7 {
		b = append(b, ^byte(n&0x7f))
	}
	return append(b, byte(n))
}

// TestForgedBatch checks that a batch in a payload is none when the length of the
// batch that it lies in is wrong. A journal without a salt is read still.
func TestForgedBatch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	batch := func(sum uint32, key string, value []byte) []byte {
		b := append(make([]byte, 8), byte(len(key)))
		b = append(b, key...)
		b = append(binary.AppendUvarint(b, uint64(len(value))+1), value...)
		binary.LittleEndian.PutUint32(b, uint32(len(b)-8))
		binary.LittleEndian.PutUint32(b[4:], codec.CRC(sum, b[8:]))
		return b
	}
	read := func() (keys []string, damaged int) {
		err := readJournal(path, func(c change) error { keys = append(keys, c.key); return nil }, func(error) { damaged++ })
		if err != nil {
			t.Fatal(err)
		}
		return keys, damaged
	}
	forged := append(batch(0, "forged", []byte("v")), batch(codec.CRC(0, make([]byte, 8)), "forged", []byte("v"))...)
	j, err := openJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.appendBatch([]change{{"first", []byte("v")}, {"second", forged}}); err != nil {
		t.Fatal(err)
	}
	if err := j.appendBatch([]change{{"third", []byte("v")}}); err != nil {
		t.Fatal(err)
	}
	if keys, damaged := read(); !slices.Equal(keys, []string{"first", "second", "third"}) || damaged > 0 {
		t.Errorf("got %q, %d damaged", keys, damaged)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint32(b[journalHead:], uint32(bytes.Index(b, forged)-journalHead-8))
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if keys, damaged := read(); slices.Contains(keys, "forged") || damaged == 0 {
		t.Errorf("a length is wrong: got %q, %d damaged", keys, damaged)
	}
	if err := os.WriteFile(path, append(batch(0, "a", []byte("1")), batch(0, "b", nil)...), 0o600); err != nil {
		t.Fatal(err)
	}
	if keys, damaged := read(); !slices.Equal(keys, []string{"a", "b"}) || damaged > 0 {
		t.Errorf("without a salt: got %q, %d damaged", keys, damaged)
	}
	if err := j.file.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestLeftovers opens databases as kills and people leave them: no job in one
// of their files is lost, and the log names the files.
func TestLeftovers(t *testing.T) { eachKind(t, testLeftovers) }

func testLeftovers(t *testing.T, name string) {
	made := filepath.Join(t.TempDir(), name)
	s := open(t, made)
	for seq := range uint64(5) {
		commit(t, s, add(seq+1, "f", fmt.Sprint("u", seq), strings.Repeat("payload", 1000)))
	}
	read := func(suffix string) []byte {
		b, err := os.ReadFile(made + suffix)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	crashInCommit(t, s)
	killed, last := read(""), read(logSuffix(name))
	s = open(t, made)
	if n := len(jobsIn(t, s)); n != 5 {
		t.Fatalf("got %d jobs, want 5", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	closed := read("")
	s = open(t, made)
	commit(t, s)
	if n := len(jobsIn(t, s)); n != 5 {
		t.Fatalf("got %d jobs, want 5", n)
	}
	crash(t, s)
	between := read("")
	for _, tc := range []struct {
		only  string // kind of database, empty for both
		name  string
		files map[string][]byte
		want  int
		log   string
	}{
		{"", "killed after the salvage", map[string][]byte{"": killed, logSuffix(name): last, ".salvaged": closed}, 5, "a new database was made"},
		{"", "killed in the salvage", map[string][]byte{"": killed, logSuffix(name): last, ".salvaging": closed[:5000]}, 5, "unfinished file removed"},
		{".tch", "only the journal", map[string][]byte{".journal": last}, 5, "the database is missing"},
		{".tch", "an empty file and the journal", map[string][]byte{"": {}, ".journal": last}, 5, "the database is missing"},
		{"", "only a broken one", map[string][]byte{".broken-1": closed[:5000]}, 0, "the database is missing"},
		{".tch", "a journal and a database that was closed", map[string][]byte{"": closed, ".journal": last}, 5, "older than the database"},
		{".tcb", "only a log", map[string][]byte{".wal": last}, 0, "the database is missing"},
		{".tcb", "killed in a commit", map[string][]byte{"": killed, ".wal": last}, 5, ""},
		{".tcb", "killed as a commit ended", map[string][]byte{"": between, ".wal": {}}, 5, ""},
		{".tcb", "killed as a commit began", map[string][]byte{"": between, ".wal": last[:200]}, 5, ""},
		{".tcb", "a log and a database that was closed", map[string][]byte{"": closed, ".wal": last}, 5, ""},
		{".tcb", "a log of another database", map[string][]byte{"": between, ".wal": bytes.Repeat([]byte("another "), 1000)}, 5, "log of the last transaction"},
		{"", "records set aside", map[string][]byte{"": closed, ".corrupt": []byte("{}\n")}, 5, "records that were set aside are kept"},
		{"", "a lock", map[string][]byte{"": closed, ".lock": []byte("gm, pid 7\n")}, 5, "was not closed by its last holder"},
	} {
		if tc.only != "" && tc.only != filepath.Ext(name) {
			continue
		}
		t.Run(tc.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), name)
			for suffix, b := range tc.files {
				if err := os.WriteFile(file+suffix, b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			log := new(bytes.Buffer)
			s, err := Open(t.Context(), Config{File: file, Logger: slog.New(slog.NewTextHandler(log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			if n := len(jobsIn(t, s)); n != tc.want {
				t.Errorf("got %d jobs, want %d", n, tc.want)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if tc.log != "" && !strings.Contains(log.String(), tc.log) {
				t.Errorf("the log has no %q: %s", tc.log, log)
			}
			if sizeOrNone(file+walSuffix) >= 0 {
				t.Error("the log of the transactions is left behind")
			}
		})
	}
}
