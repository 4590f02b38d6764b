package scenarios

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"filippo.io/age"
	"github.com/google/uuid"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/record"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/sign"
	"salvor/internal/storage"
)

// writesOnTheRecord forges everything that the fleet's record may hold.
func (h *hostile) writesOnTheRecord() {
	rec := h.store(h.loot.spec.Record)
	was := map[string]string{"diary": h.placeOf("diary"), "wiki": h.placeOf("wiki")}
	wikis := h.claimName("wiki")
	claims, notes := h.forgesClaims(rec), h.forgesNotes(rec)
	mirrors := h.forgesMirrors(rec)
	entries := h.forgesEntries(rec)

	said := h.done("status")
	h.names("forged claims", said, claims...)
	h.names("forged notes", said, notes...)
	if n := strings.Count(said, "(it says to be of alpha)"); n < len(claims)-2 {
		h.t.Errorf("%d of %d forged claims are said to be of alpha:\n%s", n, len(claims), said)
	}
	h.names("what alpha has signed", said, sign.Keys{h.loot.signer.Public()}.Fingerprints()[0])
	h.owned()
	must(h.t, rec.Delete(h.t.Context(), "claims/wiki/"+wikis))
	h.tried("delete a claim", 1)
	h.names("a deleted claim", h.done("status"), "beta/wiki", "["+string(finding.ClaimMissing)+"]")
	h.names("notes that alpha has signed", h.done("apply"), "alpha: not signed by a host or fleet that may write there", "(that is alpha)")
	for stack, before := range was {
		if after := h.placeOf(stack); after != before {
			h.t.Errorf("%s was %s, it is %s", stack, before, after)
		}
	}
	h.owned()
	h.dropped(claims)
	h.swept(notes...)

	audit := h.done("secret", "audit")
	h.names("forged journal entries", audit, entries...)
	h.silent("forged journal entries", audit, "eve (")
	h.swept(entries...)

	card, err := h.w.Salvor(h.t.Context(), nil, "key", "card")
	must(h.t, err)
	file := filepath.Join(h.t.TempDir(), "card.txt")
	must(h.t, os.WriteFile(file, []byte(card), 0o600))
	proof := h.done("--identity", file, "key", "prove")
	h.names("forged mirrors", proof, mirrors...)
	h.swept(mirrors...)
}

// owned checks that the claims of beta's stacks rule.
func (h *hostile) owned() {
	h.t.Helper()
	out, err := h.w.Salvor(h.t.Context(), nil, "--json", "claim", "ls")
	must(h.t, err)
	var list struct {
		Claims []struct {
			Stack, Host string
			Rules       bool
		}
	}
	must(h.t, json.Unmarshal([]byte(out), &list))
	owners := map[string]string{}
	for _, c := range list.Claims {
		if c.Rules {
			owners[c.Stack] = c.Host
		}
	}
	if owners["diary"] != "beta" || owners["wiki"] != "beta" || owners["notes"] != "alpha" {
		h.t.Errorf("by the claims the stacks are of %v", owners)
	}
	h.Count("rulings checked", len(owners))
}

// forgesClaims writes claims by which alpha has beta's stacks, and returns their paths.
func (h *hostile) forgesClaims(rec *storage.Folder) (paths []string) {
	lock := readLock(h.t, h.w)
	real := h.claimOf(rec, "notes")
	for _, stack := range []string{"diary", "wiki"} {
		epoch := lock.Stacks[stack].Epoch
		claim, err := json.Marshal(map[string]any{"schema": 3, "host": "alpha", "key": h.loot.identity.Recipient().String(), "sign": h.loot.signer.Public(), "commit": h.loot.spec.Commit, "at": now()})
		must(h.t, err)
		for i, of := range []struct {
			epoch   int
			content func(path string) []byte
		}{
			{epoch, func(string) []byte { return claim }},
			{epoch + 1, func(path string) []byte { return h.enclosed(record.ClaimKind, path, claim) }},
			{epoch + 2, func(string) []byte { return real }}, // signed by the fleet, for another place
			{fleet.MaxEpoch, func(path string) []byte { return h.enclosed(record.FactKind, path, claim) }},
			{epoch + 1000, func(string) []byte { return []byte(`{"schema":3,"host":"` + escapes) }},
		} {
			id := uuid.Must(uuid.NewV7()).String()
			if i == 0 {
				id = "00000000" + id[8:] // first of its epoch
			}
			path := fmt.Sprintf("claims/%s/%d-%s.json", stack, of.epoch, id)
			h.put(rec, path, of.content(path))
			paths = append(paths, path)
		}
	}
	h.tried("forge a claim", len(paths))
	return paths
}

// claimOf returns a claim that the fleet has signed.
func (h *hostile) claimOf(rec *storage.Folder, stack string) []byte {
	h.t.Helper()
	return h.got(rec, "claims/"+stack+"/"+h.claimName(stack))
}

// claimName is the file of a stack's only claim at its epoch.
func (h *hostile) claimName(stack string) string {
	h.t.Helper()
	pattern := fmt.Sprintf("claims/%s/%d-*.json", stack, readLock(h.t, h.w).Stacks[stack].Epoch)
	found, err := filepath.Glob(h.record(pattern))
	must(h.t, err)
	if len(found) != 1 {
		h.t.Fatalf("%s: %v", pattern, found)
	}
	return filepath.Base(found[0])
}

// dropped has the operator take forged claims away, by name.
func (h *hostile) dropped(claims []string) {
	h.t.Helper()
	stack, id := filepath.Base(filepath.Dir(claims[0])), regexp.MustCompile(`[0-9]+-(.*)\.json`).FindStringSubmatch(filepath.Base(claims[0]))[1]
	h.done("claim", "drop", stack, id, "--yes")
	if _, err := os.Stat(h.record(claims[0])); err == nil {
		h.t.Errorf("%s is not dropped", claims[0])
	}
	h.swept(claims[1:]...)
}

// forgesNotes writes what beta is to have found out: other images, volumes that were
// born, snapshots that were never taken.
func (h *hostile) forgesNotes(rec *storage.Folder) (paths []string) {
	lock := readLock(h.t, h.w)
	fact, err := json.Marshal(map[string]any{
		"schema": 1, "host": "beta", "commit": h.loot.spec.Commit, "at": now(),
		"images": map[string]string{"app": "evil.example/writer:1@sha256:" + strings.Repeat("6", 64)}, "born": map[string]string{"data": "1999-01-01T00:00:00Z", "root": now()},
	})
	must(h.t, err)
	proven := []byte(`{"schema":1,"at":"` + now() + `"}`)
	for stack, p := range lock.Stacks {
		if p.Host != "beta" {
			continue
		}
		paths = append(paths,
			fmt.Sprintf("facts/%s/%d-98-beta.json", stack, p.Epoch), fmt.Sprintf("facts/%s/%d-99-beta.json", stack, p.Epoch),
			fmt.Sprintf("proven/%s/%d-98-%s-%s.json", stack, p.Epoch, p.Repositories["offsite"], strings.Repeat("a", 64)),
			fmt.Sprintf("proven/%s/%d-99-%s-%s.json", stack, p.Epoch, p.Repositories["offsite"], strings.Repeat("b", 64)))
	}
	for _, path := range paths {
		kind, content := record.ProvenKind, proven
		if strings.HasPrefix(path, "facts/") {
			kind, content = record.FactKind, fact
		}
		if strings.Contains(path, "-99-") {
			content = h.enclosed(kind, path, content)
		}
		h.put(rec, path, content)
	}
	h.tried("forge what a host found out", len(paths))
	return paths
}

// forgesMirrors puts a repository there that the thief wrote, encrypted to the
// operators, as what the card brings back.
func (h *hostile) forgesMirrors(rec *storage.Folder) (paths []string) {
	t := h.t
	dir := h.cloned()
	config := filepath.Join(dir, "fleet.yaml")
	content, err := os.ReadFile(config)
	must(t, err)
	must(t, os.WriteFile(config, append(content, "# as eve has it\n"...), 0o600))
	_, err = h.git(dir, h.loot.gitKey, "commit", "-q", "-a", "-m", "mine")
	must(t, err)
	head, err := h.git(dir, h.loot.gitKey, "rev-parse", "HEAD")
	must(t, err)
	bundle := filepath.Join(t.TempDir(), "bundle")
	_, err = h.git(dir, h.loot.gitKey, "bundle", "create", bundle, "HEAD", "main")
	must(t, err)
	plain, err := os.ReadFile(bundle)
	must(t, err)
	sealed, err := agekey.Encrypt(secret.New(plain), h.operators(string(content))...)
	must(t, err)
	statements, err := filepath.Glob(h.record("mirror/*.bundle.json"))
	must(t, err)
	for i, commits := range []int{99999999, 99999998, 99999997} {
		stem := fmt.Sprintf("mirror/%08d-%s", commits, strings.TrimSpace(head))
		h.put(rec, stem+".bundle.age", sealed)
		paths = append(paths, stem+".bundle.age")
		if i == 0 {
			continue
		}
		statement := h.enclosed(record.MirrorKind, stem+".bundle.json", fmt.Appendf(nil, `{"schema":1,"commits":%d,"commit":%q,"size":%d,"digest":"sha256:"}`, commits, strings.TrimSpace(head), len(sealed)))
		if i == 2 {
			statement = h.got(rec, "mirror/"+filepath.Base(statements[0])) // signed by the fleet, for another
		}
		h.put(rec, stem+".bundle.json", statement)
	}
	h.tried("forge a mirror", len(paths))
	return paths
}

// operators are the recipients that fleet.yaml names, which everybody may encrypt to.
func (h *hostile) operators(config string) []string {
	h.t.Helper()
	all := regexp.MustCompile(`\bage1[a-z0-9]+`).FindAllString(config, -1)
	if len(all) == 0 {
		h.t.Fatal("fleet.yaml names no recipient")
	}
	return all
}

// forgesEntries writes into the operators' journal that eve opened a secret.
func (h *hostile) forgesEntries(rec *storage.Folder) (paths []string) {
	t := h.t
	config, err := h.w.Read("fleet.yaml")
	must(t, err)
	list, err := filepath.Glob(h.record("journal/operators/*.json"))
	must(t, err)
	if len(list) == 0 {
		t.Fatal("the operators' journal is empty")
	}
	for i := range 4 {
		id := uuid.Must(uuid.NewV7()).String()
		path := fmt.Sprintf("journal/operators/2026%s-%s.json", now()[5:7]+now()[8:10]+"T000000.00000000"+fmt.Sprint(i)+"Z", id)
		entry := fmt.Appendf(nil, `{"schema":1,"id":%q,"at":%q,"operator":"eve (eve@laptop)","command":"secret get wiki/TOKEN"}`, id, now())
		sealed, err := agekey.Encrypt(secret.New(entry), h.operators(config)...)
		must(t, err)
		switch i {
		case 0:
			h.put(rec, path, entry)
		case 1:
			h.put(rec, path, h.enclosed(record.JournalKind, path, sealed))
		case 2:
			h.put(rec, path, h.got(rec, "journal/operators/"+filepath.Base(list[0])))
		case 3:
			h.put(rec, path, []byte(escapes))
		}
		paths = append(paths, path)
	}
	h.tried("forge a journal entry", len(paths))
	return paths
}

// pushes uses an account at the Git host: another seal for a stack of beta's, then
// another key for beta itself.
func (h *hostile) pushes() {
	t, ctx := h.t, h.t.Context()
	token := func() string {
		return exec(t, h.beta, "docker exec $(docker ps -q --filter label=com.docker.compose.project=wiki) /writer health >/dev/null; cat /run/salvor/secrets/wiki/app/..data/TOKEN")
	}
	dir := h.cloned()
	push := func(message string, files map[string][]byte) {
		_, err := h.git(dir, h.w.Lab.Key(), "pull", "-q", "--rebase")
		must(t, err)
		for name, content := range files {
			must(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
		}
		_, err = h.git(dir, h.w.Lab.Key(), "commit", "-q", "-a", "-m", message)
		must(t, err)
		_, err = h.git(dir, h.w.Lab.Key(), "push", "-q")
		must(t, err)
		must(t, h.w.Pull(ctx))
		h.tried(message, 1)
	}
	pub, err := h.w.Read("hosts/beta.pub")
	must(t, err)
	seal, err := h.w.Read("sealed/beta/wiki.age")
	must(t, err)
	push("forge a seal", h.forgedSeal(seal, pub))
	h.names("a forged seal", h.done("plan"), "sealed/beta/wiki.age")
	h.done("apply")
	if now := token(); now != wikiToken {
		t.Errorf("the token of wiki is %q", now)
	}
	own, err := h.w.Read("hosts/alpha.pub")
	must(t, err)
	push("swap a host's key", map[string][]byte{"hosts/beta.pub": []byte(own)})
	plan, _ := h.salvor("plan")
	h.names("a swapped hosts/beta.pub", plan, "host/beta", "beta")
	sealed, err := h.w.Read("sealed/beta/wiki.age")
	must(t, err)
	if said, code := h.salvor("apply"); code == 0 {
		t.Errorf("applied with a swapped hosts/beta.pub:\n%s", said)
	}
	if now, err := h.w.Read("sealed/beta/wiki.age"); err != nil || now != sealed {
		t.Errorf("it was sealed again: %v", err)
	}
	must(t, h.w.Write("hosts/beta.pub", pub))
	must(t, h.w.Commit(ctx, "beta's own key again"))
	must(t, h.w.Push(ctx))
	h.done("apply")
}

// forgedSeal is a seal for beta with another token, as good as who has no key of the
// fleet's can make it: it has the digest of the real one.
func (h *hostile) forgedSeal(sealed, pub string) map[string][]byte {
	t := h.t
	header, err := age.ExtractHeader(agekey.Dearmored([]byte(sealed)))
	must(t, err)
	digest := regexp.MustCompile(`-> salvor-inputs (\S+)`).FindStringSubmatch(string(header))
	recipient, err := age.ParseX25519Recipient(regexp.MustCompile(`\bage1[a-z0-9]+`).FindString(pub))
	must(t, err)
	file, err := json.Marshal(map[string]any{"schema": 1, "host": "beta", "stack": "wiki", "epoch": 1, "inputs": digest[1], "env": map[string][]byte{"TOKEN": []byte("eve")}})
	must(t, err)
	forged, err := agekey.EncryptTo(secret.New(file), recipient, stanza(digest[1]))
	must(t, err)
	path := "sealed/beta/wiki.age"
	signature, err := h.loot.signer.Sign("salvor-seal", path+" "+digest[1], forged)
	must(t, err)
	return map[string][]byte{path: forged, path + ".sig": signature}
}

// stanza puts the digest of a seal's inputs into its header, as package seal does.
type stanza string

func (s stanza) Wrap([]byte) ([]*age.Stanza, error) {
	return []*age.Stanza{{Type: "salvor-inputs", Args: []string{string(s)}}}, nil
}
