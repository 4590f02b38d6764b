package suite

import (
	"embed"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// files has the table that says of the tests with a lab how long they take and
// what they are about.
//
//go:embed tests.txt
var files embed.FS

func table() (map[Test]fact, error) {
	text, err := files.ReadFile("tests.txt")
	if err != nil {
		return nil, err
	}
	return readTable(string(text))
}

// A fact is a line of the table.
type fact struct {
	takes time.Duration
	about []string // packages; none: the whole product
	alone bool     // only salvorlab run runs it
}

// readTable reads lines of package, test, seconds and the packages that the test
// is about; packages without the module, the latter without internal/, too. In place of
// the seconds, "run" has the suite leave the test to salvorlab run.
func readTable(text string) (map[Test]fact, error) {
	known := map[Test]fact{}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(fields) < 3 {
			return nil, fmt.Errorf("table of tests: %q: want package, test, seconds", line)
		}
		seconds, err := strconv.Atoi(fields[2])
		f := fact{takes: time.Duration(seconds) * time.Second, alone: fields[2] == "run"}
		if !f.alone && (err != nil || seconds < 1) {
			return nil, fmt.Errorf("table of tests: %q: %q is not a number of seconds", line, fields[2])
		}
		for _, name := range fields[3:] {
			f.about = append(f.about, module+"internal/"+name)
		}
		t := Test{module + fields[0], fields[1]}
		if _, twice := known[t]; twice {
			return nil, fmt.Errorf("table of tests: %s is there twice", t)
		}
		known[t] = f
	}
	return known, nil
}
