package debiantest

import (
	"encoding/json"
	"io"
	"slices"
	"strings"

	"salvor/internal/machine"
)

const (
	nftProgram = "/usr/sbin/nft"
	nftTable   = "/proc/nft" // the table that is loaded, as nft -j lists it
)

// nftables is the part of a host that filters.
type nftables struct{ host *Host }

// nftListing is what nft -j prints and reads.
type nftListing struct {
	Objects []map[string]json.RawMessage `json:"nftables"`
}

// run knows one table: -f FILE, -j -f - and -j list table.
func (n nftables) run(c machine.Cmd) (string, error) {
	if n.host.nodes[nftProgram] == nil {
		return "", exit(c, 127, "nft: not found")
	}
	if slices.Contains(c.Argv, "list") {
		t := n.host.nodes[nftTable]
		if t == nil {
			return "", exit(c, 1, "Error: No such file or directory")
		}
		return string(t.content), nil
	}
	var content []byte
	if file := c.Argv[len(c.Argv)-1]; file == "-" {
		var err error
		if content, err = io.ReadAll(c.Stdin); err != nil {
			return "", err
		}
	} else if t := n.host.nodes[file]; t != nil {
		content = t.content
	} else {
		return "", exit(c, 1, "Error: Could not open file "+file)
	}
	if !slices.Contains(c.Argv, "-j") {
		content = listing(string(content))
	}
	return "", n.load(content)
}

// load replaces the table; a listing without rules removes it.
func (n nftables) load(content []byte) error {
	var l nftListing
	if err := json.Unmarshal(content, &l); err != nil {
		return err
	}
	l.Objects = slices.DeleteFunc(l.Objects, func(o map[string]json.RawMessage) bool { return o["add"] != nil || o["delete"] != nil })
	if len(l.Objects) == 0 {
		delete(n.host.nodes, nftTable)
		return nil
	}
	text, err := json.Marshal(l)
	if err == nil {
		n.host.nodes[nftTable] = &node{mode: 0o444, owner: "root", group: "root", content: text, modified: n.host.tick()}
	}
	return err
}

// unshare runs nft in a network of its own, which ends with it.
func (n nftables) unshare(c machine.Cmd) (string, error) {
	if n.host.nodes[nftProgram] == nil {
		return "", exit(c, 127, "sh: 1: nft: not found")
	}
	content, err := io.ReadAll(c.Stdin)
	return string(listing(string(content))), err
}

// listing is a table as nft -j lists it: each line of a chain is a rule.
func listing(rules string) []byte {
	var l nftListing
	chain := ""
	for line := range strings.Lines(rules) {
		line = strings.TrimSpace(line)
		name, begins := strings.CutPrefix(line, "chain ")
		switch {
		case begins:
			chain = strings.TrimSuffix(name, " {")
			l.add("chain", map[string]string{"name": chain})
		case line == "" || line == "}" || strings.HasPrefix(line, "#") || strings.Contains(line, "table inet salvor"):
		default:
			rule, comment, _ := strings.Cut(line, " comment ")
			l.add("rule", map[string]string{"chain": chain, "comment": strings.Trim(comment, `"`), "expr": rule})
		}
	}
	text, _ := json.Marshal(l) // strings alone
	return text
}

func (l *nftListing) add(kind string, of map[string]string) {
	text, _ := json.Marshal(of) // strings alone
	l.Objects = append(l.Objects, map[string]json.RawMessage{kind: text})
}

// AddRule adds a rule to the table that is loaded, as someone does by hand.
func AddRule(h *Host, chain, rule string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var l nftListing
	if json.Unmarshal(h.nodes[nftTable].content, &l) != nil {
		return
	}
	l.add("rule", map[string]string{"chain": chain, "expr": rule})
	h.nodes[nftTable].content, _ = json.Marshal(l) // as it was read
}

// Rules returns the table that is loaded, "" for none.
func Rules(h *Host) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := h.nodes[nftTable]; n != nil {
		return string(n.content)
	}
	return ""
}
