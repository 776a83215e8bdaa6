package wire

import "math"

// Number parses a number as gearmand does with C's strtol: white space, a sign
// and digits; it ignores anything after them. A text without digits is 0. A
// number that does not fit becomes the largest or the smallest that does.
func Number(text []byte) int64 {
	i := 0
	for i < len(text) && (text[i] == ' ' || '\t' <= text[i] && text[i] <= '\r') {
		i++
	}
	negative := false
	if i < len(text) && (text[i] == '-' || text[i] == '+') {
		negative = text[i] == '-'
		i++
	}
	var n int64
	for ; i < len(text) && '0' <= text[i] && text[i] <= '9'; i++ {
		digit := int64(text[i] - '0')
		switch {
		case n > (math.MaxInt64-digit)/10 && negative:
			return math.MinInt64
		case n > (math.MaxInt64-digit)/10:
			return math.MaxInt64
		}
		n = 10*n + digit
	}
	if negative {
		return -n
	}
	return n
}
