// Package lockfile reads and writes salvor.lock, the placements: one codec for both
// programs.
package lockfile

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/yamldoc"
)

// Name is the file in the repository. It is JSON with sorted keys, one to a line, so
// that changes to different stacks merge and two runs write the same bytes.
const Name = "salvor.lock"

// Encode returns the bytes of salvor.lock for l: the same for equal locks.
func Encode(l fleet.Lock) ([]byte, error) {
	l.Schema = fleet.Schema
	if l.Stacks == nil {
		l.Stacks = map[string]fleet.Placement{}
	}
	if _, err := checkLock(l); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(l); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Decode reads salvor.lock for an operator. No content is an empty lock. Unknown and
// doubled keys and newer schemas are refused: an older Salvor must not overrule a
// placement made with a newer one.
func Decode(content []byte) (fleet.Lock, error) {
	empty := fleet.Lock{Schema: fleet.Schema, Stacks: map[string]fleet.Placement{}}
	if len(content) == 0 {
		return empty, nil
	}
	var head struct {
		Schema int `json:"schema"`
	}
	if err := json.Unmarshal(content, &head); err != nil {
		return empty, lockProblem(content, err)
	}
	switch {
	case head.Schema > fleet.Schema:
		return empty, &yamldoc.Problem{Position: KeyPosition(content, "schema"), Text: fmt.Sprintf("the file has schema "+
			"%d, this salvor supports up to %d", head.Schema, fleet.Schema), Advice: "install a newer salvor"}
	case head.Schema < 1:
		return empty, &yamldoc.Problem{Position: yamldoc.Position{File: Name}, Text: "the file has no schema"}
	}
	if err := checkDoubled(content); err != nil {
		return empty, err
	}
	lock := empty
	dec := json.NewDecoder(bytes.NewReader(content))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&lock); err != nil {
		return empty, lockProblem(content, err)
	}
	if lock.Stacks == nil {
		lock.Stacks = map[string]fleet.Placement{}
	}
	if stack, err := checkLock(lock); err != nil {
		return empty, &yamldoc.Problem{Position: KeyPosition(content, stack), Text: err.Error()}
	}
	return lock, nil
}

// Known reads of salvor.lock what this version knows, for a host: it follows a fleet
// whose operators have a newer Salvor. A newer schema is refused.
func Known(content []byte) (fleet.Lock, error) {
	var lock fleet.Lock
	if err := json.Unmarshal(content, &lock); err != nil {
		return fleet.Lock{}, err
	}
	if lock.Schema > fleet.Schema {
		return fleet.Lock{}, fmt.Errorf("%s has schema %d, this salvord reads %d", Name, lock.Schema, fleet.Schema)
	}
	return lock, nil
}

// checkLock returns the key of what is wrong first, a stack's or the record's, and why.
func checkLock(l fleet.Lock) (key string, err error) {
	if l.Record != (fleet.Location{}) {
		if err := fleet.ValidRemotePath(l.Record.Path); err != nil {
			return "record", fmt.Errorf("record: %w", err)
		}
	}
	called := map[string]string{}
	for _, stack := range slices.Sorted(maps.Keys(l.Stacks)) {
		if err := fleet.ValidName(stack); err != nil {
			return stack, err
		}
		name := l.Stacks[stack].Called
		if _, taken := l.Stacks[name]; name != "" && (taken || called[name] != "") {
			return stack, fmt.Errorf("stack %s: another stack is also called %q", stack, name)
		}
		called[name] = stack
		if err := checkPlaced(l.Stacks[stack]); err != nil {
			return stack, fmt.Errorf("stack %s: %w", stack, err)
		}
	}
	for _, host := range slices.Sorted(maps.Keys(l.Hosts)) {
		err := checkPlaced(l.Hosts[host])
		if err == nil && l.Hosts[host].Host != host {
			err = fmt.Errorf("host: it names %q", l.Hosts[host].Host)
		}
		if err != nil {
			return host, fmt.Errorf("host %s: %w", host, err)
		}
	}
	return "tailnet", checkTailnet(l.Tailnet)
}

// checkTailnet returns what is wrong first with the addresses that hosts have in the tailnet.
func checkTailnet(addresses map[string]string) error {
	for _, host := range slices.Sorted(maps.Keys(addresses)) {
		if ip, err := netip.ParseAddr(addresses[host]); fleet.ValidHost(host) != nil || err != nil || !ip.Is4() {
			return fmt.Errorf("tailnet: %q of %q is not the IPv4 address of a host", addresses[host], host)
		}
	}
	return nil
}

func checkRestore(r *fleet.Restore) error {
	switch {
	case r == nil:
		return nil
	case r.ID == "" || r.Epoch < 1 || r.Snapshot == "":
		return errors.New("restore lacks its id, epoch or snapshot")
	case slices.Contains(r.Volumes, "") || !slices.IsSorted(r.Volumes):
		return errors.New("restore has a volume without a name, or volumes that are not sorted")
	}
	return nil
}

func checkPlaced(p fleet.Placement) error {
	if err := fleet.ValidHost(p.Host); err != nil {
		return fmt.Errorf("host: %w", err)
	}
	if p.Called != "" && fleet.ValidName(p.Called) != nil {
		return fmt.Errorf("called: %w", fleet.ValidName(p.Called))
	}
	if p.Epoch < 1 || p.Epoch > fleet.MaxEpoch {
		return fmt.Errorf("epoch is %d, want 1 to %d", p.Epoch, fleet.MaxEpoch)
	}
	for _, target := range slices.Sorted(maps.Keys(p.Repositories)) {
		if p.Repositories[target] == "" {
			return fmt.Errorf("repository of target %q has no id", target)
		}
	}
	if err := errors.Join(checkRestore(p.Restore), checkFormer(p), checkProven(p)); err != nil {
		return err
	}
	for _, service := range slices.Sorted(maps.Keys(p.Images)) {
		if !project.Lockable(p.Images[service]) {
			return fmt.Errorf("image of service %q has no digest", service)
		}
	}
	for _, volume := range slices.Sorted(maps.Keys(p.Volumes)) {
		if p.Volumes[volume].Born.IsZero() {
			return fmt.Errorf("volume %q has no time of birth", volume)
		}
	}
	return nil
}

// checkFormer refuses a repository that is named twice: one that is written to
// must not be taken for one that no longer is.
func checkFormer(p fleet.Placement) error {
	for _, target := range slices.Sorted(maps.Keys(p.Former)) {
		seen := map[string]bool{p.Repositories[target]: true}
		for _, id := range p.Former[target] {
			switch {
			case id == "":
				return fmt.Errorf("a former repository of target %q has no id", target)
			case seen[id]:
				return fmt.Errorf("repository %q of target %q is named twice", id, target)
			}
			seen[id] = true
		}
	}
	return nil
}

var snapshotID = regexp.MustCompile(`^[0-9a-f]{64}$`)

// checkProven refuses what no host can have proven for this placement.
func checkProven(p fleet.Placement) error {
	for _, id := range slices.Sorted(maps.Keys(p.Proven)) {
		switch proven := p.Proven[id]; {
		case !p.Has(id):
			return fmt.Errorf("proven: repository %q does not belong to the placement", id)
		case proven.Epoch < 1 || proven.Epoch > p.Epoch || proven.Seq < 1:
			return fmt.Errorf("proven: repository %q: epoch %d, number %d of a placement at epoch %d", id, proven.Epoch, proven.Seq, p.Epoch)
		case !snapshotID.MatchString(proven.ID):
			return fmt.Errorf("proven: repository %q: %q is not the id of a snapshot", id, proven.ID)
		}
	}
	return nil
}

// checkDoubled reports a key that is twice in one object, which encoding/json lets
// pass: a merge gone wrong looks like that.
func checkDoubled(content []byte) error {
	dec := json.NewDecoder(bytes.NewReader(content))
	type level struct {
		keys   map[string]bool // nil for an array
		inside bool            // a key was read, its value comes next
	}
	var stack []level
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return lockProblem(content, err)
		}
		top := len(stack) - 1
		if text, ok := token.(string); ok && top >= 0 && stack[top].keys != nil && !stack[top].inside {
			if stack[top].keys[text] {
				return &yamldoc.Problem{Position: lockPosition(content, dec.InputOffset()), Text: fmt.Sprintf("the key %q is here twice", text)}
			}
			stack[top].keys[text], stack[top].inside = true, true
			continue
		}
		switch token {
		case json.Delim('{'):
			stack = append(stack, level{keys: map[string]bool{}})
			continue
		case json.Delim('['):
			stack = append(stack, level{})
			continue
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:top]
		}
		if top := len(stack) - 1; top >= 0 {
			stack[top].inside = false
		}
	}
}

func lockProblem(content []byte, err error) *yamldoc.Problem {
	place, text := yamldoc.Position{File: Name}, strings.TrimPrefix(err.Error(), "json: ")
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch key, unknown := strings.CutPrefix(text, "unknown field "); {
	case unknown:
		place, text = KeyPosition(content, strings.Trim(key, `"`)), "unknown key "+key
	case errors.As(err, &syntax):
		place = lockPosition(content, syntax.Offset)
	case errors.As(err, &wrong):
		place = lockPosition(content, wrong.Offset)
		text = fmt.Sprintf("%s is a %s, want %s", cmp.Or(wrong.Field, "the file"), wrong.Value, wrong.Type)
	}
	if bytes.Contains(content, []byte("<<<<<<< ")) {
		return &yamldoc.Problem{Position: place, Text: "the file contains an unresolved merge", Advice: "keep one side completely, then run salvor plan"}
	}
	return &yamldoc.Problem{Position: place, Text: text}
}

// KeyPosition returns where a key first is.
func KeyPosition(content []byte, key string) yamldoc.Position {
	at := regexp.MustCompile(regexp.QuoteMeta(strconv.Quote(key)) + `\s*:`).FindIndex(content)
	if at == nil {
		return yamldoc.Position{File: Name}
	}
	return lockPosition(content, int64(at[0]+1))
}

func lockPosition(content []byte, offset int64) yamldoc.Position {
	before := content[:min(max(offset-1, 0), int64(len(content)))]
	column := len(before) - (bytes.LastIndexByte(before, '\n') + 1) + 1
	return yamldoc.Position{File: Name, Line: bytes.Count(before, []byte("\n")) + 1, Column: column}
}
