package outbox

// maxUnconfirmed is the maximum number of rows that a relay remembers.
const maxUnconfirmed = 100_000

// rowKey identifies a row. An id alone may be given again.
type rowKey struct{ id, created int64 }

// unconfirmed are rows whose jobs were accepted, and whose deletion has failed or may
// have failed. The relay submits them no second time while it runs, however long the
// database is away.
type unconfirmed map[rowKey]bool

// add adds those rows whose ids are in sent.
func (u unconfirmed) add(rows []queued, sent []int64) {
	if len(u)+len(sent) > maxUnconfirmed {
		clear(u)
	}
	ids := make(map[int64]bool, len(sent))
	for _, id := range sent {
		ids[id] = true
	}
	for i := range rows {
		if ids[rows[i].id] {
			u[rowKey{rows[i].id, rows[i].created}] = true
		}
	}
}

// has reports whether a job was accepted for a row.
func (u unconfirmed) has(r *queued) bool { return u[rowKey{r.id, r.created}] }

// remove removes rows that are deleted for good.
func (u unconfirmed) remove(rows []queued) {
	if len(u) == 0 {
		return
	}
	for i := range rows {
		delete(u, rowKey{rows[i].id, rows[i].created})
	}
}
