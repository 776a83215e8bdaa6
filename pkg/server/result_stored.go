package server

import (
	"bytes"
	"encoding/json"
	"fmt"

	"gm/pkg/wire"
)

// This file has the form of a result in a store.

// resultKey begins the keys of results in a store.
const resultKey = "result/"

func (o *result) key() string { return resultKey + o.Handle }

// resultHead has the facts about a result that a store keeps before its data.
type resultHead struct {
	wire.Outcome
	Once []byte `json:"once,omitempty"` // the onceKey
}

// encode returns the head as a JSON line and the data behind it.
func (o *result) encode() []byte {
	head := resultHead{Outcome: o.Outcome}
	if o.once != (onceKey{}) {
		head.Once = o.once[:]
	}
	line, err := json.Marshal(&head)
	if err != nil { // it is a plain struct
		panic(err)
	}
	return append(append(line, '\n'), o.data...)
}

func decodeResult(key string, value []byte) (*result, error) {
	line, data, ok := bytes.Cut(value, []byte{'\n'})
	if !ok {
		return nil, fmt.Errorf("result %q: no line end", key)
	}
	var head resultHead
	if err := json.Unmarshal(line, &head); err != nil {
		return nil, fmt.Errorf("result %q: %w", key, err)
	}
	one := &result{Outcome: head.Outcome, data: data}
	if len(head.Once) == len(one.once) {
		one.once = onceKey(head.Once)
	}
	return one, nil
}
