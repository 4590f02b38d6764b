package needs

import (
	"maps"
	"path"
	"slices"
	"strings"

	"salvor/internal/project"
	"salvor/internal/secret/sops"
	"salvor/internal/secretnames"
	"salvor/internal/yamldoc"
)

// A Renewal is how a secret gets another value.
type Renewal struct {
	First   string `json:"first,omitempty"` // what is done before, "" for nothing: "change it at its source"
	Command string `json:"command"`
}

// String is the whole advice in one line.
func (r Renewal) String() string {
	if r.First == "" {
		return r.Command
	}
	return r.First + ", then " + r.Command
}

// Renewal returns how a secret gets another value: a random one, if nothing but the fleet knows
// it.
func (n *Needs) Renewal(name string) Renewal {
	if command, own := secretnames.Replacing(name); own {
		return Renewal{Command: command}
	}
	rotate := "salvor secret rotate " + name
	if argv, printed := n.Command(name); printed {
		return Renewal{"change it where " + argv[0] + " reads it", rotate}
	}
	if stack := n.Unloaded(name); stack != "" {
		return Renewal{"correct the stack " + stack + " (salvor check)", rotate}
	}
	if database, keeps := n.DatabaseKeeps(name); keeps {
		return Renewal{"change it in the database " + database, "salvor secret set " + name}
	}
	ofVault := func(u Use) bool { return u.Fleet == "" || strings.HasPrefix(u.Fleet, "vault id ") }
	switch uses := n.Uses(name); {
	case !slices.ContainsFunc(uses, func(u Use) bool { return !ofVault(u) }) && !secretnames.Issued(name):
		if n.mayGenerate(name) {
			rotate += " --generate"
		}
		return Renewal{Command: rotate}
	case slices.ContainsFunc(uses, func(u Use) bool { return strings.HasPrefix(u.Fleet, "vault id ") }):
		return Renewal{Command: rotate + " --generate"}
	}
	return Renewal{"change it at its source", rotate}
}

// mayGenerate reports whether random text can take a secret's place: not where a
// file has a format, or a name with a path, as keys and certificates have.
func (n *Needs) mayGenerate(name string) bool {
	at, err := n.identity.Store.Find(name)
	if err != nil {
		return false
	}
	return at.Key != "" || sops.FormatOf(at.File) == sops.Binary && !strings.ContainsAny(name, "/.")
}

// firstPasswords are the variables from which the usual images make a database's password
// when they make its data, and never again.
var firstPasswords = strings.Fields("POSTGRES_PASSWORD POSTGRESQL_PASSWORD POSTGRESQL_POSTGRES_PASSWORD MYSQL_PASSWORD MYSQL_ROOT_PASSWORD " +
	"MARIADB_PASSWORD MARIADB_ROOT_PASSWORD MONGO_INITDB_ROOT_PASSWORD MONGODB_ROOT_PASSWORD")

// DatabaseKeeps returns a database's service that learns a secret as its password only when its
// data is made, and has no on_rotate that changes it there.
func (n *Needs) DatabaseKeeps(name string) (service string, keeps bool) {
	for _, stack := range slices.Sorted(maps.Keys(n.stacks)) {
		for _, s := range n.stacks[stack].Project.Services {
			if len(s.OnRotate) == 0 && n.madeWith(name, stack, s.Name) {
				return stack + "/" + s.Name, true
			}
		}
	}
	return "", false
}

// madeWith reports whether a service makes its database with a secret as the password.
func (n *Needs) madeWith(name, stack, service string) bool {
	rendered, isIt := n.stacks[stack], n.mountOf(name, stack)
	native, kept := false, false // without data, it is made again at every start
	for _, v := range rendered.Volumes {
		native = native || v.Service == service && v.Method.Native()
		kept = kept || slices.Contains(v.Services, service)
	}
	reads := func(file string) bool {
		return slices.ContainsFunc(rendered.Project.Secrets, func(m project.SecretMount) bool {
			return m.Service == service && isIt(m) && (file == "" || path.Base(m.Target) == path.Base(file))
		})
	}
	if native && reads("") {
		return true
	}
	root, err := yamldoc.Parse(stack, rendered.Project.Compose)
	if err != nil || !kept {
		return false
	}
	of, key, isVariable := n.Variable(name)
	for variable, value := range yamldoc.Entries(yamldoc.Find(root, "services", service, "environment")) {
		first, file := strings.CutSuffix(variable, "_FILE")
		text := yamldoc.ValueOf(value)
		if slices.Contains(firstPasswords, first) && (file && reads(text) || !file && isVariable && of == stack && text == "${"+key+"}") {
			return true
		}
	}
	return false
}
