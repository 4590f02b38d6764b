package keeper

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/snapshot"
)

// held is what the repositories of a test hold, by their ids.
type held map[string][]snapshot.Info

var errAway = errors.New("away")

// list returns a lister that knows held; repositories named away do not answer.
func (h held) list(away ...string) (lister, *[]string) {
	var asked []string
	return func(t agentapi.Target) (snapshot.Listing, error) {
		asked = append(asked, t.Repository)
		for _, id := range away {
			if id == t.Repository {
				return snapshot.Listing{}, errAway
			}
		}
		return snapshot.Listing{Infos: h[t.Repository]}, nil
	}, &asked
}

func info(id string, epoch, seq int, volumes ...string) snapshot.Info {
	return snapshot.Info{ID: id, Epoch: epoch, Seq: seq, Volumes: volumes}
}

func TestARestoreLooksInFormerRepositories(t *testing.T) {
	diverged := info("d", 9, 9, "db")
	diverged.Diverged = true
	twice := []agentapi.Target{{Name: "offsite", Repository: "o3", Former: []string{"o1", "o2"}}, {Name: "nas", Repository: "n3", Former: []string{"n2"}}}
	for name, c := range map[string]struct {
		held   held
		away   []string
		want   string // snapshot, "" for none
		in     string // its repository
		asked  []string
		db     snapshot.History // "" for unknown
		failed bool
	}{
		"nothing anywhere":             {asked: []string{"o3", "n3", "o2", "n2", "o1"}, db: snapshot.HistoryNone},
		"the present one has it":       {held: held{"o3": {info("a", 1, 1, "db")}, "o2": {info("b", 1, 17, "db")}}, want: "a", in: "o3", asked: []string{"o3", "n3"}, db: snapshot.HistorySome},
		"one present one of two":       {held: held{"n3": {info("a", 1, 1, "db")}, "o2": {info("b", 1, 17, "db")}}, want: "a", in: "n3", asked: []string{"o3", "n3"}, db: snapshot.HistorySome},
		"only a former one":            {held: held{"o2": {info("b", 1, 17, "db")}, "o1": {info("c", 1, 40, "db")}}, want: "b", in: "o2", asked: []string{"o3", "n3", "o2", "n2"}, db: snapshot.HistorySome},
		"the newest of two formers":    {held: held{"o2": {info("b", 1, 17, "db")}, "n2": {info("e", 2, 1, "db")}}, want: "e", in: "n2", asked: []string{"o3", "n3", "o2", "n2"}, db: snapshot.HistorySome},
		"only the first":               {held: held{"o1": {info("c", 1, 40, "db")}}, want: "c", in: "o1", asked: []string{"o3", "n3", "o2", "n2", "o1"}, db: snapshot.HistorySome},
		"diverged is not usable":       {held: held{"o3": {diverged}, "o2": {info("b", 1, 17, "db")}}, want: "b", in: "o2", asked: []string{"o3", "n3", "o2", "n2"}, db: snapshot.HistorySome},
		"a volume the newest lacks":    {held: held{"o3": {info("a", 1, 1, "other")}, "o2": {info("b", 1, 17, "db")}}, want: "a", in: "o3", asked: []string{"o3", "n3"}, db: snapshot.HistoryNone},
		"who is away may have newer":   {held: held{"o2": {info("b", 1, 17, "db")}}, away: []string{"n3"}, asked: []string{"o3", "n3"}, failed: true},
		"who is away may have none":    {held: held{"o3": {info("a", 1, 1, "db")}}, away: []string{"n3"}, want: "a", in: "o3", asked: []string{"o3", "n3"}, db: snapshot.HistorySome, failed: true},
		"a former one does not answer": {held: held{"o1": {info("c", 1, 40, "db")}}, away: []string{"o2"}, asked: []string{"o3", "n3", "o2", "n2"}, failed: true},
	} {
		t.Run(name, func(t *testing.T) {
			list, asked := c.held.list(c.away...)
			found, err := listings(twice, list)
			if errors.Is(err, errAway) != c.failed {
				t.Errorf("err = %v", err)
			}
			if diff := cmp.Diff(c.asked, *asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
			best := append(Candidates(found), Candidate{})[0]
			if best.Info.ID != c.want || best.Target.Repository != c.in {
				t.Errorf("newest is %q in %q", best.Info.ID, best.Target.Repository)
			}
			if got := histories([]snapshot.Volume{{Name: "db"}}, found, err)["db"]; got != c.db {
				t.Errorf("history of db is %q, want %q", got, c.db)
			}
		})
	}
}

func TestASnapshotIsFoundByItsIDWhereverItLies(t *testing.T) {
	targets := []agentapi.Target{{Name: "offsite", Repository: "o2", Former: []string{"o1"}}}
	all := held{"o2": {info("new", 1, 1)}, "o1": {info("old", 1, 7)}}
	for id, in := range map[string]string{"new": "o2", "old": "o1"} {
		list, _ := all.list()
		if got, err := Holding("notes", targets, id, list); err != nil || got.Repository != in || got.Name != "offsite" {
			t.Errorf("%s: %+v, %v", id, got, err)
		}
	}
	list, _ := all.list("o1")
	if _, err := Holding("notes", targets, "gone", list); !errors.Is(err, snapshot.ErrNoSnapshot) || !errors.Is(err, errAway) {
		t.Errorf("a snapshot that is nowhere: %v", err)
	}
}
