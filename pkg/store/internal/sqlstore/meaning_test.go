package sqlstore

import (
	"errors"
	"testing"

	"gm/pkg/store"
)

func TestMeaningMark(t *testing.T) {
	reason := errors.New("reason")
	for m, want := range map[Meaning]struct{ full, refused, lost, uncertain bool }{
		Temporary: {}, Full: {full: true}, Refused: {refused: true}, Overtaken: {lost: true}, Unknown: {uncertain: true},
	} {
		err := m.Mark(reason)
		got := want
		got.full, got.lost = errors.Is(err, store.ErrFull), errors.Is(err, ErrLost)
		got.refused, got.uncertain = errors.As(err, new(*store.RefusedError)), errors.As(err, new(*store.UncertainError))
		if got != want || !errors.Is(err, reason) {
			t.Errorf("meaning %d: got %+v: %v, want %+v", m, got, err, want)
		}
		if err := m.Mark(nil); err != nil {
			t.Errorf("meaning %d: no error became %v", m, err)
		}
	}
}
