package queue

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestNumberSetFindsTheNext(t *testing.T) {
	var s numberSet
	s.init()
	members := make(map[uint64]bool)
	random := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		n := random.Uint64() >> random.IntN(64)
		switch random.IntN(3) {
		case 0:
			n = math.MaxUint64 - n%200
		case 1:
			n %= 300
		}
		if members[n] {
			delete(members, n)
			s.remove(n)
		} else {
			members[n] = true
			s.add(n)
		}
		sorted := slices.Sorted(maps.Keys(members))
		from := random.Uint64() >> random.IntN(64)
		at, _ := slices.BinarySearch(sorted, from)
		got, ok := s.next(from)
		if ok != (at < len(sorted)) || ok && got != sorted[at] {
			t.Fatalf("next(%d) is %d, %v among %v", from, got, ok, sorted)
		}
	}
	for n := range members {
		s.remove(n)
	}
	for i := range s {
		if len(s[i]) != 0 {
			t.Errorf("%d words of level %d are left", len(s[i]), i)
		}
	}
}
