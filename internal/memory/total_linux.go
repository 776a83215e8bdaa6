package memory

import (
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Total returns the bytes of memory that the machine has or the control groups of
// the process allow, or 0 if that is unknown.
func Total() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	groups, _ := os.ReadFile("/proc/self/cgroup")
	return leastLimit("/sys/fs/cgroup", string(groups), int64(info.Totalram)*int64(info.Unit))
}

// leastLimit returns the least of total and the limits of the groups and their parents,
// under root. groups has the form of /proc/self/cgroup: a line ID:CONTROLLERS:PATH for each
// hierarchy, without controllers for version 2. A path that does not exist belongs to
// another namespace; then the limit of the root counts.
func leastLimit(root, groups string, total int64) int64 {
	least := total
	for line := range strings.Lines(groups) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(fields) != 3 {
			continue
		}
		dir, file := root, "memory.max"
		if controllers := "," + fields[1] + ","; fields[1] != "" {
			if !strings.Contains(controllers, ",memory,") {
				continue
			}
			dir, file = path.Join(root, "memory"), "memory.limit_in_bytes"
		}
		for group := path.Clean("/" + fields[2]); ; group = path.Dir(group) {
			if n := readNumber(path.Join(dir, group, file)); n > 0 && (n < least || least == 0) {
				least = n
			}
			if group == "/" {
				break
			}
		}
	}
	return least
}
