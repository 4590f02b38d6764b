package main

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// hasShop places the stack shop on the host alpha, which answers for as long as it has a
// salvord.
func (o *operator) hasShop() {
	o.t.Helper()
	const shop = `{"stacks": [{"name": "shop", "folder": "/opt/stacks/shop", "recreates": ["app"], "secrets": ["/opt/stacks/shop/.env"]}]}`
	const given = `{"stacks": [{"name": "shop", "gone": true}]}`
	for name, content := range map[string]string{
		"hand-back-plan.json": shop, "snapshot.json": "{}", "hand-back.json": shop, "leave.json": `{"removed": ["salvord.service"]}`,
		"hand-back.then/hand-back-plan.json": given, "hand-back.then/hand-back.json": given, "leave.then/gone": "",
	} {
		put(o.t, filepath.Join(o.dir, "hosts/alpha", name), []byte(content))
	}
	o.declaresAlpha()
	put(o.t, o.dir+"/fleet/stacks/shop/compose.yaml", []byte("x-salvor: {host: alpha}\nservices: {app: {image: \"shop:1\"}}\n"))
	put(o.t, o.dir+"/fleet/salvor.lock", []byte(`{"schema": 1, "stacks": {"shop": {"host": "alpha", "epoch": 1}}}`))
	put(o.t, o.dir+"/fleet/sealed/alpha/shop.age", []byte("a sealed file\n"))
	o.git("add", "sealed", "stacks/shop", "salvor.lock")
	o.git("commit", "--quiet", "--no-verify", "--message", "a shop")
	o.hasRemote()
}

// released is what a release leaves in Git.
func (o *operator) released() map[string]string {
	o.t.Helper()
	state, files := o.history(), tree(o.t, o.dir+"/fleet")
	maps.DeleteFunc(files, func(name, _ string) bool {
		return name != "salvor.lock" && name != "stacks/shop/compose.yaml"
	})
	maps.Copy(state, files)
	return state
}

// TestAReleaseThatIsKilled is issue 14: killed at every step boundary on the operator's
// computer, in each of its two commits, run again: the same end state, committed and pushed
// once.
func TestAReleaseThatIsKilled(t *testing.T) {
	t.Parallel()
	release := []string{"--yes", "--passphrase-file", "../pass", "host", "release", "alpha"}
	undisturbed := newOperator(t)
	undisturbed.hasShop()
	undisturbed.must(release...)
	want := undisturbed.released()
	for name, pattern := range map[string]string{
		"files are written": "* / *hash-object*", "committed, not on the branch": "* / *checkout-index*", "on the branch": "*update-ref* / *",
	} {
		for _, left := range []bool{false, true} {
			if left {
				name += ", and Salvor is gone from the host"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				o := newOperator(t)
				o.hasShop()
				if left {
					o.leavesLater(release...)
				}
				o.killedAt(pattern, release...)
				o.must(release...)
				if diff := cmp.Diff(want, o.released()); diff != "" {
					t.Errorf("not as without the kill (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// leavesLater runs a release up to the removal of Salvor from the host, which fails.
func (o *operator) leavesLater(release ...string) {
	o.t.Helper()
	leave := filepath.Join(o.dir, "hosts/alpha/leave.json")
	if err := os.Rename(leave, leave+".later"); err != nil {
		o.t.Fatal(err)
	}
	if out, err := o.command(release...).CombinedOutput(); err == nil {
		o.t.Fatalf("Salvor was removed: %s", out)
	}
	if err := os.Rename(leave+".later", leave); err != nil {
		o.t.Fatal(err)
	}
}

// TestTheNameIsTyped: nothing is given back by one who types something else.
func TestTheNameIsTyped(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	o.hasShop()
	before := o.released()
	for _, typed := range []string{"yes", "alpha"} {
		s := o.types("--passphrase-file", "../pass", "host", "release", "alpha")
		s.await(`Type alpha to continue: `)
		s.send(typed + "\n")
		code := s.code()
		<-s.ended
		if done := !cmp.Equal(before, o.released()); done != (typed == "alpha") || done != (code == 0) {
			t.Errorf("typed %s: ended with %d, done %v:\n%s", typed, code, done, s.screen())
		}
	}
}
