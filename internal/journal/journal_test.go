package journal

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestTailCrossesMonthsAndPassesOverACutLine(t *testing.T) {
	j := Journal{Dir: t.TempDir()}
	october := time.Date(2026, 10, 31, 23, 0, 0, 0, time.UTC)
	for i, text := range []string{"one", "two", "three"} {
		if err := j.Append(Entry{At: october.Add(time.Duration(i) * time.Hour), Kind: "apply", Text: text}); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.OpenFile(filepath.Join(j.Dir, "2026-11.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"schema":1,"text":"cu`); err != nil {
		t.Fatal(err)
	}
	f.Close()
	got, err := j.Tail(2)
	if err != nil || len(got) != 2 || got[0].Text != "two" || got[1].Text != "three" {
		t.Errorf("Tail(2) = %+v, %v", got, err)
	}
	if all, err := j.Tail(10); err != nil || len(all) != 3 {
		t.Errorf("Tail(10) has %d entries, %v", len(all), err)
	}
}
