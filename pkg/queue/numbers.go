package queue

import "math/bits"

// numberLevels is the number of words of 64 bits on the way to any number of 64
// bits.
const numberLevels = 11

// numberSet is a set of numbers that finds the next member from any number on.
// Bit n%64 of word n/64 is set on level 0 if n is a member, and on the other
// levels if word n of the level below is not 0. add and remove touch one word
// for most members of a dense set, next three or so.
type numberSet [numberLevels]map[uint64]uint64

func (s *numberSet) init() {
	for i := range s {
		s[i] = make(map[uint64]uint64)
	}
}

func (s *numberSet) add(n uint64) {
	for i := range s {
		word := n / wordBits
		was := s[i][word]
		s[i][word] = was | 1<<(n%wordBits)
		if was != 0 {
			return
		}
		n = word
	}
}

func (s *numberSet) remove(n uint64) {
	for i := range s {
		word := n / wordBits
		if rest := s[i][word] &^ (1 << (n % wordBits)); rest != 0 {
			s[i][word] = rest
			return
		}
		delete(s[i], word)
		n = word
	}
}

// next returns the smallest member from n on.
func (s *numberSet) next(n uint64) (member uint64, ok bool) {
	for i := range s {
		word := n / wordBits
		if rest := s[i][word] >> (n % wordBits); rest != 0 {
			n += uint64(bits.TrailingZeros64(rest))
			for i--; i >= 0; i-- {
				n = n*wordBits + uint64(bits.TrailingZeros64(s[i][n]))
			}
			return n, true
		}
		n = word + 1
	}
	return 0, false
}
