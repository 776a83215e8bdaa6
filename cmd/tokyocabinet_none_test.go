//go:build !tokyocabinet || !cgo

package cmd

const withTokyoCabinet = false
