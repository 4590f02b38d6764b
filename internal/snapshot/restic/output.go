package restic

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
)

// A Version is restic's.
type Version struct{ Major, Minor, Patch int }

// AtLeast reports whether v is major.minor or newer.
func (v Version) AtLeast(major, minor int) bool {
	return v.Major > major || v.Major == major && v.Minor >= minor
}

// String returns "0.14.0".
func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

var versionPattern = regexp.MustCompile(`^restic (\d{1,6})\.(\d{1,6})\.(\d{1,6})`)

// ParseVersion reads the output of `restic version`.
func ParseVersion(out []byte) (Version, error) {
	m := versionPattern.FindSubmatch(out)
	if m == nil {
		return Version{}, errors.New("restic's version can't be read")
	}
	var n [3]int
	for i := range n {
		n[i], _ = strconv.Atoi(string(m[i+1])) // digits, by the pattern
	}
	return Version{n[0], n[1], n[2]}, nil
}

// A Summary is what restic says of a snapshot it made.
type Summary struct {
	Files        int      // read or compared
	Bytes        int64    // their sizes together
	FilesNew     int      //
	FilesChanged int      //
	BytesAdded   int64    // new data, before compression
	Unread       []string // paths that could not be read, also those that vanished
}

// backupReport gathers the lines of `restic backup --json`: "status" lines are
// skipped, "error" lines name a file, "summary" comes last.
type backupReport struct {
	summary Summary
	done    bool
	err     error
}

type backupLine struct {
	Type         string `json:"message_type"`
	Files        int    `json:"total_files_processed"`
	Bytes        int64  `json:"total_bytes_processed"`
	FilesNew     int    `json:"files_new"`
	FilesChanged int    `json:"files_changed"`
	BytesAdded   int64  `json:"data_added"`
	Item         string `json:"item"`
}

func (r *backupReport) line(line []byte) {
	if bytes.Contains(line, []byte(`"message_type":"status"`)) {
		return
	}
	var l backupLine
	if err := json.Unmarshal(line, &l); err != nil {
		r.err = errors.Join(r.err, fmt.Errorf("read restic's report: %w", err))
		return
	}
	switch l.Type {
	case "error":
		r.summary.Unread = append(r.summary.Unread, l.Item)
	case "summary":
		r.done = true
		unread := r.summary.Unread
		r.summary = Summary{l.Files, l.Bytes, l.FilesNew, l.FilesChanged, l.BytesAdded, unread}
	}
}

// unreadReport gathers the files that restic names on standard error, among
// other messages, because it could not read them.
type unreadReport struct{ items []string }

func (r *unreadReport) line(line []byte) {
	var l backupLine
	if json.Unmarshal(line, &l) == nil && l.Type == "error" {
		r.items = append(r.items, l.Item)
	}
}

func (r *backupReport) result() (Summary, error) {
	switch {
	case r.err != nil:
		return Summary{}, r.err
	case !r.done:
		return Summary{}, errors.New("restic did not print a summary")
	}
	return r.summary, nil
}

// maxLine bounds one line of restic's output.
const maxLine = 1 << 20

// lineWriter cuts a stream into lines. Lines over maxLine are dropped.
type lineWriter struct {
	each func([]byte)
	rest []byte
}

// Write implements io.Writer.
func (w *lineWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		line, rest, ok := bytes.Cut(w.rest, []byte("\n"))
		if !ok {
			break
		}
		if len(bytes.TrimSpace(line)) > 0 {
			w.each(line)
		}
		w.rest = rest
	}
	if len(w.rest) > maxLine {
		w.rest = nil
	}
	return len(p), nil
}
