package rotation

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/deploy"
	"salvor/internal/deploy/deploytest"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/progress"
	"salvor/internal/secret"
	"salvor/internal/secretstore"
)

// house has notes on beta, which needs the secret "token"; a program prints "printed".
type house struct {
	deploytest.World
	uses    []string
	refuses error
	undo    error
}

func newHouse() *house {
	h := &house{uses: []string{"notes/web on beta: recreate"}}
	h.Alive = map[string]bool{"beta": true}
	h.Owners = map[string]deploy.Owner{"notes": {Host: "beta", Key: "age1beta", Epoch: 1}}
	h.Stale = map[string]string{"notes": "its secrets changed"}
	return h
}

func (h *house) Command(name string) ([]string, bool) { return []string{"pass"}, name == "printed" }
func (h *house) MayRotate(string) error               { return h.refuses }
func (h *house) UsedBy(string) []string               { return h.uses }

func (h *house) RotateSecret(_ context.Context, name string, value secret.Value) (secretstore.Changes, error) {
	h.Note("%s is %s", name, value.Reveal())
	return secretstore.Changes{"secrets/" + name: []byte("old")}, nil
}

func (h *house) RaiseRevision(_ context.Context, name string) error {
	h.Note("%s has another revision", name)
	return nil
}

func (h *house) UndoRotation(_ context.Context, name string, before secretstore.Changes) error {
	h.Note("%s is %s again", name, before["secrets/"+name])
	return h.undo
}

func (h *house) Session(context.Context, progress.Sink) (*deploy.Session, error) {
	return h.World.Session(
		&fleet.Fleet{Name: "home", Hosts: []fleet.Host{{Name: "beta"}}, Stacks: []fleet.Stack{{Name: "notes", Host: "beta"}}},
		fleet.Lock{Schema: fleet.Schema, Stacks: map[string]fleet.Placement{"notes": {Host: "beta", Epoch: 1}}},
	), nil
}

func (h *house) rotate(t *testing.T, name string) (Receipt, error) {
	t.Helper()
	p, err := Prepare(h, h.options(name))
	if err != nil {
		t.Fatal(err)
	}
	return p.Run(t.Context(), nil)
}

func (h *house) options(name string) Options {
	return Options{Name: name,
		Value:  func() (secret.Value, error) { return secret.NewString("new"), nil },
		Reopen: func(context.Context) (Reopened, error) { return h, nil }}
}

// failing has notes not come up with the new value.
func (h *house) failing() *house {
	h.Outcome = func(string, agentapi.Stack) *agentapi.Error {
		if strings.Contains(strings.Join(h.Log(), "\n"), "again") {
			return nil
		}
		return &agentapi.Error{Text: "unhealthy"}
	}
	return h
}

func TestTheNewValueIsDelivered(t *testing.T) {
	t.Parallel()
	h := newHouse()
	p, err := Prepare(h, h.options("token"))
	if err != nil || p.Question != "Rotate token? It is used by\n  notes/web on beta: recreate" || p.Name != "" {
		t.Fatalf("%+v, %v", p, err)
	}
	r, err := p.Run(t.Context(), nil)
	if err != nil || len(r.Deliveries) != 1 || r.Deliveries[0].Kind != deploy.KindRotate {
		t.Errorf("%+v, %v", r, err)
	}
	if diff := cmp.Diff([]string{"token is new", "push", "seal notes", "commit secret rotate: token", "push", "beta applies"}, h.Log()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

// TestTheOldValueComesBack where a stack does not come up with the new one: it is
// committed and delivered again, and the command says both.
func TestTheOldValueComesBack(t *testing.T) {
	t.Parallel()
	h := newHouse().failing()
	r, err := h.rotate(t, "token")
	if code, _ := fault.Code(err); err == nil || code != fault.Partial || !strings.Contains(err.Error(), "token has its old value again") || !strings.Contains(err.Error(), "beta: notes: unhealthy") {
		t.Errorf("ends with %v", err)
	}
	if len(r.Deliveries) != 2 {
		t.Errorf("%d deliveries", len(r.Deliveries))
	}
	log := strings.Join(h.Log(), "\n")
	if back := strings.Index(log, "token is old again"); back < strings.Index(log, "beta applies") || strings.LastIndex(log, "beta applies") < back {
		t.Errorf("asked:\n%s", log)
	}
}

// TestTheOldValueDoesNotComeBack: that it could not be put back is said with why it was
// to be.
func TestTheOldValueDoesNotComeBack(t *testing.T) {
	t.Parallel()
	h := newHouse().failing()
	h.undo = errors.New("the Git host is away")
	_, err := h.rotate(t, "token")
	for _, want := range []string{"beta: notes: unhealthy", "the old value of token could not be restored everywhere: the Git host is away"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if fault.Hint(err) != "salvor plan" {
		t.Errorf("hint %q", fault.Hint(err))
	}
}

// TestAPrintedSecret: its old value is not Salvor's to bring back.
func TestAPrintedSecret(t *testing.T) {
	t.Parallel()
	if r, err := newHouse().rotate(t, "printed"); err != nil || len(r.Deliveries) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	h := newHouse().failing()
	_, err := h.rotate(t, "printed")
	if err == nil || !strings.Contains(err.Error(), "printed keeps its new value") || strings.Contains(strings.Join(h.Log(), "\n"), "again") {
		t.Errorf("%v, asked %v", err, h.Log())
	}
	o := h.options("printed")
	o.Generate = true
	if _, err := Prepare(h, o); err == nil || !strings.Contains(err.Error(), "its value comes from pass") {
		t.Errorf("generated here: %v", err)
	}
}

// TestNobodyNeedsIt: it is committed, and nothing is delivered.
func TestNobodyNeedsIt(t *testing.T) {
	t.Parallel()
	h := newHouse()
	h.Stale, h.uses = nil, nil
	p, err := Prepare(h, h.options("token"))
	if err != nil || p.Question != "Rotate token? Nothing in the fleet uses it." {
		t.Fatalf("%+v, %v", p, err)
	}
	r, err := p.Run(t.Context(), nil)
	if err != nil || len(r.Deliveries) != 1 || r.Deliveries[0].Kind != "" || cmp.Diff([]string{"token is new"}, h.Log()) != "" {
		t.Errorf("%+v, %v, asked %v", r, err, h.Log())
	}
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse()
	h.refuses = errors.New("a database keeps it")
	if _, err := Prepare(h, h.options("token")); !errors.Is(err, h.refuses) {
		t.Errorf("%v", err)
	}
	if len(h.Log()) > 0 {
		t.Errorf("asked %v", h.Log())
	}
}

func TestGenerate(t *testing.T) {
	t.Parallel()
	for length, fits := range map[int]bool{15: false, 16: true, 32: true, 1024: true, 1025: false} {
		value, err := Generate(length)
		if (err == nil) != fits || fits && len(value.Reveal()) != length {
			t.Errorf("%d: %v", length, err)
		}
		if strings.Trim(string(value.Reveal()), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") != "" {
			t.Errorf("%d: other than letters and digits", length)
		}
	}
}
