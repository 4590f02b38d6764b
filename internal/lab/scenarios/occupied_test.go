package scenarios

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"salvor/internal/lab"
	"salvor/internal/lab/oracle"
	"salvor/internal/lab/scenario"
	"salvor/internal/lab/world"
)

// TestOccupied is fault V3: a Compose project that someone started by hand runs on
// the host, under load, and the same stack comes into Git. No one said what is to
// become of its data, so no byte of it moves and its container runs on.
func TestOccupied(t *testing.T) {
	ctx := t.Context()
	s := scenario.Begin(t, usualFor)
	var collector oracle.Collector
	w, err := world.New(ctx, s.Lab, world.Options{Log: testLog{t}})
	must(t, err)
	images, err := w.Images(ctx)
	must(t, err)
	alpha := spare(t, w, "alpha")
	url := listen(t, s.Lab, &collector)
	diary := world.Stack{Name: "diary", Store: "sqlite", Host: "alpha", Port: 8081, Every: "20ms", Size: 100}
	notes := world.Stack{Name: "notes", Store: "files", Host: "alpha", Port: 8082, Every: "50ms", Size: 100}

	byHand(t, alpha, diary, images, url)
	writesAfter(t, &collector, diary.Name, time.Time{})
	before := lodging(t, alpha, diary.Name)

	for _, st := range []world.Stack{diary, notes} {
		must(t, w.Write("stacks/"+st.Name+"/compose.yaml", st.Compose(images, url)))
	}
	must(t, w.Commit(ctx, "what runs already, and what does not"))
	for _, command := range []string{"plan", "apply", "apply"} {
		out, err := w.Salvor(ctx, nil, command)
		if !strings.Contains(out+fmt.Sprint(err), "volume-occupied") {
			t.Errorf("salvor %s does not say volume-occupied: %v\n%s", command, err, out)
		}
		if command == "apply" && err == nil {
			t.Error("apply did what it must refuse")
		}
		s.Count("commands refused", 1)
	}
	undisturbed(t, s, &collector, alpha, diary, before)

	t.Log("now its owner says that it is to be taken as it is")
	out, err := w.Salvor(ctx, nil, "apply", "--take", diary.Name)
	must(t, err)
	t.Log(out)
	for _, st := range []world.Stack{diary, notes} {
		writesAfter(t, &collector, st.Name, time.Now())
	}
	holdsAll(t, s, &collector, alpha, diary)
	_, err = w.Salvor(ctx, nil, "snapshot", "take", diary.Name)
	must(t, err)
	holdsAll(t, s, &collector, alpha, diary)
	settled(t, w)
	s.Count("rows acknowledged", len(collector.Acks(diary.Name)))
}

// byHand starts a stack's Compose file as a person does without Salvor.
func byHand(t *testing.T, h *lab.Host, st world.Stack, i world.Images, collector string) {
	t.Helper()
	_, compose, _ := strings.Cut(st.Compose(i, collector), "services:\n")
	dir := "/srv/" + st.Name
	must(t, h.WriteFile(t.Context(), dir+"/compose.yaml", "services:\n"+compose))
	exec(t, h, "cd "+dir+" && docker compose up -d --wait 2>&1")
}

// A lodger is what must not change about a container that someone else runs.
type lodger struct{ id, started, folders string }

func lodging(t *testing.T, h *lab.Host, project string) lodger {
	t.Helper()
	id := exec(t, h, "docker ps -q --no-trunc --filter label=com.docker.compose.project="+project)
	volume := "/var/lib/docker/volumes/" + project + "_data"
	eventually(t, project+" is not paused, as for a snapshot", func() error {
		if paused := exec(t, h, "docker inspect -f '{{.State.Paused}}' "+id); paused != "false" {
			return errors.New("paused: " + paused)
		}
		return nil
	})
	return lodger{
		id:      id,
		started: exec(t, h, "docker inspect -f '{{.State.StartedAt}} {{.RestartCount}}' "+id),
		folders: exec(t, h, "stat -c '%n %i' "+volume+" "+volume+"/*"),
	}
}

func undisturbed(t *testing.T, s *scenario.Scenario, c *oracle.Collector, h *lab.Host, st world.Stack, before lodger) {
	t.Helper()
	if now := lodging(t, h, st.Name); now != before {
		t.Errorf("the container was %+v, it is %+v", before, now)
	}
	writesAfter(t, c, st.Name, time.Now())
	holdsAll(t, s, c, h, st)
}

// holdsAll checks that a host has every row of a stack that was acknowledged so
// far.
func holdsAll(t *testing.T, s *scenario.Scenario, c *oracle.Collector, h *lab.Host, st world.Stack) {
	t.Helper()
	asked := time.Now()
	all, err := rows(t.Context(), h, st.Port)
	must(t, err)
	if err := c.Check(st.Name, all, asked); err != nil {
		t.Error(err)
	}
	s.Count("rows checked", len(all))
}
