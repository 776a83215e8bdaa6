package storetest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// galeraLibraries are the possible paths of Galera.
var galeraLibraries = []string{"/usr/lib/galera/libgalera_smm.so", "/usr/lib64/galera-4/libgalera_smm.so", "/usr/lib64/galera/libgalera_smm.so"}

// StartGalera starts a cluster of two MariaDB servers, each with the database
// and the user of StartMySQL. They stop at the end of t.
func StartGalera(t testing.TB) [2]*MySQL {
	t.Helper()
	library := ""
	for _, file := range galeraLibraries {
		if _, err := os.Stat(file); err == nil {
			library = file
		}
	}
	if library == "" {
		t.Skip("Galera is not there; package galera-4 has it")
	}
	for _, name := range []string{"rsync", "lsof"} { // with which a node gets the data of another
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not there; package %s has it", name, name)
		}
	}
	first := newMySQL(t)
	second := &MySQL{port: freePort(t), program: first.program, account: first.account, dir: dirOf(t, first.account)}
	second.writeInit(t)
	runAs(t, second.account, second.dir, "mkdir", second.data())
	peers := [2]int{freePort(t), freePort(t)}
	for i, m := range [2]*MySQL{first, second} {
		m.options = []string{
			"--binlog-format=ROW", "--innodb-autoinc-lock-mode=2", "--wsrep-on=ON", "--wsrep-provider=" + library,
			"--wsrep-cluster-name=gm", "--wsrep-node-name=" + strconv.Itoa(i), "--wsrep-node-address=127.0.0.1",
			"--wsrep-sst-method=rsync", fmt.Sprint("--wsrep-sst-receive-address=127.0.0.1:", freePort(t)),
			fmt.Sprintf("--wsrep-provider-options=base_port=%d;gmcast.listen_addr=tcp://127.0.0.1:%[1]d;ist.recv_addr=127.0.0.1:%d", peers[i], freePort(t)),
		}
	}
	first.options = append(first.options, "--wsrep-cluster-address=gcomm://", "--wsrep-new-cluster")
	second.options = append(second.options, fmt.Sprint("--wsrep-cluster-address=gcomm://127.0.0.1:", peers[0]))
	for _, m := range [2]*MySQL{first, second} {
		m.Start(t)
		t.Cleanup(func() { m.process.stop(syscall.SIGKILL) })
		m.process.waitReady(t, filepath.Join(m.dir, "log"), m.isNode)
	}
	return [2]*MySQL{first, second}
}

// isNode reports whether the server has joined the cluster.
func (m *MySQL) isNode(ctx context.Context) bool {
	out, err := exec.CommandContext(ctx, "mariadb", "--no-defaults", "-S", filepath.Join(m.dir, "socket"), "-u", "root", "-N", "-B",
		"-e", "SHOW STATUS LIKE 'wsrep_ready'").CombinedOutput()
	return err == nil && bytes.Contains(out, []byte("ON"))
}
