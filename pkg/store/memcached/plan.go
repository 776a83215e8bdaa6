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
	state   map[string]*item // by key, the item after the operations so far; nil without an item
	last    map[string]bool  // the keys to change; true for those of the second wave
	order   []string         // of the keys to change
	highest uint64           // highest number that is added
}

// keysOf returns the keys whose items the plan for ops depends on.
func (l *layout) keysOf(ops []store.Op) (keys []string) {
	for i := range ops {
		switch op := &ops[i]; op.Kind {
		case store.Done, store.Update:
			if name := l.jobName(op.Record); name != "" {
				keys = append(keys, l.rowKey(name))
			}
			keys = append(keys, l.rowKey(hiddenName(op.Record.Seq)))
		case store.Put, store.Delete:
			keys = append(keys, l.extraKey(op.Key))
		}
	}
	return keys
}

// newPlan returns a plan without operations. known are the items under keysOf.
func (l *layout) newPlan(maxItem int, known map[string]item) *plan {
	p := &plan{layout: l, maxItem: maxItem, state: make(map[string]*item, len(known)), last: make(map[string]bool)}
	for key, it := range known {
		p.state[key] = &it
	}
	return p
}

// setItem sets the final item of a key, nil to delete it. last puts the change into
// the second wave.
func (p *plan) setItem(key string, it *item, last bool) {
	p.state[key] = it
	if _, ok := p.last[key]; !ok {
		p.order = append(p.order, key)
	}
	p.last[key] = last
}

// waves returns the changes in two waves. Rows are written before their payloads, and
// deleted after them: a payload without a row would be a job of gearmand, while a row
// without a payload is ignored.
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

// addOp adds an operation.
func (p *plan) addOp(op *store.Op) error {
	switch op.Kind {
	case store.Add:
		p.addJob(op.Record)
	case store.Done:
		p.endJob(op.Record)
	case store.Update:
		p.updateJob(op.Record)
	case store.Put:
		p.deleteExtra(op.Key)
		p.putExtra(op.Key, op.Value)
	case store.Delete:
		p.deleteExtra(op.Key)
	default:
		return fmt.Errorf("unknown operation %s", op.Kind)
	}
	return nil
}

func (p *plan) addJob(r *store.Record) {
	p.highest = max(p.highest, r.Seq)
	w := row{Record: r, size: len(r.Payload)}
	name := p.layout.jobName(r)
	if name == "" || len(r.Payload) > p.maxItem {
		w.part = p.maxItem
		p.setItem(p.layout.rowKey(hiddenName(r.Seq)), w.encode(), false)
		p.setParts(p.layout.payloadPart(r.Seq), r.Payload)
		return
	}
	p.setItem(p.layout.rowKey(name), w.encode(), false)
	p.setItem(p.layout.prefix+name, &item{r.Payload, uint32(r.Priority)}, true)
}

// setParts sets the items of a value in parts.
func (p *plan) setParts(begin string, value []byte) {
	for i, key := range partKeys(begin, len(value), p.maxItem) {
		part := value[i*p.maxItem:]
		p.setItem(key, &item{part[:min(len(part), p.maxItem)], 0}, true)
	}
}

// findJob returns the name and the row of a job, if it exists.
func (p *plan) findJob(r *store.Record) (name string, w *row) {
	for _, name := range []string{p.layout.jobName(r), hiddenName(r.Seq)} {
		if name == "" {
			continue
		}
		it := p.state[p.layout.rowKey(name)]
		if it == nil {
			continue
		}
		if w, err := decodeRow(*it); err == nil && w.Seq == r.Seq {
			return name, w
		}
	}
	return "", nil
}

func (p *plan) endJob(r *store.Record) {
	if name, w := p.findJob(r); w != nil {
		p.removeJob(name, w)
	}
}

// removeJob removes a job and its row.
func (p *plan) removeJob(name string, w *row) {
	if w.part == 0 {
		p.setItem(p.layout.prefix+name, nil, false)
	} else {
		for _, key := range partKeys(p.layout.payloadPart(w.Seq), w.size, w.part) {
			p.setItem(key, nil, false)
		}
	}
	p.setItem(p.layout.rowKey(name), nil, true)
}

func (p *plan) updateJob(r *store.Record) {
	name, w := p.findJob(r)
	if w == nil {
		return
	}
	w.Attempts, w.RunAt = r.Attempts, r.RunAt
	p.setItem(p.layout.rowKey(name), w.encode(), false)
}

func (p *plan) putExtra(key string, value []byte) {
	e := extraHead{key: key, value: value, size: len(value)}
	if len(key)+len(value) > p.maxItem {
		e.part = p.maxItem
		p.setParts(p.layout.extraPart(key), value)
	}
	p.setItem(p.layout.extraKey(key), e.encode(), false)
}

// deleteExtra deletes an extra, if it exists.
func (p *plan) deleteExtra(key string) {
	it := p.state[p.layout.extraKey(key)]
	if it == nil {
		return
	}
	if e, ok := decodeExtra(*it); ok && e.part > 0 {
		for _, part := range partKeys(p.layout.extraPart(key), e.size, e.part) {
			p.setItem(part, nil, true)
		}
	}
	p.setItem(p.layout.extraKey(key), nil, false)
}
