// Package storetest is the test suite for all stores. Stores may differ only in
// their Caps and in the capability interfaces that they implement.
//
// [Run] is the suite. A driver's test gives it a [Factory]:
//
//	func TestSuite(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) storetest.Place {
//			dir := t.TempDir()
//			return storetest.Place{
//				Open: func(t testing.TB) store.Store { ... },
//			}
//		})
//	}
//
// [Proxy] is a proxy between a driver and its server that loses the connection
// on request.
package storetest

import (
	"context"
	"testing"
	"time"

	"gm/pkg/store"
)

// Factory creates an empty place for a store's data, which exists until the end
// of t.
type Factory func(t *testing.T) Place

// Place is the place of one test's data, and the operations of the suite on it.
// Only Open is required; the suite skips the tests of functions that are nil.
type Place struct {
	// Open opens a store on the place's data, without TryLock. The driver's
	// Skipped hook should fail the test, because the suite stores nothing
	// broken. Several stores may be open at a time, but only one holds the
	// lock.
	Open func(t testing.TB) store.Store

	// Crash leaves s like the end of its process: it does nothing that Close
	// does for the data or the lock, but closes connections and files as the
	// system does. If it is nil, the suite closes stores instead.
	Crash func(t testing.TB, s store.Store)

	// Fail makes every Commit of s that adds anything fail, until restore is
	// called.
	Fail func(t testing.TB, s store.Store) (restore func())

	// Size returns the size of the data in bytes.
	Size func(t testing.TB) int64

	// Verify is called after each test, when no store is open any more. It
	// should run the engine's own consistency check.
	Verify func(t testing.TB)
}

// patience is the maximum time that the suite waits for an event that must
// happen soon, such as the end of a lease that nobody renews.
const patience = time.Minute

// suiteTest is a test of the suite.
type suiteTest struct {
	name string
	run  func(*fixture)
}

// limitTests are the size tests of the suite.
var limitTests = []suiteTest{
	{"limits", testLimits},
	{"refused", testRefused},
	{"sizes", testSizes},
}

// RunLimits runs the size tests of the suite, for a place with unusual limits.
func RunLimits(t *testing.T, f Factory) { runTests(t, f, limitTests) }

// Run runs the suite, each of its tests in a place of its own.
func Run(t *testing.T, f Factory) {
	RunLimits(t, f)
	runTests(t, f, []suiteTest{
		{"empty", testEmpty},
		{"order", testOrder},
		{"fields", testFields},
		{"done", testDone},
		{"update", testUpdate},
		{"add and done together", testAddDone},
		{"same unique again", testSameUnique},
		{"apart", testApart},
		{"no unique", testNoUnique},
		{"names of every length", testNameLengths},
		{"awkward names", testAwkwardNames},
		{"payloads", testPayloads},
		{"large batch", testLargeBatch},
		{"extras", testExtras},
		{"extras by prefix", testExtrasPrefix},
		{"owned by the caller", testOwnership},
		{"replay stopped", testReplayStopped},
		{"cancelled", testCancelled},
		{"failing", testFailing},
		{"read payload", testReadPayload},
		{"read payload while committing", testReadConcurrently},
		{"replay while committing", testReplayWhileCommitting},
		{"last number", testLastSeq},
		{"lock", testLock},
		{"lock after a crash", testLockCrash},
		{"compact", testCompact},
		{"check", testCheck},
		{"random", testRandom},
	})
}

func runTests(t *testing.T, f Factory, tests []suiteTest) {
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			place := f(t)
			r := newFixture(t, place)
			test.run(r)
			r.close()
			if place.Verify != nil {
				place.Verify(t)
			}
		})
	}
}

// eventually waits until ok returns true, and fails the test if it does not.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not after %v: %s", patience, what)
		}
	}
}
