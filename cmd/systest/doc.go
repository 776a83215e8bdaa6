// Package systest tests the whole system with real processes: servers that are
// killed, full disks, memory limits and swap, lost databases, large backlogs,
// clients and workers of other makers, and the imports of all packages.
//
// TestMain makes this test binary act as the command gm.
package systest
