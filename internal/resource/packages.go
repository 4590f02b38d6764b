package resource

import (
	"context"
	"fmt"
	"strings"

	"salvor/internal/converge"
	"salvor/internal/machine/observe"
)

// A Package is a Debian package and the oldest version that will do, "" for
// any.
type Package struct {
	Name string
	Min  string
}

// Packages are installed packages. All that are missing are installed by one
// apt-get, without recommended ones and removing nothing; where apt's lists are
// too old they are fetched first. Packages that are held back are left alone
// and reported.
type Packages struct {
	Name  string // of the group: "docker"
	List  []Package
	After []string // repositories that bring them
	Needs []string
}

var _ converge.Resource = Packages{}

// ID returns "packages NAME".
func (p Packages) ID() string { return "packages " + p.Name }

// Links returns needs and repositories.
func (p Packages) Links() converge.Links { return converge.Links{Needs: p.Needs, After: p.After} }

// Diff compares with dpkg's files; it runs no program.
func (p Packages) Diff(ctx context.Context, h *observe.Host) (*converge.Change, error) {
	installed, err := h.Packages(ctx)
	if err != nil {
		return nil, err
	}
	var names, missing, causes []string
	for _, want := range p.List {
		is := installed[want.Name]
		if want.metBy(is) {
			continue
		}
		if is.Held {
			return nil, fmt.Errorf("%s %s is held back, want %s; hint: apt-mark unhold %s", want.Name, is.Version, want.version(), want.Name)
		}
		names = append(names, want.Name)
		switch {
		case is.Installed():
			causes = append(causes, fmt.Sprintf("%s is %s, want %s", want.Name, is.Version, want.version()))
		case is.Interrupted():
			causes = append(causes, fmt.Sprintf("%s is %s", want.Name, is.State))
		default:
			missing = append(missing, want.Name)
		}
	}
	if len(missing) > 0 {
		causes = append([]string{"not installed: " + strings.Join(missing, " ")}, causes...)
	}
	change := because(causes, func(ctx context.Context, say func(string)) error { return p.install(ctx, h, names, say) })
	if change != nil && len(missing) > 0 {
		change.Action = converge.Makes
	}
	return change, nil
}

func (w Package) metBy(is observe.Package) bool {
	return is.Installed() && (w.Min == "" || observe.CompareVersions(is.Version, w.Min) >= 0)
}

func (w Package) version() string {
	if w.Min == "" {
		return "any version"
	}
	return w.Min + " or newer"
}

// install brings the named packages and looks whether they are what was wanted.
func (p Packages) install(ctx context.Context, h *observe.Host, names []string, say func(string)) error {
	a := apt{machine: h.Machine, say: say}
	if err := a.install(ctx, names); err != nil {
		return err
	}
	installed, err := observe.New(h.Machine).Packages(ctx)
	if err != nil {
		return err
	}
	for _, want := range p.List {
		if is := installed[want.Name]; !want.metBy(is) {
			return fmt.Errorf("apt brought %s %s (%s), want %s", want.Name, is.Version, is.State, want.version())
		}
	}
	return nil
}
