package memcached

import (
	"fmt"

	"gm/pkg/store"
)

// plan is the combined effect of a batch: for each key its final item. An item
// that is added and removed within the batch is never written.
type plan struct {
	layout  *layout
	maxItem int
	state   map[string]*item // the present or future item; nil for none
	last    map[string]bool  // the keys to change, and whether in the second wave
	order   []string         // of the keys to change
	highest uint64           // number that is added
}

// reads returns the keys that the plan for ops needs to know.
func (l *layout) reads(ops []store.Op) (keys []string) {
	for i := range ops {
		switch op := &ops[i]; op.Kind {
		case store.Done, store.Update:
			if name := l.name(op.Record); name != "" {
				keys = append(keys, l.row(name))
			}
			keys = append(keys, l.row(hidden(op.Record.Seq)))
		case store.Put, store.Delete:
			keys = append(keys, l.extra(op.Key))
		}
	}
	return keys
}

func (l *layout) plan(maxItem int, known map[string]item) *plan {
	p := &plan{layout: l, maxItem: maxItem, state: make(map[string]*item, len(known)), last: make(map[string]bool)}
	for key, it := range known {
		p.state[key] = &it
	}
	return p
}

// want sets the final item of a key.
func (p *plan) want(key string, it *item, last bool) {
	p.state[key] = it
	if _, ok := p.last[key]; !ok {
		p.order = append(p.order, key)
	}
	p.last[key] = last
}

// waves returns the changes to make, in two waves: rows come before payloads
// and go after them. A payload without a row would be one of gearmand's, a row
// without a payload is nothing.
func (p *plan) waves() (first, second []change) {
	for _, key := range p.order {
		h := change{key: key, item: p.state[key]}
		if p.last[key] {
			second = append(second, h)
		} else {
			first = append(first, h)
		}
	}
	return first, second
}

func (p *plan) apply(op *store.Op) error {
	switch op.Kind {
	case store.Add:
		p.add(op.Record)
	case store.Done:
		p.done(op.Record)
	case store.Update:
		p.update(op.Record)
	case store.Put:
		p.delete(op.Key)
		p.put(op.Key, op.Value)
	case store.Delete:
		p.delete(op.Key)
	default:
		return fmt.Errorf("unknown operation %s", op.Kind)
	}
	return nil
}

func (p *plan) add(r *store.Record) {
	p.highest = max(p.highest, r.Seq)
	w := row{Record: r, size: len(r.Payload)}
	name := p.layout.name(r)
	if name == "" || len(r.Payload) > p.maxItem {
		w.part = p.maxItem
		p.want(p.layout.row(hidden(r.Seq)), w.encode(), false)
		p.parts(p.layout.payloadPart(r.Seq), r.Payload)
		return
	}
	p.want(p.layout.row(name), w.encode(), false)
	p.want(p.layout.prefix+name, &item{r.Payload, uint32(r.Priority)}, true)
}

// parts stores a value in parts.
func (p *plan) parts(begin string, value []byte) {
	for i, key := range partKeys(begin, len(value), p.maxItem) {
		part := value[i*p.maxItem:]
		p.want(key, &item{part[:min(len(part), p.maxItem)], 0}, true)
	}
}

// find returns the row of a job and the name it has, if it is there.
func (p *plan) find(r *store.Record) (name string, w *row) {
	for _, name := range []string{p.layout.name(r), hidden(r.Seq)} {
		if name == "" {
			continue
		}
		it := p.state[p.layout.row(name)]
		if it == nil {
			continue
		}
		if w, err := decodeRow(*it); err == nil && w.Seq == r.Seq {
			return name, w
		}
	}
	return "", nil
}

func (p *plan) done(r *store.Record) {
	if name, w := p.find(r); w != nil {
		p.remove(name, w)
	}
}

// remove removes a job and its row.
func (p *plan) remove(name string, w *row) {
	if w.part == 0 {
		p.want(p.layout.prefix+name, nil, false)
	} else {
		for _, key := range partKeys(p.layout.payloadPart(w.Seq), w.size, w.part) {
			p.want(key, nil, false)
		}
	}
	p.want(p.layout.row(name), nil, true)
}

func (p *plan) update(r *store.Record) {
	name, w := p.find(r)
	if w == nil {
		return
	}
	w.Attempts, w.RunAt = r.Attempts, r.RunAt
	p.want(p.layout.row(name), w.encode(), false)
}

func (p *plan) put(key string, value []byte) {
	e := extraHead{key: key, value: value, size: len(value)}
	if len(key)+len(value) > p.maxItem {
		e.part = p.maxItem
		p.parts(p.layout.extraPart(key), value)
	}
	p.want(p.layout.extra(key), e.encode(), false)
}

// delete deletes an extra, if it is there.
func (p *plan) delete(key string) {
	it := p.state[p.layout.extra(key)]
	if it == nil {
		return
	}
	if e, ok := decodeExtra(*it); ok && e.part > 0 {
		for _, part := range partKeys(p.layout.extraPart(key), e.size, e.part) {
			p.want(part, nil, true)
		}
	}
	p.want(p.layout.extra(key), nil, false)
}
