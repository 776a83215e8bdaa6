package disk

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"gm/internal/codec"
	"gm/pkg/store"
	"gm/pkg/store/disk/boltfile"
	"gm/pkg/store/internal/filestore"
)

// earlierForms are the directories in testdata that earlier versions of gm have
// left, which had no salt in queue.db, when they were killed.
var earlierForms = []string{"form1", "form2"}

// earlierPayload returns the payload of a job in them.
func earlierPayload(seq uint64) string {
	size := 10
	switch {
	case seq == 31:
		size = 1500
	case seq == 32:
		size = 70_000
	}
	return strings.Repeat(fmt.Sprint(seq, " "), size)[:size]
}

// earlierJobs returns which jobs they have, with the attempts: 3, 4 and 6 are
// done.
func earlierJobs() map[uint64]int {
	jobs := make(map[uint64]int)
	for seq := uint64(1); seq <= 40; seq++ {
		jobs[seq] = 0
	}
	jobs[5] = 2
	for _, seq := range []uint64{3, 4, 6} {
		delete(jobs, seq)
	}
	return jobs
}

// unpackForm writes one of them into a new directory.
func unpackForm(t *testing.T, form string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range []string{"queue.db", "queue.log.0", "queue.log.1"} {
		f, err := os.Open(filepath.Join("testdata", form, name+".gz"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		r, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// wantEarlier compares the jobs and extras of a store with those of an earlier
// form.
func wantEarlier(t *testing.T, s *Store, want map[uint64]int) {
	t.Helper()
	got := make(map[uint64]int)
	err := s.Replay(t.Context(), func(r *store.Record) error {
		got[r.Seq] = r.Attempts
		if string(r.Payload) != earlierPayload(r.Seq) {
			t.Errorf("job %d has another payload", r.Seq)
		}
		return nil
	})
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("got jobs %v, %v, want %v", got, err, want)
	}
	extras := make(map[string]string)
	err = s.Extras(t.Context(), "", func(key string, value []byte) error { extras[key] = string(value); return nil })
	if err != nil || len(extras) != 41 || extras["a/7"] != "value of 7" || extras["late"] != "in the log" {
		t.Errorf("got %d extras, %v, want 41", len(extras), err)
	}
}

// unsalted returns how many entries of a file have checksums that are right
// without its salt.
func unsalted(t *testing.T, s *Store) (jobs, pieces, extras int) {
	t.Helper()
	if err := s.flushLog(); err != nil {
		t.Fatal(err)
	}
	err := s.engine.ViewTx(func(tx *bolt.Tx) error {
		plain := sealing{}
		count := func(name []byte, n *int) {
			_ = tx.Bucket(name).ForEach(func(key, value []byte) error {
				if _, err := plain.unseal(name, key, value); err == nil {
					*n++
				}
				return nil
			})
		}
		count(bodiesName, &pieces)
		count(extrasName, &extras)
		return tx.Bucket(jobsName).ForEach(func(key, value []byte) error {
			for _, record := range plain.records(key, value) {
				if _, ok := plain.recordSeq(record); ok {
					jobs++
				}
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return jobs, pieces, extras
}

// TestEarlierForms reads directories of earlier versions: entries that change
// get the salt, and a compaction gives it to all.
func TestEarlierForms(t *testing.T) {
	t.Parallel()
	for _, form := range earlierForms {
		for _, how := range []string{"drained", "compacted", "salvaged", "again", "renewed"} {
			t.Run(form+"/"+how, func(t *testing.T) {
				dir := unpackForm(t, form)
				if how == "salvaged" {
					breakRoot(t, filepath.Join(dir, "queue.db"))
				}
				s := openWith(t, Config{Dir: dir})
				if how != "renewed" {
					s.renewBelow = 0
				}
				want := earlierJobs()
				if how == "salvaged" { // pages that are not in use any more have these
					want[3], want[4] = 0, 0
				}
				wantEarlier(t, s, want)
				if s.sealing.salt == 0 || s.engine.sealing.salt != s.sealing.salt {
					t.Errorf("got the salts %v and %v", s.sealing, s.engine.sealing)
				}
				jobs, pieces, extras := unsalted(t, s)
				if extras != 0 || jobs == 0 && how != "salvaged" && how != "renewed" {
					t.Errorf("%d jobs and %d extras have no salt, want some jobs and no extras", jobs, extras)
				}
				switch how {
				case "drained":
					for seq := range want {
						endJobs(t, s, int(seq), 1)
						delete(want, seq)
						wantEarlier(t, s, want)
					}
				case "compacted":
					if err := s.Compact(t.Context()); err != nil {
						t.Fatal(err)
					}
				case "again":
					r := &store.Record{Seq: 41, Function: "f", Payload: []byte(earlierPayload(41))}
					if err := s.Commit(t.Context(), []store.Op{{Kind: store.Add, Record: r}, {Kind: store.Update, Record: &store.Record{Seq: 31, Attempts: 7}}}); err != nil {
						t.Fatal(err)
					}
					want[31], want[41] = 7, 0
					closeSound(t, s, dir)
					s = openDir(t, dir)
				}
				wantEarlier(t, s, want)
				now, nowPieces, _ := unsalted(t, s)
				if left := now + nowPieces; how == "again" && now >= jobs || how != "again" && left != 0 {
					t.Errorf("%d jobs and %d pieces are without the salt, before %d and %d", now, nowPieces, jobs, pieces)
				}
				if how != "again" && s.engine.sealing.old() && how != "drained" {
					t.Error("entries without the salt still count")
				}
				closeSound(t, s, dir)
			})
		}
	}
}

// breakRoot overwrites the root of the tree of buckets.
func breakRoot(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := boltfile.ReadMeta(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	clear(b[int64(m.Root)*m.PageSize:][:m.PageSize])
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// forgeEntries returns an entry for a job and one for an extra, as a client can
// make them, with the salt t.
func forgeEntries(t codec.Salt, seq uint64) (jobs, extras [2][]byte) {
	record := codec.AppendRecord(nil, &store.Record{Seq: seq, Function: "forged"})
	t.Mix(record)
	extra := t.AppendSealed(nil, extrasName, []byte("forged"), []byte("x"))
	return [2][]byte{jobKey(seq), record}, [2][]byte{[]byte("forged"), extra}
}

// forgePage returns a leaf with these entries, as page id.
func forgePage(id uint64, entries ...[2][]byte) []byte {
	b := make([]byte, 4096)
	order := binary.NativeEndian
	order.PutUint64(b, id)
	order.PutUint16(b[8:], 2) // a leaf
	order.PutUint16(b[10:], uint16(len(entries)))
	end := boltfile.HeaderSize + len(entries)*boltfile.ElementSize
	for i, e := range entries {
		at := boltfile.HeaderSize + i*boltfile.ElementSize
		order.PutUint32(b[at+4:], uint32(end-at))
		order.PutUint32(b[at+8:], uint32(len(e[0])))
		order.PutUint32(b[at+12:], uint32(len(e[1])))
		end += copy(b[end:], append(e[0], e[1]...))
	}
	return b
}

// TestPackForgedBehindSize sees that a record in the payload of one whose size is
// broken is none.
func TestPackForgedBehindSize(t *testing.T) {
	c := sealing{salt: 0x1234567}
	seal := func(r *store.Record) []byte {
		b := codec.AppendRecord(nil, r)
		c.salt.Mix(b)
		return b
	}
	for _, salt := range []codec.Salt{0, 99} {
		jobs, _ := forgeEntries(salt, 2)
		inner := append(binary.AppendUvarint(nil, uint64(len(jobs[1]))), jobs[1]...)
		p := pack{sealing: c}
		p.appendJob(1, seal(&store.Record{Seq: 1, Function: "f", Payload: inner}), packRoom(4096))
		p.appendJob(3, seal(&store.Record{Seq: 3, Function: "f"}), packRoom(4096))
		for at := range p.find(3).from {
			for _, by := range []byte{1, 0x40, 0x80, 0xff} {
				damaged := p
				damaged.records = bytes.Clone(p.records)
				damaged.records[at] ^= by // the size, or anything else, and another byte of the record
				damaged.records[7-at%2] ^= 1
				if seqs, _ := seqsOf(&damaged); !slices.Equal(seqs, []uint64{3}) {
					t.Errorf("byte %d ^ %#x: got the records of %v, want 3 alone", at, by, seqs)
				}
			}
		}
	}
}

// TestSalvageForged sees that a salvage copies nothing out of payloads: neither
// from a record whose size is broken, nor from bytes that look like a page, for
// each broken part of the file.
func TestSalvageForged(t *testing.T) {
	t.Parallel()
	for _, broken := range []string{"size", "root", "first pages", "all pages of jobs", "root of an earlier form", "first pages of an earlier form"} {
		t.Run(broken, func(t *testing.T) {
			dir := t.TempDir()
			if strings.HasSuffix(broken, "earlier form") {
				dir = unpackForm(t, "form2")
			}
			path := filepath.Join(dir, "queue.db")
			s := openWith(t, Config{Dir: dir})
			const first, maxID = 1000, 400
			var inPack []byte
			for _, salt := range []codec.Salt{0, 99} {
				record := codec.AppendRecord(nil, &store.Record{Seq: first + 1, Function: "forged"})
				salt.Mix(record)
				inPack = append(append(inPack, byte(len(record))), record...)
			}
			// Pages that say that they are any page they may come to lie in.
			var pages []byte
			for id := uint64(2); id < maxID; id++ {
				jobs, extras := forgeEntries(codec.Salt(id%2*99), 3)
				pages = append(pages, forgePage(id, jobs, extras)...)
			}
			add := func(seq uint64, payload []byte) {
				t.Helper()
				err := s.Commit(t.Context(), []store.Op{{Kind: store.Add, Record: &store.Record{Seq: seq, Function: "f", Payload: payload}}})
				if err != nil {
					t.Fatal(err)
				}
			}
			addJobs(t, s, 500, 60, 100) // so that the bucket has pages
			add(first, inPack)
			add(first+2, nil)
			if err := s.flushLog(); err != nil {
				t.Fatal(err)
			}
			for i := range 8 { // one of them is aligned
				add(uint64(first+3+i), append(make([]byte, i*512), pages[:min(len(pages), pieceSize-i*512)]...))
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			m, err := boltfile.ReadMeta(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			b = append(b, make([]byte, max(0, maxID*4096-len(b)))...)
			// The forged pages become pages of the file in their places.
			placed := 0
			for id := m.High; id < uint64(len(b))/4096 && id < maxID; id++ {
				placed += copy(b[id*4096:(id+1)*4096], pages[(id-2)*4096:])
			}
			at := bytes.Index(b, inPack)
			if at < 0 || placed == 0 {
				t.Fatal("the payloads are not in the file")
			}
			head := len(codec.AppendRecord(nil, &store.Record{Seq: first, Function: "f"}))
			switch {
			case strings.HasPrefix(broken, "root"):
				clear(b[int64(m.Root)*4096:][:4096])
			case broken == "all pages of jobs":
				for id := 2; id < len(b)/4096; id++ {
					if bytes.Contains(b[id*4096:(id+1)*4096], inPack) {
						binary.NativeEndian.PutUint16(b[id*4096+8:], 0x10) // a list of free pages
					}
				}
			case strings.HasPrefix(broken, "first"):
				clear(b[:8192])
			}
			for i := bytes.Index(b, inPack); i >= 0; {
				b[i-head-1] ^= 0x40 // its size
				b[i-2] ^= 1
				next := bytes.Index(b[i+1:], inPack)
				if next < 0 {
					break
				}
				i += next + 1
			}
			if broken == "size" { // so that there is a salvage
				clear(b[int64(m.Root)*4096+boltfile.HeaderSize:][:4])
				binary.NativeEndian.PutUint32(b[int64(m.Root)*4096+boltfile.HeaderSize:], 7)
			}
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			s = openWith(t, Config{Dir: dir})
			found := 0
			err = s.Replay(t.Context(), func(r *store.Record) error {
				if r.Function == "forged" {
					t.Errorf("got the forged job %d", r.Seq)
				}
				found++
				return nil
			})
			if err != nil || found == 0 && broken != "all pages of jobs" {
				t.Errorf("got %d jobs, %v", found, err)
			}
			err = s.Extras(t.Context(), "forged", func(string, []byte) error { return errors.New("got the forged extra") })
			if err != nil {
				t.Error(err)
			}
			if len(filestore.BrokenFiles(s.file())) == 0 {
				t.Error("there was no salvage")
			}
			closeSound(t, s, dir)
		})
	}
}

// TestSaltLost salvages a file whose first pages are broken, without a log that
// knows the salt: that of most records is it.
func TestSaltLost(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "queue.db")
	s := openDir(t, dir)
	addJobs(t, s, 1, 100, 50)
	addJobs(t, s, 101, 3, 5000)
	salt := s.sealing.salt
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	clear(b[:2*os.Getpagesize()])
	if err := errors.Join(os.WriteFile(path, b, 0o600), os.Remove(s.walFile(0)), os.Remove(s.walFile(1))); err != nil {
		t.Fatal(err)
	}
	s = openWith(t, Config{Dir: dir})
	if n := count(t, s); n != 103 || s.sealing.salt != salt {
		t.Errorf("got %d jobs, the salt %#x, want 103, %#x", n, s.sealing.salt, salt)
	}
	closeSound(t, s, dir)
}

// sealingOfFile returns the sealing of a file that nobody has open.
func sealingOfFile(t *testing.T, path string) sealing {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := boltfile.ReadMeta(f)
	if err != nil {
		t.Fatal(err)
	}
	return sealingOf(m.Tag)
}
