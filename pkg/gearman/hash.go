package gearman

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
)

// hashedUnique is the length in bytes of a hashed unique: 128 bits in hex.
const hashedUnique = 32

// sum returns the hash that replaces a unique or payload.
func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:hashedUnique/2])
}

// unique returns the unique as it is sent.
func unique(u string, payload []byte, longest int) string {
	switch {
	case u == "#":
		return sum(payload)
	case len(u) > longest:
		return sum([]byte(u))
	}
	return u
}

// rank returns the indexes of the servers in the order for a key, by rendezvous
// hashing: the name of each server is hashed with the key, and the largest hash
// comes first. A server that joins or leaves moves only its own keys. While the
// first server is down, the key goes to the second.
func rank(servers []Server, function, key string) []int {
	h := fnv.New64a()
	h.Write([]byte(function))
	h.Write([]byte{0})
	h.Write([]byte(key))
	seed := h.Sum64()

	order := make([]int, len(servers))
	weight := make([]uint64, len(servers))
	for i, s := range servers {
		h.Reset()
		h.Write([]byte(s.String()))
		order[i], weight[i] = i, mix(seed^mix(h.Sum64()))
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(weight[b], weight[a]) })
	return order
}

// mix is the finalizer of splitmix64: FNV alone does not spread short keys
// over the high bits.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

func sortedServers[V any](m map[Server]V) []Server {
	return slices.SortedFunc(maps.Keys(m), func(a, b Server) int {
		return strings.Compare(a.String(), b.String())
	})
}
