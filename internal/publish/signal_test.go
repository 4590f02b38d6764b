package publish

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestManyChangesAreOne(t *testing.T) {
	for _, test := range []struct {
		name  string
		every time.Duration
		times int
		due   time.Duration // after the first
	}{
		{"one", 0, 1, 300 * time.Millisecond},
		{"five at once", 0, 5, 300 * time.Millisecond},
		{"one after the other", 200 * time.Millisecond, 3, 700 * time.Millisecond},
		{"without an end", 100 * time.Millisecond, 20, 2 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := NewSignal()
				begin := time.Now()
				go func() {
					for range test.times {
						s.Changed()
						<-time.After(test.every)
					}
				}()
				<-s.Due()
				if took := time.Since(begin); took != test.due {
					t.Errorf("after %v, want %v", took, test.due)
				}
				<-time.After(time.Minute)
				select {
				case <-s.Due():
					if test.due != settleMost {
						t.Error("it is due twice")
					}
				default:
				}
			})
		})
	}
}

func TestADeployDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSignal()
		begin := time.Now()
		s.Changed()
		s.Now()
		s.Now()
		if <-s.Due(); time.Since(begin) != 0 {
			t.Errorf("after %v", time.Since(begin))
		}
	})
}
