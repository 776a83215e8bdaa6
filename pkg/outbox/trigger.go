package outbox

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gm/pkg/gearman"
)

// Trigger describes a trigger that adds a row to an outbox for each changed row of
// another table.
//
// With JSON, the workload is an object:
//
//	{"table": "uploads", "event": "update", "old": {"id": 1, ...}, "new": {"id": 1, ...}}
//
// old is null for an insert, and new for a delete. Without JSON, the workload is the
// value of the one column in Columns: of the new row, and for a delete of the old
// one. A value that is NULL sends nothing.
//
// An update that changes none of the columns sends nothing. So a worker that writes
// its result into another column of the row does not start the next job.
type Trigger struct {
	// Name is the name of the trigger, of which MySQL has one for each event. It
	// replaces a trigger of the same name. Empty is the name of the table with
	// _gearman.
	Name string
	// Table is the table whose changes become jobs: NAME or SCHEMA.NAME. Case counts.
	Table string
	// Events are some of insert, update and delete.
	Events []string
	// Function is the function of the jobs.
	Function string
	// Columns are the columns in the workload. Empty is all of them. Without a database,
	// only PostgreSQL can do that; see DB.CompleteTrigger.
	Columns []string
	// Binary are those of Columns that have bytes and not text. JSON has them as
	// hexadecimal digits after \x. PostgreSQL does so with all columns of type bytea,
	// and needs no names.
	Binary []string
	// JSON selects the form of the workload.
	JSON bool
	// Priority is the priority of the jobs.
	Priority gearman.Priority
	// Outbox is the table of the outbox. Empty is DefaultTable.
	Outbox string
}

// triggerEvents are the events in the order in which the statements have them.
var triggerEvents = []string{"insert", "update", "delete"}

// triggerSuffix is the end of the default name of a trigger.
const triggerSuffix = "_gearman"

// TriggerError is the error of a Trigger that is invalid, or that names a table or a
// column that the database does not have.
type TriggerError struct {
	Table string
	Err   error
}

func (e *TriggerError) Error() string { return fmt.Sprintf("trigger on table %q: %v", e.Table, e.Err) }

// Unwrap returns the reason.
func (e *TriggerError) Unwrap() error { return e.Err }

// SQL returns the statements that create the trigger, for the client programs psql and
// mysql.
func (tr Trigger) SQL(d Dialect) (string, error) {
	statements, err := tr.statements(d)
	if err != nil {
		return "", &TriggerError{tr.Table, err}
	}
	return script(d, statements), nil
}

func (tr Trigger) statements(d Dialect) ([]string, error) {
	t, err := parseTable(d, tr.Table, "")
	if err != nil {
		return nil, err
	}
	outbox, err := parseTable(d, cmp.Or(tr.Outbox, DefaultTable), longestSuffix)
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	if err := tr.check(d); err != nil {
		return nil, err
	}
	tr.Name = cmp.Or(tr.Name, t.base+triggerSuffix)
	longest := tr.Name
	if d == MySQL {
		longest += "_insert"
	}
	if err := d.checkName(longest); err != nil {
		return nil, fmt.Errorf("trigger: %w", err)
	}
	if d == Postgres {
		return tr.postgres(t, outbox), nil
	}
	return tr.mysql(t, outbox), nil
}

// check returns an error if the trigger is invalid.
func (tr Trigger) check(d Dialect) error {
	if err := checkText("function", tr.Function); err != nil {
		return err
	}
	if len(tr.Events) == 0 {
		return errors.New("no events")
	}
	for _, event := range tr.Events {
		if !slices.Contains(triggerEvents, event) {
			return fmt.Errorf("event %q: want insert, update or delete", event)
		}
	}
	for _, column := range tr.Columns {
		if err := d.checkName(column); err != nil {
			return fmt.Errorf("column: %w", err)
		}
	}
	for _, column := range tr.Binary {
		if !slices.Contains(tr.Columns, column) {
			return fmt.Errorf("binary column %q: not among the columns", column)
		}
	}
	switch {
	case !tr.Priority.Valid():
		return fmt.Errorf("%v is not high, normal or low", tr.Priority)
	case !tr.JSON && len(tr.Columns) != 1:
		return fmt.Errorf("%d columns: a workload that is not JSON is the value of one column", len(tr.Columns))
	case d == MySQL && len(tr.Columns) == 0:
		return errors.New("no columns: a trigger of MySQL names its columns")
	}
	return nil
}

// rowPriority returns a priority in the form of the column, in which 1 is high.
func rowPriority(p gearman.Priority) int { return -int(p) }

// hasEvent reports whether the trigger has an event.
func (tr Trigger) hasEvent(event string) bool { return slices.Contains(tr.Events, event) }

// postgres returns the statements for PostgreSQL: a function in the schema of the
// table, and the trigger that calls it.
func (tr Trigger) postgres(t, outbox tableName) []string {
	d := Postgres
	var events []string
	for _, event := range triggerEvents {
		if tr.hasEvent(event) {
			events = append(events, strings.ToUpper(event))
		}
	}
	kind, value := "jsonb", func(row string) string { return tr.jsonOf(d, row) }
	if !tr.JSON {
		kind, value = "text", func(row string) string { return row + "." + d.identifier(tr.Columns[0]) }
		if len(tr.Binary) > 0 {
			kind = "bytea"
		}
	}
	// TG_TABLE_NAME would be the name of a partition.
	workload := "convert_to(jsonb_build_object('table', " + d.literal(t.base) + "::text, 'event', lower(TG_OP), 'old', gm_old, 'new', gm_new)::text, 'UTF8')"
	condition := "gm_old IS DISTINCT FROM gm_new"
	if !tr.JSON {
		// Without the parentheses, plpgsql would take THEN for the end of its condition.
		workload = "(CASE TG_OP WHEN 'DELETE' THEN gm_old ELSE gm_new END)"
		condition += " AND " + workload + " IS NOT NULL"
		if kind == "text" {
			workload = "convert_to(" + workload + ", 'UTF8')"
		}
	}
	function, name := t.sibling(tr.Name), d.identifier(tr.Name)
	body := fmt.Sprintf(`
DECLARE
  gm_old %[1]s;
  gm_new %[1]s;
BEGIN
  IF TG_OP <> 'INSERT' THEN
    gm_old := %[2]s;
  END IF;
  IF TG_OP <> 'DELETE' THEN
    gm_new := %[3]s;
  END IF;
  IF %[4]s THEN
    INSERT INTO %[5]s ("function", workload, priority)
    VALUES (%[6]s, %[7]s, %[8]d);
  END IF;
  RETURN NULL;
END
`, kind, value("OLD"), value("NEW"), condition, outbox.sql(), d.literal(tr.Function), workload, rowPriority(tr.Priority))
	return []string{
		"CREATE OR REPLACE FUNCTION " + function + "() RETURNS trigger LANGUAGE plpgsql" + sessionForms + "\nAS " + dollarQuoted(body),
		block(
			ownSearchPath(function+"()"),
			"DROP TRIGGER IF EXISTS "+name+" ON "+t.sql()+";",
			"CREATE TRIGGER "+name+" AFTER "+strings.Join(events, " OR ")+" ON "+t.sql()+" FOR EACH ROW EXECUTE PROCEDURE "+function+"();",
		),
	}
}

// sessionForms is the part of CREATE FUNCTION that sets the forms of values. So a
// workload does not depend on the session that changes the table.
const sessionForms = "\nSET bytea_output = hex SET datestyle = ISO SET intervalstyle = postgres SET extra_float_digits = 3"

// mysql returns the statements for MySQL: a trigger for each event. The triggers of
// the other events are removed.
func (tr Trigger) mysql(t, outbox tableName) []string {
	d := MySQL
	var statements []string
	for _, event := range triggerEvents {
		name := t.sibling(tr.Name + "_" + event)
		drop := "DROP TRIGGER IF EXISTS " + name
		if !tr.hasEvent(event) {
			statements = append(statements, drop)
			continue
		}
		// MariaDB replaces the trigger in one step. It does not run the comment.
		if !strings.Contains(name, "/") {
			drop = "/*!80000 " + drop + " */"
		}
		statements = append(statements, drop)
		row := "NEW"
		if event == "delete" {
			row = "OLD"
		}
		var conditions []string
		workload := row + "." + d.identifier(tr.Columns[0])
		switch {
		case tr.JSON:
			parts := map[string]string{"OLD": "NULL", "NEW": "NULL"}
			if event != "insert" {
				parts["OLD"] = tr.jsonOf(d, "OLD")
			}
			if event != "delete" {
				parts["NEW"] = tr.jsonOf(d, "NEW")
			}
			workload = fmt.Sprintf("CONVERT(JSON_OBJECT('table', %s, 'event', '%s', 'old', %s, 'new', %s) USING utf8mb4)",
				d.literal(t.base), event, parts["OLD"], parts["NEW"])
		default:
			conditions = append(conditions, workload+" IS NOT NULL")
			if len(tr.Binary) == 0 {
				workload = "CONVERT(" + workload + " USING utf8mb4)"
			}
		}
		if event == "update" {
			conditions = append(conditions, "NOT ("+tr.sameColumns()+")")
		}
		statement := "CREATE /*M! OR REPLACE */ TRIGGER " + name + " AFTER " + strings.ToUpper(event) + " ON " + t.sql() + " FOR EACH ROW\n" +
			"INSERT INTO " + outbox.sql() + " (`function`, workload, priority)\n" +
			fmt.Sprintf("SELECT %s, %s, %d FROM DUAL", d.literal(tr.Function), workload, rowPriority(tr.Priority))
		if len(conditions) > 0 {
			statement += "\nWHERE " + strings.Join(conditions, " AND ")
		}
		statements = append(statements, statement)
	}
	return statements
}

// jsonOf returns the expression for the columns of OLD or NEW as JSON.
func (tr Trigger) jsonOf(d Dialect, row string) string {
	if len(tr.Columns) == 0 {
		return "to_jsonb(" + row + ")"
	}
	var pairs []string
	for _, column := range tr.Columns {
		value := row + "." + d.identifier(column)
		if d == MySQL && slices.Contains(tr.Binary, column) {
			value = "CONCAT(CHAR(92 USING utf8mb4), 'x', LOWER(HEX(CAST(" + value + " AS BINARY))))"
		}
		pairs = append(pairs, d.literal(column)+", "+value)
	}
	if d == MySQL {
		return "JSON_OBJECT(" + strings.Join(pairs, ", ") + ")"
	}
	// A function has at most 100 arguments.
	const most = 50
	var objects []string
	for part := range slices.Chunk(pairs, most) {
		objects = append(objects, "jsonb_build_object("+strings.Join(part, ", ")+")")
	}
	return strings.Join(objects, " || ")
}

// sameColumns returns MySQL's condition that an update leaves all columns as they are.
// It compares bytes: 'A' and 'a' differ.
func (tr Trigger) sameColumns() string {
	var same []string
	for _, column := range tr.Columns {
		c := MySQL.identifier(column)
		same = append(same, "CAST(OLD."+c+" AS BINARY) <=> CAST(NEW."+c+" AS BINARY)")
	}
	return strings.Join(same, " AND ")
}
