package udf_test

import "testing"

func testPrivileges(t *testing.T, p *postgres) {
	s := newSession(t, p.db)
	s.exec(t, "CREATE ROLE caller; SET ROLE caller")
	for _, call := range []string{
		"gman_do('echo', 'x')", "gman_do('echo', 'x'::bytea)", "gman_do_high('echo')", "gman_do_low('echo')",
		"gman_do_background('echo')", "gman_do_high_background('echo')", "gman_do_low_background('echo', ''::bytea)",
		"gman_status('H:a:1')", "gman_result('H:a:1')", "gman_result_bytea('H:a:1')", "gman_sum('length', 'x')",
	} {
		s.wantState(t, "SELECT "+call, "42501")
	}
	s.want(t, "SELECT gman_version()", "1.0")
	s.exec(t, "SET gearman.timeout = '5s'; SET gearman.on_error = 'null'")
	for _, statement := range []string{
		"SELECT gman_servers_set('127.0.0.1:1')", "SET gearman.servers = '127.0.0.1:1'", "SET gearman.tls = on",
		"SET gearman.tls_verify = none", "SET gearman.tls_ca = '/etc/passwd'", "SET gearman.tls_cert = '/etc/passwd'",
		"SET gearman.tls_key = '/etc/passwd'",
	} {
		s.wantState(t, statement, "42501")
	}

	s.exec(t, "RESET ROLE; GRANT EXECUTE ON FUNCTION gman_do(text, text, text), gman_sum(text, text) TO caller; SET ROLE caller")
	s.want(t, "SELECT gman_do('echo', 'x')", "x")
	s.want(t, "SELECT gman_sum('length', 'x')", "1")
	s.wantState(t, "SELECT gman_do('echo', 'x'::bytea)", "42501")

	// Settings of a role without the right, from before the session loads the library,
	// have no effect.
	early := newSession(t, p.db)
	early.exec(t, "SET ROLE caller; SET gearman.servers = '127.0.0.1:1'; SET gearman.tls = on; SET gearman.tls_ca = '/etc/passwd'")
	early.want(t, "SELECT gman_do('echo', 'x')", "x")
	early.want(t, "SHOW gearman.servers", p.jobs.addr)
	early.want(t, "SHOW gearman.tls_ca", "")

	s.exec(t, "RESET ROLE")
	if got, err := s.query("SELECT current_setting('server_version_num')::int >= 150000"); err == nil && got == "true" {
		s.exec(t, "GRANT SET ON PARAMETER gearman.servers TO caller; SET ROLE caller")
		s.want(t, "SELECT gman_servers_set('127.0.0.1:1')", "127.0.0.1:1")
	}
}

// testDefiner sees that a trigger can submit jobs for roles that may not.
func testDefiner(t *testing.T, p *postgres) {
	s := newSession(t, p.db)
	before := p.worker.reversed.Load()
	s.exec(t, `CREATE ROLE seller; CREATE TABLE orders (name text); GRANT INSERT ON orders TO seller;
		CREATE FUNCTION submit_order() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS
			'BEGIN PERFORM gman_do_background(''reverse'', NEW.name); RETURN NEW; END';
		CREATE TRIGGER submit_order AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION submit_order();
		SET ROLE seller; INSERT INTO orders VALUES ('tea')`)
	s.wantState(t, "SELECT gman_do_background('reverse', 'tea')", "42501")
	eventually(t, "the job is done", func() bool { return p.worker.reversed.Load() == before+1 })
}

// testMarks checks the properties of the functions in the catalogue.
func testMarks(t *testing.T, p *postgres) {
	s := newSession(t, p.db)
	const functions = ` FROM pg_proc AS p JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
		JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid WHERE extname = 'gearman'`
	s.want(t, "SELECT count(*)"+functions, "20")
	s.want(t, "SELECT count(*)"+functions+" AND (proleakproof OR prosecdef OR proconfig IS NOT NULL)", "0")
	s.want(t, "SELECT string_agg(proname, ' ' ORDER BY proname)"+functions+" AND proacl IS NULL", "gman_servers_set gman_version")
	s.want(t, "SELECT string_agg(proname, ' ')"+functions+" AND provolatile <> 'v' AND prokind = 'f'", "gman_version")
	s.want(t, "SELECT string_agg(proname || ' ' || proparallel::text, ', ' ORDER BY proname)"+functions+" AND proparallel <> 'r'",
		"gman_servers_set u, gman_version s")
	s.want(t, "SELECT string_agg(proname, ' ' ORDER BY proname)"+functions+" AND proisstrict",
		"gman_result gman_result_bytea gman_status gman_version")
}
