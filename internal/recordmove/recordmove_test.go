package recordmove

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/blob/blobtest"
	"salvor/internal/card"
	"salvor/internal/deploy"
	"salvor/internal/deploy/deploytest"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/progress"
	"salvor/internal/record"
	"salvor/internal/sign"
	"salvor/internal/sign/signtest"
)

// house has notes on alpha, beta without a stack, and its record on a nas.
type house struct {
	deploytest.World
	files   map[string]string
	folders map[fleet.Location]*blobtest.Memory
	behind  error
	fleet   Fleet
}

const config = "schema: 1\nfleet: home\nrecord: {remote: nas, path: record}\n"

func newHouse(t *testing.T) *house {
	t.Helper()
	key := signtest.NewKey()
	h := &house{files: map[string]string{fleet.File: config}, folders: map[fleet.Location]*blobtest.Memory{}}
	h.Alive = map[string]bool{"alpha": true, "beta": true}
	h.Owners = map[string]deploy.Owner{"notes": {Host: "alpha", Key: "age1alpha", Epoch: 1}}
	f := &fleet.Fleet{
		Name: "home", Hosts: []fleet.Host{{Name: "alpha"}, {Name: "beta"}}, Stacks: []fleet.Stack{{Name: "notes", Host: "alpha"}},
		Record: fleet.Location{Remote: "nas", Path: "record"}, Remotes: []fleet.Remote{{Name: "nas"}, {Name: "disk"}},
		Recipients: fleet.Recipients{Recovery: "age1recovery"},
	}
	lock := fleet.Lock{Schema: fleet.Schema, Record: f.Record, Stacks: map[string]fleet.Placement{"notes": {Host: "alpha", Epoch: 1}}}
	h.fleet = Fleet{
		Declared: f, Lock: lock, File: h.file, Behind: func(context.Context) error { return h.behind }, Open: h.open,
		Trust: record.Trust{
			Keys: func() (sign.Keys, error) { return sign.Keys{key.Public()}, nil },
			Key:  func(context.Context) (sign.Key, error) { return key, nil },
		},
		Session: func(_ context.Context, sink progress.Sink) (*deploy.Session, error) {
			to := f.Record
			s := h.Session(f, lock)
			f.Record, s.Sink = to, sink
			return s, nil
		},
	}
	h.put(t, f.Record, "claims/notes/1-a.json")
	return h
}

func (h *house) file(name string) ([]byte, error) {
	content, is := h.files[name]
	if !is {
		return nil, fs.ErrNotExist
	}
	return []byte(content), nil
}

type disk struct{ *blobtest.Memory }

func (disk) Close(context.Context) error { return nil }

func (h *house) open(_ context.Context, where fleet.Location) (record.Folder, error) {
	if h.folders[where] == nil {
		h.folders[where] = &blobtest.Memory{}
	}
	return disk{h.folders[where]}, nil
}

func (h *house) put(t *testing.T, where fleet.Location, path string) {
	t.Helper()
	folder, err := h.open(t.Context(), where)
	if err == nil {
		_, err = folder.Put(t.Context(), path, strings.NewReader("x"), 1)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// has reports whether a place has a file.
func (h *house) has(t *testing.T, where fleet.Location, path string) bool {
	t.Helper()
	folder, err := h.open(t.Context(), where)
	if err == nil {
		_, err = folder.Stat(t.Context(), path)
	}
	return err == nil
}

// move prepares and runs a move.
func (h *house) move(t *testing.T, place string) (Receipt, error) {
	t.Helper()
	p, err := Prepare(&h.fleet, place)
	if err != nil {
		t.Fatal(err)
	}
	return p.Run(t.Context(), nil)
}

// TestTheOrderOfAMove: everything is at the new place before its commit, which the hosts
// get last.
func TestTheOrderOfAMove(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	proven, err := card.Proven{"age1recovery": {}, "age1ann": {}}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	h.files[card.ProvenPath] = string(proven)
	p, err := Prepare(&h.fleet, "disk:elsewhere")
	want := "Move the record of home from nas:record to disk:elsewhere? Stacks keep running."
	if err != nil || p.Title != "move the record to disk:elsewhere" || p.Question != want || p.Name != "" || len(h.Log()) > 0 || len(h.folders) > 1 {
		t.Fatalf("%+v, %v, asked %v", p, err, h.Log())
	}
	r, err := p.Run(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	to := fleet.Location{Remote: "disk", Path: "elsewhere"}
	if !h.has(t, to, "claims/notes/1-a.json") || h.fleet.Declared.Record != to || r.Kind != deploy.KindRecordMove || r.Files != 1 || len(r.Unreachable) > 0 {
		t.Errorf("%+v", r)
	}
	if diff := cmp.Diff([]string{"push", "commit record move: nas:record -> disk:elsewhere", "push", "alpha applies"}, h.Log()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	files := h.Commits()[0].Files
	if strings.Contains(string(files[fleet.File]), "record:") || !strings.Contains(string(files["salvor.lock"]), "elsewhere") {
		t.Errorf("committed %s and %s", files[fleet.File], files["salvor.lock"])
	}
	if tried, err := card.DecodeProven(files[card.ProvenPath]); err != nil || len(tried) != 1 {
		t.Errorf("tried at the new place: %v, %v", tried, err)
	}
	if len(r.Pending) != 2 || !strings.Contains(r.Pending[0], "(1 files are at disk:elsewhere)") || !strings.HasPrefix(r.Pending[1], "nas:record is left as it was") {
		t.Errorf("left to do: %q", r.Pending)
	}
}

// TestAMoveIsFinished: where the record is there already nothing is copied, and the
// hosts are asked again.
func TestAMoveIsFinished(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	r, err := h.move(t, "nas")
	if err != nil || len(r.Pending) > 0 || r.From != r.To || h.fleet.Declared.Record != r.From {
		t.Errorf("%+v, %v", r, err)
	}
	for _, c := range h.Commits() {
		if _, changed := c.Files[fleet.File]; changed {
			t.Errorf("committed %v", c)
		}
	}
}

// TestTheSameFolderByAnotherName: nothing is left behind that could be deleted.
func TestTheSameFolderByAnotherName(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.folders[fleet.Location{Remote: "disk", Path: "record"}] = h.folders[h.fleet.Declared.Record]
	r, err := h.move(t, "disk")
	if err != nil || !r.Same || len(r.Pending) != 1 || !strings.Contains(r.Pending[0], "no file was moved") {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestAHostThatDoesNotAnswer finds the record later; one without a stack need not.
func TestAHostThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.Alive = nil
	r, err := h.move(t, "disk:elsewhere")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"alpha"}, r.Unreachable); diff != "" {
		t.Error(diff)
	}
	if len(r.Pending) != 3 || !strings.HasPrefix(r.Pending[0], "alpha does not know the new place yet") {
		t.Errorf("left to do: %q", r.Pending)
	}
}

// TestNothingIsCarriedBehind: the commit of the new place could not be published.
func TestNothingIsCarriedBehind(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.behind = errors.New("git pull")
	r, err := h.move(t, "disk:elsewhere")
	if !errors.Is(err, h.behind) || r.Kind != "" || len(h.folders) > 1 || h.fleet.Declared.Record != h.fleet.Lock.Record {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestTheRecordMovesToSensiblePlaces is fault D6.
func TestTheRecordMovesToSensiblePlaces(t *testing.T) {
	t.Parallel()
	for place, refused := range map[string]string{
		"drive": `fleet.yaml declares no remote "drive"`, "nsa": `fleet.yaml declares no remote "nsa", did you mean "nas"?`, "nas:/abs": "not a path on a remote", "nas:record/new": "one is inside the other",
		"disk": "", "nas:mine": "", "nas": "",
	} {
		_, err := Prepare(&newHouse(t).fleet, place)
		if (err != nil) != (refused != "") || err != nil && !strings.Contains(err.Error(), refused) {
			t.Errorf("%s: %v", place, err)
		}
	}
	h := newHouse(t)
	h.fleet.Declared.Record.Path = "a/record"
	if _, err := Prepare(&h.fleet, "nas:a"); err == nil || !strings.Contains(err.Error(), "one is inside the other") {
		t.Errorf("around the record: %v", err)
	}
	h = newHouse(t)
	full := fleet.Location{Remote: "disk", Path: "full"}
	h.put(t, full, "x")
	if _, err := h.move(t, full.String()); err == nil || !strings.Contains(fault.Hint(err), "REMOTE:PATH") {
		t.Errorf("into a folder that is not empty: %v", err)
	}
	h = newHouse(t)
	h.fleet.Declared.Record = fleet.Location{}
	if _, err := Prepare(&h.fleet, "nas"); err == nil || !strings.Contains(fault.Hint(err), "salvor apply creates it") {
		t.Errorf("without a record: %v", err)
	}
}
