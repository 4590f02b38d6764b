package confirmation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"salvor/internal/atomicfile"
)

// An Approval is what the operator is asked before this computer does what the
// repository says: anyone who can push can write that. An answer is kept in this
// clone, and holds until what was approved changes.
type Approval struct {
	Question string
	Flag     string // replaces the answer where there is no terminal
	Value    string // of the flag
}

// ErrUnapproved is for a question that could not be asked.
var ErrUnapproved = errors.New("not approved in this clone")

// approve returns nil where the operator's clone has approved, or now approves, the
// content under a key. What was approved before under it is forgotten.
func (c *Confirmed) approve(file, key, content string, ask func(before string) Approval) error {
	c.approving.Lock()
	defer c.approving.Unlock()
	path, err := c.checkout.Git.OwnFile(file)
	if err != nil {
		return err
	}
	known, err := readApproved(path)
	if err != nil {
		return err
	}
	if before, is := known[key]; is && before == content {
		return nil
	}
	question := ask(known[key])
	if c.opts.Approve == nil {
		return fmt.Errorf("%w: %s", ErrUnapproved, question.Question)
	}
	if err := c.opts.Approve(question); err != nil {
		return err
	}
	known[key] = content
	text, err := json.MarshalIndent(known, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(path, bytes.NewReader(text), 0o600)
}

// readApproved reads what a clone has approved. A file that is damaged approves
// nothing.
func readApproved(path string) (map[string]string, error) {
	known := map[string]string{}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return known, nil
	}
	if err != nil || json.Unmarshal(text, &known) != nil || known == nil {
		known = map[string]string{}
	}
	return known, err
}
