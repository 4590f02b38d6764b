package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// layers lists the top-level packages of internal/, lowest first. Imports point
// down only; docs/architecture.md says what each layer is for.
var layers = []struct {
	name     string
	packages []string
}{
	{"vocabulary", []string{
		"fault",
		"route",
		"fleet",
		"grant",
		"finding",
		"progress",
		"secret",
		"sign",
		"hostkey",
		"hostpath",
		"blob",
		"project",
		"agentapi",
		"proposal",
		"terminal",
		"suggest",
	}},
	{"mechanisms", []string{
		"atomicfile",
		"secret/agekey",
		"secret/sops",
		"secret/ansiblevault",
		"secret/command",
		"keyagent",
		"keychain",
		"oauth",
		"machine",
		"converge",
		"resource",
		"journal",
		"runlock",
		"embedded",
		"memdir",
		"hold",
		"version",
		"socketdir",
		"git",
		"yamldoc",
		"docker",
		"loop",
		"lockfile",
		"archive",
		"front",
	}},
	{"domains", []string{
		"controlrepo",
		"secretstore",
		"seal",
		"delivery",
		"inventory",
		"hostprep",
		"wayin",
		"hostlink",
		"firstlogin",
		"tailnet",
		"cloud",
		"cloudflare",
		"publish",
		"github",
		"stack",
		"storage",
		"record",
		"gitread",
		"snapshot",
		"scan",
		"card",
		"placement",
		"hostspec",
		"fit",
		"secretnames",
		"mount",
		"mounter",
		"routecase",
	}},
	{"the opened commit", []string{
		"checkout",
		"reach",
		"identity",
		"rendering",
	}},
	{"secrets and trust", []string{
		"needs",
		"confirmation",
		"fleetkeys",
		"githost",
		"exposed",
	}},
	{"workflows", []string{
		"deploy",
		"agent/here",
		"agent/ownership",
		"agent/keeper",
		"agent/startup",
		"agent/leaving",
		"agent/publishing",
		"agent/tunnel",
		"agent",
	}},
	{"seals and the record", []string{
		"sealing",
		"recording",
		"mirror",
		"audit",
	}},
	{"the operator's workflows", []string{
		"ack",
		"adopt",
		"ansible",
		"apply",
		"check",
		"claims",
		"completion",
		"dockflare",
		"doctor",
		"envimport",
		"handback",
		"hostnames",
		"newfleet",
		"hosts",
		"keys",
		"leaks",
		"move",
		"parts",
		"prove",
		"prune",
		"recordmove",
		"recovery",
		"remotes",
		"restore",
		"rollback",
		"rotation",
		"secretchange",
	}},
	{"surfaces", []string{
		"app",
		"hostapp",
		"cli",
	}},
	{"lab", []string{
		"lab",
	}},
	{"checks", []string{
		"archtest",
	}},
}

// sideways lists the imports allowed within a layer, each with its reason.
var sideways = map[[2]string]string{
	{"fleet", "route"}:                    "a fleet declares routes and who may reach them",
	{"project", "route"}:                  "a project has the routes that its services are published under",
	{"route", "finding"}:                  "what is wrong with a label is a finding",
	{"route", "suggest"}:                  "a misspelt label was meant to be a known one",
	{"mounter", "mount"}:                  "it serves what mount describes; only salvord links rclone's vfs",
	{"publish", "cloudflare"}:             "hostnames are published through its tunnels",
	{"adopt", "envimport"}:                "the env files of what is adopted are imported",
	{"adopt", "leaks"}:                    "what is adopted has no secrets in plain text",
	{"adopt", "check"}:                    "what is adopted needs the networks that check asks for",
	{"lockfile", "yamldoc"}:               "what is wrong has a place",
	{"secret/agekey", "atomicfile"}:       "identity files are written atomically",
	{"secret/sops", "secret/agekey"}:      "SOPS files are opened with our own age identities",
	{"keyagent", "secret/agekey"}:         "an agent holds age identities",
	{"keyagent", "machine"}:               "an agent is a process of its own",
	{"keyagent", "runlock"}:               "one agent holds a key",
	{"secret/command", "machine"}:         "a program is run as machines run them",
	{"agentapi", "fleet"}:                 "the wire carries the vocabulary",
	{"agentapi", "project"}:               "the wire carries the vocabulary",
	{"agentapi", "route"}:                 "the wire carries the vocabulary",
	{"project", "fleet"}:                  "a volume has a class, a service a reaction",
	{"proposal", "progress"}:              "a change reports its steps",
	{"secret", "fault"}:                   "a locked secret has an exit code",
	{"agentapi", "finding"}:               "the wire carries the vocabulary",
	{"agentapi", "progress"}:              "the wire carries the vocabulary",
	{"agentapi", "sign"}:                  "the wire carries the vocabulary",
	{"grant", "fault"}:                    "a command that acts on nothing unconfirmed says how to confirm",
	{"secretstore", "secretnames"}:        "a store opens what has a name",
	{"sign", "secret"}:                    "a private key is a secret",
	{"hostkey", "sign"}:                   "a host signs with one of its keys, and the fleet signs them",
	{"fleet", "secret"}:                   "a remote's options may be references to secrets",
	{"resource", "converge"}:              "a kind is a resource of the engine",
	{"resource", "machine"}:               "kinds look at and change a machine",
	{"converge", "machine"}:               "the engine hands its machine to the kinds",
	{"machine", "atomicfile"}:             "machine/local writes files atomically",
	{"machine", "socketdir"}:              "machine/ssh serves keys at a socket",
	{"keyagent", "socketdir"}:             "its sockets have a longest path",
	{"keychain", "socketdir"}:             "its tests have a bus of their own",
	{"controlrepo", "placement"}:          "a host or stack that was renamed keeps its placements",
	{"confirmation", "needs"}:             "a stack is granted the secrets that it needs",
	{"fleetkeys", "needs"}:                "a recovery file stands for a stack's repositories",
	{"fleetkeys", "confirmation"}:         "only a key that was confirmed signs, and only what was confirmed is signed",
	{"remotes", "rotation"}:               "the passwords of a crypt remote are generated",
	{"rollback", "restore"}:               "a rollback may restore the data of its time",
	{"reach", "checkout"}:                 "a checkout says which hosts there are, and by which keys",
	{"identity", "checkout"}:              "a checkout has the secrets that are opened",
	{"exposed", "needs"}:                  "an exposed secret is changed where it is needed",
	{"cli", "app"}:                        "commands ask the composition root for their fleet",
	{"git", "atomicfile"}:                 "what git is given as files is written atomically",
	{"docker", "machine"}:                 "the engine is reached through its machine",
	{"git", "machine"}:                    "the operator's git is run as machines run programs",
	{"git", "runlock"}:                    "one process at a time commits in a clone",
	{"embedded", "atomicfile"}:            "the packed program is written atomically",
	{"agent/ownership", "agent/here"}:     "whose a stack is, is asked of a host's stacks",
	{"agent/keeper", "agent/here"}:        "what is kept is a host's stacks' data",
	{"agent/keeper", "agent/ownership"}:   "only an owner changes snapshots",
	{"agent/startup", "agent/here"}:       "what starts is a host's stacks",
	{"agent/startup", "agent/keeper"}:     "data comes back before a start, and snapshots are taken around one",
	{"agent/leaving", "agent/publishing"}: "a host that leaves takes its hostnames off",
	{"agent/leaving", "agent/here"}:       "what is given back is a host's stacks",
	{"agent/publishing", "agent/here"}:    "what is published is a host's stacks",
	{"agent", "agent/publishing"}:         "the host's verbs and daemon join its parts",
	{"agent", "agent/tunnel"}:             "the host's verbs and daemon join its parts",
	{"agent/tunnel", "agent/here"}:        "the connector runs on a host",
	{"agent", "agent/leaving"}:            "the host's verbs and daemon join its parts",
	{"agent", "agent/here"}:               "the host's verbs and daemon join its parts",
	{"agent", "agent/ownership"}:          "the host's verbs and daemon join its parts",
	{"agent", "agent/keeper"}:             "the host's verbs and daemon join its parts",
	{"agent", "agent/startup"}:            "the host's verbs and daemon join its parts",
	{"mirror", "recording"}:               "the mirror is on the record remote",
	{"mirror", "sealing"}:                 "the card has the remote that leads to the mirror",
	{"audit", "recording"}:                "the operators' journal is on the record remote",
}

type listed struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "salvor/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// top returns the package that counts for the layers: the top-level one, or a nested
// one that a layer lists separately.
func top(path string) (string, bool) {
	rest, ok := strings.CutPrefix(path, "salvor/internal/")
	if layerOf(rest) >= 0 {
		return rest, ok
	}
	name, _, _ := strings.Cut(rest, "/")
	return name, ok
}

func layerOf(name string) int {
	return slices.IndexFunc(layers, func(l struct {
		name     string
		packages []string
	}) bool {
		return slices.Contains(l.packages, name)
	})
}

func TestImportsPointDown(t *testing.T) {
	used := map[[2]string]bool{}
	for _, p := range packages(t) {
		from, ok := top(p.ImportPath)
		if !ok || from == "archtest" {
			continue
		}
		if layerOf(from) < 0 {
			t.Errorf("internal/%s is in no layer; put it into one", from)
			continue
		}
		for _, imported := range p.Imports {
			if to, ok := top(imported); ok && to != from {
				checkEdge(t, from, to, used)
			}
		}
	}
	for edge, reason := range sideways {
		if !used[edge] {
			t.Errorf("%s -> %s (%s) is allowed but nothing uses it any more", edge[0], edge[1], reason)
		}
	}
}

func checkEdge(t *testing.T, from, to string, used map[[2]string]bool) {
	t.Helper()
	switch a, b := layerOf(from), layerOf(to); {
	case b < 0: // reported where its own imports are looked at
	case layers[b].name == "lab":
		t.Errorf("internal/%s imports the lab; only tests and cmd/salvorlab may", from)
	case b > a:
		t.Errorf("internal/%s -> %s points up", from, to)
	case a == b && sideways[[2]string{from, to}] == "":
		t.Errorf("internal/%s -> %s is sideways; let the layer above join them, or list it with a reason", from, to)
	case a == b:
		used[[2]string{from, to}] = true
	}
}

func TestOnlyOnePackageReaches(t *testing.T) {
	owners := map[string][]string{
		"os/exec":                                   {"salvor/internal/machine/local", "salvor/internal/lab", "salvor/internal/machine/sshtest", "salvor/internal/snapshot/postgres/postgrestest", "salvor/internal/snapshot/mariadb/mariadbtest", "salvor/internal/snapshot/method/methodtest", "salvor/internal/agent/heretest", "salvor/internal/github/githubtest"},
		"golang.org/x/crypto/ssh":                   {"salvor/internal/sign", "salvor/internal/machine/ssh", "salvor/internal/machine/sshtest", "salvor/internal/gitread", "salvor/internal/lab", "salvor/internal/github/githubtest"},
		"github.com/spf13/cobra":                    {"salvor/internal/cli"},
		"github.com/aws/aws-sdk-go-v2/service/ec2":  {"salvor/internal/cloud/ec2"},
		"go.yaml.in/yaml/v3":                        {"salvor/internal/yamldoc", "salvor/internal/secret/ansiblevault", "salvor/internal/stack/compose", "salvor/internal/stack/stacktest", "salvor/internal/scan"},
		"github.com/getsops/sops/v3":                {"salvor/internal/secret/sops"},
		"github.com/zricethezav/gitleaks/v8/detect": {"salvor/internal/scan"},
	}
	for _, p := range packages(t) {
		if strings.HasPrefix(p.ImportPath, "salvor/cmd/salvorlab") {
			continue
		}
		for _, imported := range p.Imports {
			allowed, guarded := owners[imported]
			if guarded && !slices.ContainsFunc(allowed, func(a string) bool { return p.ImportPath == a || strings.HasPrefix(p.ImportPath, a+"/") }) {
				t.Errorf("%s imports %s; only %s may", p.ImportPath, imported, strings.Join(allowed, ", "))
			}
		}
	}
}

func TestHostProgramStaysSmall(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "salvor/cmd/salvord").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, dep := range strings.Fields(string(out)) {
		// cobra is not in the list: rclone's mount2 links it, 0.4 MB
		for _, bad := range []string{"github.com/getsops/", "github.com/zricethezav/gitleaks", "salvor/internal/cli", "salvor/internal/secretstore", "salvor/internal/git", "github.com/aws/aws-sdk-go-v2/service/ec2", "go.yaml.in/yaml/v4"} {
			if bad = strings.TrimSuffix(bad, "/"); dep == bad || strings.HasPrefix(dep, bad+"/") {
				t.Errorf("salvord links %s, which only the operator's program needs", dep)
			}
		}
	}
}

// TestAHostCanRender keeps the way open for hosts that read a commit themselves: what
// renders it links Compose's loader (about 3 MB), and nothing that opens secrets.
func TestAHostCanRender(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "salvor/internal/rendering", "salvor/internal/hostspec").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	for _, dep := range deps {
		for _, bad := range []string{"github.com/getsops/", "github.com/spf13/cobra", "github.com/zricethezav/gitleaks", "salvor/internal/secretstore", "salvor/internal/git"} {
			if dep == bad || strings.HasPrefix(dep, bad+"/") || strings.HasSuffix(bad, "/") && strings.HasPrefix(dep, bad) {
				t.Errorf("what hosts render with links %s", dep)
			}
		}
	}
	if !slices.Contains(deps, "github.com/compose-spec/compose-go/v2/loader") {
		t.Error("rendering does not link Compose's loader: this test looks at nothing")
	}
}

// TestTheDrawingIsTheTree looks for every package of the layers in docs/architecture.md.
func TestTheDrawingIsTheTree(t *testing.T) {
	page, err := os.ReadFile(root + "/docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "## Layers")
	for _, l := range layers {
		for _, name := range l.packages {
			if l.name != "checks" && !strings.Contains(table, "`"+name+"`") {
				t.Errorf("docs/architecture.md does not name %s", name)
			}
		}
		if l.name != "checks" && !strings.Contains(table, "| "+l.name+" |") {
			t.Errorf("docs/architecture.md has no layer %q", l.name)
		}
	}
}
