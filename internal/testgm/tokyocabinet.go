//go:build tokyocabinet && cgo

package testgm

// WithTokyoCabinet reports whether the build has the store tokyocabinet, which needs C.
const WithTokyoCabinet = true
