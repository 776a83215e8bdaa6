package memory

import (
	"os"
	"path/filepath"
	"testing"
)

func TestLeastLimit(t *testing.T) {
	root := t.TempDir()
	for file, text := range map[string]string{
		"system.slice/gm.service/memory.max":        "max\n",
		"system.slice/memory.max":                   "5000\n",
		"memory/docker/1/memory.limit_in_bytes":     "9223372036854771712\n",
		"memory/docker/small/memory.limit_in_bytes": "3000\n",
		"memory/memory.limit_in_bytes":              "9223372036854771712\n",
		"memory/nested/a/memory.limit_in_bytes":     "8000\n",
		"memory/nested/a/b/c/memory.limit_in_bytes": "9000\n",
		"memory/nested/a/b/memory.limit_in_bytes":   "",
		"memory/docker/memory.limit_in_bytes":       "max\n",
		"unified.slice/deep/memory.max":             "7000\n",
		"unified.slice/deep/deeper/memory.max":      "7500\n",
	} {
		path := filepath.Join(root, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		groups string
		want   int64
	}{
		{"", 10000},
		{"0::/\n", 10000},
		{"0::/system.slice/gm.service\n", 5000},
		{"0::/unified.slice/deep/deeper\n", 7000},
		{"4:memory:/docker/1\n0::/\n", 10000},
		{"9:name=systemd:/docker/small\n4:cpu,memory:/docker/small\n", 3000},
		{"4:memory:/nested/a/b/c\n", 8000},
		{"4:memory:/../elsewhere\n", 10000},
		{"nonsense\n", 10000},
	} {
		if got := leastLimit(root, test.groups, 10000); got != test.want {
			t.Errorf("%q: got %d, want %d", test.groups, got, test.want)
		}
	}
	if total := Total(); total < 1<<20 {
		t.Errorf("this machine has %d bytes", total)
	}
}
