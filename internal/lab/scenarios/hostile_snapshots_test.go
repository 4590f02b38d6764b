package scenarios

import (
	"encoding/json"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/blob"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/lab/oracle"
	"salvor/internal/snapshot"
	"salvor/internal/snapshot/restserver"
)

// snapshots puts snapshots into the repository of diary, whose password alpha has from
// when diary was there, and takes away what the credential reaches. On a target that
// keeps nothing from its users that succeeds; it is named, and what comes back is the
// newest that was proven.
func (h *hostile) snapshots() {
	want, newest := h.proven("diary")
	planted := append(h.plants("offsite", newest), h.plants("vault", newest)...)
	h.triesTheVault()
	h.litters()
	status := h.done("status")
	h.names("planted snapshots", status, "beta/diary", "["+string(finding.SnapshotFuture)+"]", "["+string(finding.SnapshotUnproven)+"]")
	list := h.done("snapshot", "ls", "diary")
	for _, id := range planted {
		h.names("a planted snapshot", list, id[:8])
	}
	h.deletes(newest)
	h.restores(want)
}

// proven takes a snapshot of a stack on beta, and returns the rows that it must have.
func (h *hostile) proven(stack string) ([]oracle.Row, agentapi.SnapshotRow) {
	h.t.Helper()
	writesAfter(h.t, h.collector, stack, time.Now())
	want, err := rows(h.t.Context(), h.beta, hostileDiary.Port)
	must(h.t, err)
	h.done("snapshot", "take", stack)
	out, err := h.w.Salvor(h.t.Context(), nil, "--json", "snapshot", "ls", stack)
	must(h.t, err)
	var list agentapi.SnapshotList
	must(h.t, json.Unmarshal([]byte(out), &list))
	if len(list.Snapshots) == 0 {
		h.t.Fatal("no snapshots")
	}
	writesAfter(h.t, h.collector, stack, time.Now())
	newest := slices.DeleteFunc(list.Snapshots, func(s agentapi.SnapshotRow) bool { return s.Target != "offsite" })
	return want, newest[len(newest)-1]
}

// repository is where a stack's snapshots are on a target.
func (h *hostile) repository(target, stack string) fleet.Location {
	h.t.Helper()
	where := fleet.Location{Remote: "nas", Path: "salvor/snapshots"}
	if target == "vault" {
		where = fleet.Location{Remote: "vault", Path: "salvor"}
	}
	where.Path += "/" + stack + "/" + readLock(h.t, h.w).Stacks[stack].Repositories[target]
	return where
}

// plants puts snapshots there whose numbers are those of a newer one, with restic, as
// salvord runs it.
func (h *hostile) plants(target string, newest agentapi.SnapshotRow) (ids []string) {
	t, ctx := h.t, h.t.Context()
	where := h.repository(target, "diary")
	folder := h.store(where)
	store := blob.Store(folder)
	if target == "vault" {
		store = snapshot.Repository{Store: folder}.AppendOnly().Store // restic removes its locks
	}
	server, err := restserver.Start(ctx, restserver.Options{Store: store, Mode: restserver.Full, Spool: t.TempDir()})
	must(t, err)
	defer server.Close()
	password := h.loot.seals["diary"].Repositories[filepath.Base(where.Path)]
	if len(password) == 0 {
		t.Fatalf("alpha never had the password of %s", where.Path)
	}
	data := t.TempDir()
	must(t, os.WriteFile(filepath.Join(data, "rows.db"), []byte("planted by alpha"), 0o600))
	for _, number := range [][2]int{{newest.Epoch, newest.Seq + 1}, {newest.Epoch, 1 << 29}, {999, 1}} {
		server.Begin(restserver.Pass{})
		cmd := osexec.CommandContext(ctx, "restic", "backup", "--no-cache", "--host", "beta", "--tag", "volumes=data", "--tag", fmt.Sprintf("epoch=%d", number[0]), "--tag", fmt.Sprintf("seq=%d", number[1]), "--tag", "commit="+h.loot.spec.Commit, ".")
		cmd.Dir = data
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + data, "RESTIC_REPOSITORY=" + string(server.URL().Reveal()), "RESTIC_PASSWORD=" + string(password)}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("restic: %v\n%s", err, out)
		}
		ids = append(ids, server.Snapshot())
		must(t, server.Commit(ctx, server.Snapshot()))
	}
	h.tried("plant a snapshot", len(ids))
	return ids
}

// litters puts files that are not snapshots among those of wiki, whose password alpha never had.
func (h *hostile) litters() {
	if len(h.loot.seals["wiki"].Repositories) > 0 {
		h.t.Error("alpha has the password of wiki")
	}
	folder := h.store(h.repository("offsite", "wiki"))
	h.put(folder, "snapshots/"+strings.Repeat("6", 64), []byte(escapes))
	h.put(folder, "snapshots/"+escapes[1:4], []byte("junk"))
	h.tried("plant a snapshot", 2)
}

// deletes takes the newest proven snapshot of diary away, and all of wiki's. beta runs
// on, and takes and restores nothing meanwhile; then the remote's owner brings back what was there.
func (h *hostile) deletes(newest agentapi.SnapshotRow) {
	t, ctx := h.t, h.t.Context()
	kept := filepath.Join(t.TempDir(), "kept")
	must(t, os.CopyFS(kept, os.DirFS(h.remote("salvor", "snapshots"))))
	must(t, h.store(h.repository("offsite", "diary")).Delete(ctx, "snapshots/"+newest.ID))
	wiki := h.store(h.repository("offsite", "wiki"))
	all, err := wiki.List(ctx, "snapshots")
	must(t, err)
	for _, o := range all {
		must(t, wiki.Delete(ctx, "snapshots/"+o.Path))
	}
	h.tried("delete a snapshot", len(all)+1)

	status := h.done("status")
	h.names("deleted snapshots", status, "beta/diary: snapshot "+newest.ID[:8], "["+string(finding.SnapshotRolledBack)+"]", "beta/wiki: snapshot ", "["+string(finding.HistoryLost)+"]")
	// what is in the vault would be restored; meanwhile its disk is not mounted
	away := filepath.Join(h.Folder(), "away")
	must(t, os.Rename(filepath.Join(h.vault.dir, "salvor"), away))
	before := lodging(t, h.beta, "diary")
	h.names("a restore after that", h.ends(fault.General, "restore", "diary"), " of diary was proven and is missing")
	if now := lodging(t, h.beta, "diary"); now != before {
		t.Errorf("restored while the newest proven snapshot is missing: it was %+v, it is %+v", before, now)
	}
	must(t, os.Rename(away, filepath.Join(h.vault.dir, "salvor")))
	must(t, os.RemoveAll(h.remote("salvor", "snapshots")))
	must(t, os.CopyFS(h.remote("salvor", "snapshots"), os.DirFS(kept)))
}

// restores brings diary back: what comes is the newest proven snapshot, whatever is
// next to it.
func (h *hostile) restores(want []oracle.Row) {
	t, ctx := h.t, h.t.Context()
	h.done("restore", "diary")
	began := time.Now()
	var all []oracle.Row
	eventually(t, "diary answers", func() (err error) {
		all, err = rows(ctx, h.beta, hostileDiary.Port)
		return err
	})
	if _, err := oracle.Verify(all); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(want, all[:min(len(want), len(all))]); diff != "" {
		t.Errorf("diary lost rows of its newest proven snapshot:\n%s", diff)
	}
	h.Count("rows brought back", len(want))
	writesAfter(t, h.collector, "diary", began)
	if slices.ContainsFunc(acksFrom(h.collector, "diary", h.alpha, began), func(oracle.Ack) bool { return true }) {
		t.Error("diary writes on alpha")
	}
}
