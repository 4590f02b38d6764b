package mariadb

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const dumped = "-- MariaDB dump\nUSE `a``b`;\nCREATE TABLE `t``(` (\n  `i` int\n) AUTO_INCREMENT=9;\nINSERT INTO `t``(` (`V (`) VALUES\n(1,'(\\'),(;\\n'),\n(2,'it''s ('),(3,\"\");\n" +
	"DELIMITER ;;\nINSERT INTO `x` VALUES (1);\nUSE `y`;;\nDELIMITER ;\nCREATE TABLE `e` (\nUSE `mysql`;\nCREATE TABLE `user` (\nINSERT INTO `user` VALUES ('root');\n-- Dump completed\n"

// TestRowsAreCounted: whatever rows hold, and however the text is cut.
func TestRowsAreCounted(t *testing.T) {
	want := []Table{{"a`b", "t`(", 3}, {"a`b", "e", 0}, {"mysql", "user", 1}}
	whole := ""
	for size := range 40 {
		r := &reading{}
		for text := dumped; text != ""; {
			n := min(size+1, len(text))
			if _, err := r.Write([]byte(text[:n])); err != nil {
				t.Fatal(err)
			}
			text = text[n:]
		}
		if diff := cmp.Diff(want, r.tables); diff != "" || !r.complete {
			t.Fatalf("in pieces of %d, complete %t (-want +got):\n%s", size+1, r.complete, diff)
		}
		if text := r.text(); whole != "" && text != whole {
			t.Errorf("in pieces of %d: %s", size+1, text)
		} else {
			whole = text
		}
	}
	if !strings.Contains(whole, "('root')") || strings.Contains(whole, "it''s") || strings.Contains(whole, "AUTO_INCREMENT") {
		t.Errorf("objects are %s", whole)
	}
}

func FuzzReading(f *testing.F) {
	f.Add([]byte(dumped))
	f.Fuzz(func(t *testing.T, text []byte) {
		r := &reading{}
		_, err := r.Write(text)
		for _, table := range r.tables {
			if err == nil && table.Rows < 0 {
				t.Errorf("%v", table)
			}
		}
	})
}
