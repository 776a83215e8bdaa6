package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gm/pkg/gearman"
)

// inlineSize is the maximum size of a workload that is read when its row is locked. A
// larger one is read by a second statement, when the number of bytes is known. So a
// batch of 1,000 rows needs one round trip for them, and reads at most 4 MB too much.
const inlineSize = 4096

// UniquePrefix is the beginning of the uniques of rows without a unique_key. It is the
// Options.OncePrefix of a relay's client.
const UniquePrefix = "outbox:"

// maxErrorText is the maximum length of last_error in bytes.
const maxErrorText = 1000

// queued is a locked row of the outbox.
type queued struct {
	id       int64
	created  int64 // microseconds since 1970
	function string
	unique   sql.NullString
	priority int
	runAt    sql.NullInt64 // milliseconds since 1970
	attempts int
	size     int64
	workload []byte // nil if it has not been read
}

// lockRows locks the first rows that no other session has locked, and returns them in
// the order of their ids. It leaves out the rows of some functions.
func (db *DB) lockRows(ctx context.Context, tx *sql.Tx, limit int, without []string) ([]queued, error) {
	function := db.table.dialect.identifier("function")
	statement := "SELECT id, " + db.dialect.created + ", " + function + ", unique_key, priority, " + db.dialect.runAt + ", attempts, octet_length(workload), " +
		"CASE WHEN octet_length(workload) <= " + strconv.Itoa(inlineSize) + " THEN workload END " +
		fmt.Sprintf(db.dialect.live, db.table.sql())
	if len(without) > 0 {
		var names []string
		for _, name := range without {
			names = append(names, db.table.dialect.literal(name))
		}
		statement += " AND " + function + " NOT IN (" + strings.Join(names, ", ") + ")"
	}
	statement += " ORDER BY id LIMIT " + strconv.Itoa(limit) + " FOR UPDATE SKIP LOCKED"
	found, err := tx.QueryContext(ctx, statement)
	if err != nil {
		return nil, fmt.Errorf("lock rows: %w", err)
	}
	defer found.Close()
	var rows []queued
	for found.Next() {
		var r queued
		if err := found.Scan(&r.id, &r.created, &r.function, &r.unique, &r.priority, &r.runAt, &r.attempts, &r.size, &r.workload); err != nil {
			return nil, fmt.Errorf("lock rows: %w", err)
		}
		rows = append(rows, r)
	}
	if err := found.Err(); err != nil {
		return nil, fmt.Errorf("lock rows: %w", err)
	}
	return rows, nil
}

// firstRows returns the first rows whose workloads have at most limit bytes together, but
// at least one row. Workloads larger than largest do not count, because they are not
// read.
func firstRows(rows []queued, limit, largest int64) []queued {
	var total int64
	for i, r := range rows {
		if r.size > largest {
			continue
		}
		if total += r.size; total > limit && i > 0 {
			return rows[:i]
		}
	}
	return rows
}

// readLarge reads the workloads that lockRows has not read, except those larger than
// largest.
func (db *DB) readLarge(ctx context.Context, tx *sql.Tx, rows []queued, largest int64) error {
	missing := map[int64]*queued{}
	var ids []int64
	for i := range rows {
		if r := &rows[i]; r.size > inlineSize && r.size <= largest {
			missing[r.id] = r
			ids = append(ids, r.id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	found, err := tx.QueryContext(ctx, "SELECT id, workload FROM "+db.table.sql()+" WHERE id IN ("+idList(ids)+")")
	if err != nil {
		return fmt.Errorf("read workloads: %w", err)
	}
	defer found.Close()
	for found.Next() {
		var id int64
		var workload []byte
		if err := found.Scan(&id, &workload); err != nil {
			return fmt.Errorf("read workloads: %w", err)
		}
		missing[id].workload = workload
	}
	if err := found.Err(); err != nil {
		return fmt.Errorf("read workloads: %w", err)
	}
	return nil
}

// deleteAll deletes the rows of a batch. keepOthers can undo it.
func (db *DB) deleteAll(ctx context.Context, tx *sql.Tx, rows []queued) error {
	if _, err := tx.ExecContext(ctx, db.dialect.savepoint); err != nil {
		return fmt.Errorf("set a savepoint: %w", err)
	}
	ids := make([]int64, len(rows))
	for i := range rows {
		ids[i] = rows[i].id
	}
	return db.deleteRows(ctx, tx, ids)
}

// keepOthers undoes deleteAll, deletes only the rows whose jobs were accepted, and notes
// the errors of those that were refused. All rows stay locked.
func (db *DB) keepOthers(ctx context.Context, tx *sql.Tx, result batchResult) error {
	if _, err := tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT locked"); err != nil {
		return fmt.Errorf("return to the savepoint: %w", err)
	}
	if err := db.deleteRows(ctx, tx, result.sent); err != nil {
		return err
	}
	return db.markRefused(ctx, tx, result.refused)
}

// deleteRows deletes rows.
func (db *DB) deleteRows(ctx context.Context, tx *sql.Tx, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	statement := fmt.Sprintf(db.dialect.deleteByID, db.table.sql(), idList(ids))
	if _, err := tx.ExecContext(ctx, statement); err != nil {
		return fmt.Errorf("delete %d rows: %w", len(ids), err)
	}
	return nil
}

// refusal is the reason why rows were refused, and whether they are dead now.
type refusal struct {
	text string
	dead bool
}

// markRefused counts an attempt of refused rows, and notes the error.
func (db *DB) markRefused(ctx context.Context, tx *sql.Tx, refused map[refusal][]int64) error {
	for reason, ids := range refused {
		set := "attempts = attempts + 1, last_error = " + db.dialect.arg(1)
		if reason.dead {
			set += ", dead = " + db.dialect.now
		}
		statement := fmt.Sprintf(db.dialect.updateByID, db.table.sql(), idList(ids), set)
		if _, err := tx.ExecContext(ctx, statement, reason.text); err != nil {
			return fmt.Errorf("note the error of %d refused rows: %w", len(ids), err)
		}
	}
	return nil
}

// idList returns ids as SQL.
func idList(ids []int64) string {
	b := make([]byte, 0, 8*len(ids))
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, id, 10)
	}
	return string(b)
}

// errorText returns an error of a row as a value of last_error.
func errorText(r *queued, err error) string {
	text := strings.TrimPrefix(err.Error(), "submit to "+r.function+": ") // the name may be long, and is in the row
	text = strings.ReplaceAll(text[:min(len(text), maxErrorText)], "\x00", "")
	return strings.ToValidUTF8(text, "?")
}

// check returns an error if a row has a value that no server accepts.
func (r *queued) check(largest int64) error {
	switch {
	case r.size > largest:
		return fmt.Errorf("workload: size %d %w of %d bytes", r.size, gearman.ErrTooLarge, largest)
	case r.priority < -1 || r.priority > 1:
		return fmt.Errorf("priority %d: not 1 (high), 0 (normal) or -1 (low)", r.priority)
	}
	return nil
}

// task returns the task of a row.
func (r *queued) task(token string, now time.Time) *gearman.Task {
	t := &gearman.Task{
		Function:   r.function,
		Unique:     r.unique.String,
		Payload:    r.workload,
		Priority:   gearman.Priority(-r.priority),
		Background: true,
	}
	if t.Unique == "" {
		// The ids begin again if the table is emptied or a backup is restored. Then the
		// time distinguishes the new rows from the old ones, whose jobs may still wait.
		t.Unique = UniquePrefix + token + ":" + strconv.FormatInt(r.id, 10) + ":" + strconv.FormatInt(r.created, 36)
	}
	if r.runAt.Valid {
		if at := time.UnixMilli(r.runAt.Int64); at.After(now) {
			t.At = at
		}
	}
	return t
}

// verdict is the meaning of the outcome of a submission for its row.
type verdict int

const (
	accepted verdict = iota
	refused          // because of the row
	withheld         // the function accepts no jobs for now
	away             // because of the server or the connection
)

// judge returns the verdict on an error of a submission.
func judge(err error) verdict {
	var answer *gearman.ServerError
	var protocol *gearman.ProtocolError
	switch {
	case err == nil:
		return accepted
	case errors.Is(err, gearman.ErrTooLarge):
		return refused
	case errors.Is(err, gearman.ErrNoServer), errors.Is(err, gearman.ErrLost), errors.Is(err, gearman.ErrTimeout),
		errors.Is(err, gearman.ErrClosed), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &protocol):
		return away
	case errors.As(err, &answer):
		switch {
		case answer.Invalid(), answer.TooLarge():
			return refused
		case answer.ShuttingDown():
			return away
		}
		return withheld
	}
	return refused // the client has checked the task
}

// submitRows submits the jobs of rows, one directly after the other, and returns the
// error of each. once reports whether the servers of all accepted jobs know which jobs
// have ended lately, and do not repeat them.
func submitRows(ctx context.Context, client *gearman.Client, tasks []*gearman.Task) (errs []error, once bool) {
	errs, once = make([]error, len(tasks)), true
	running := make([]*gearman.Running, len(tasks))
	for i, task := range tasks {
		running[i], errs[i] = client.StartAsync(ctx, task)
		if judge(errs[i]) == away {
			for j := i + 1; j < len(tasks); j++ {
				errs[j] = errs[i]
			}
			break
		}
	}
	for i, r := range running {
		if r != nil {
			var result *gearman.Result
			result, errs[i] = r.Wait(ctx)
			once = once && (errs[i] != nil || result.Once)
		}
	}
	return errs, once
}
