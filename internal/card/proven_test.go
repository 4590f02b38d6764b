package card

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestProvenReadsBack(t *testing.T) {
	want := Proven{"age1a": time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "age1b": time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)}
	content, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeProven(content)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if none, err := DecodeProven(nil); err != nil || len(none) != 0 {
		t.Errorf("no file: %v, %v", none, err)
	}
	for _, bad := range []string{"{", `{"keys":{}}`, `{"schema":2,"keys":{}}`, `{"schema":1,"kyes":{}}`, `{"schema":1,"keys":{"age1a":"yesterday"}}`} {
		if p, err := DecodeProven([]byte(bad)); err == nil {
			t.Errorf("%s is read as %v", bad, p)
		}
	}
}
