package scenarios

import (
	"path"
	"strings"
	"testing"
	"time"
)

// forgetEverything removes what Salvor keeps on the host about its stacks, whose daemon may
// write meanwhile.
const forgetEverything = "for i in 1 2 3 4 5; do rm -rf /var/lib/salvor/* && exit; done; exit 1"

// notesLostAtBoot is V1 (a): the boot must not bring back older data over what
// is there.
func (h *handMade) notesLostAtBoot(t *testing.T) {
	h.write(t)
	exec(t, h.on, forgetEverything)
	must(t, h.on.Reboot(t.Context()))
	h.write(t)
	h.apply(t)
	h.judge(t)
}

// notesLostBeforeApply is V1 (b): nothing is moved under running containers, and
// the next snapshots delete nothing that they still use.
func (h *handMade) notesLostBeforeApply(t *testing.T) {
	h.write(t)
	exec(t, h.on, forgetEverything)
	h.apply(t)
	h.judge(t)
	h.take(t, h.stacks...)
	h.judge(t)
	h.asDeclared(t)
}

// volumesRemoved is V4: a volume that Docker created again is missing, not empty.
func (h *handMade) volumesRemoved(t *testing.T) {
	taken := h.take(t, h.stacks...)
	h.write(t)
	for _, st := range h.stacks[:2] {
		exec(t, h.on, "cd /var/lib/salvor/stacks/"+st.Name+" && docker compose down -v 2>&1")
	}
	h.apply(t)
	for _, st := range h.stacks[:2] {
		writesAfter(t, h.c, st.Name, time.Now())
		h.gone(st, taken)
	}
	h.take(t, h.stacks...)
	h.judge(t)
	h.asDeclared(t)
}

// ownFiles lists the files that are Salvor's own on a host. The host's keys are
// not among them: they are made by host add, and nothing else can.
const ownFiles = `find /etc/salvor /var/lib/salvor -type f -size +0 ! -path '*/git/*' ! -path '*/stacks/*/*' ! -path '*/cache/*' ! -path '*/spool/*' ! -name host.age ! -name host.sign ! -name 'git_ed25519*' | sort`

// filesEmptied is V19: each of Salvor's own files is emptied, the daemon started
// again, and a plain apply heals it. In the short form one file of each kind.
func (h *handMade) filesEmptied(t *testing.T) {
	seen := map[string]bool{}
	for file := range strings.FieldsSeq(exec(t, h.on, ownFiles)) {
		kind := kindOf(file)
		if !h.Full && seen[kind] {
			continue
		}
		seen[kind] = true
		t.Logf("emptied: %s", file)
		// what a snapshot keeps for its own time may be gone since it was listed
		exec(t, h.on, "if [ -e "+file+" ]; then : >"+file+"; fi; systemctl restart salvord")
		h.salvor(t, "status")
		h.apply(t)
		h.Count("own files emptied", 1)
	}
	h.judge(t)
	h.asDeclared(t)
}

// kindOf is what a file of Salvor's own is about: its folder and its ending.
func kindOf(file string) string {
	folder, _, _ := strings.Cut(strings.TrimPrefix(file, "/var/lib/salvor/"), "/")
	return folder + path.Ext(file)
}
