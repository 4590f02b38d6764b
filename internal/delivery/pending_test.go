package delivery

import (
	"os"
	"testing"

	"salvor/internal/hostpath"

	"github.com/google/go-cmp/cmp"
)

func pending(t *testing.T, root hostpath.Secrets) Report {
	t.Helper()
	r, err := Pending(root, "notes")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPending(t *testing.T) {
	root := memoryDir(t)
	mustDeliver(t, root, sample())
	if r := pending(t, root); len(r.Services) > 0 || r.Env {
		t.Errorf("after a first delivery, which nobody has read before: %+v", r)
	}
	one, two := sample(), sample()
	one.Sealed.Secrets["token"] = []byte("t2")
	two.Sealed.Secrets["token"], two.Sealed.Env["DB_PASSWORD"] = []byte("t3"), []byte("new")
	mustDeliver(t, root, one)
	mustDeliver(t, root, two)
	mustDeliver(t, root, two)
	if diff := cmp.Diff(Report{Services: []string{"web"}, Env: true}, pending(t, root)); diff != "" {
		t.Error(diff)
	}
	for range 2 {
		if err := MarkNotified(root, "notes"); err != nil {
			t.Fatal(err)
		}
	}
	if r := pending(t, root); len(r.Services) > 0 || r.Env {
		t.Errorf("after MarkNotified: %+v", r)
	}
}

// A delivery that was interrupted after its note is not forgotten.
func TestPendingOutlivesACrash(t *testing.T) {
	root := memoryDir(t)
	mustDeliver(t, root, sample())
	if err := sample().note(root, "db", root.Service("notes", "db")); err != nil {
		t.Fatal(err)
	}
	mustDeliver(t, root, sample())
	if diff := cmp.Diff([]string{"db"}, pending(t, root).Services); diff != "" {
		t.Error(diff)
	}
	if err := Remove(root, "notes"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(root.Stack("notes")); err == nil {
		t.Error("Remove leaves notes")
	}
}
