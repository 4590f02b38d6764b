package controlrepo

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"salvor/internal/fleet"
	"salvor/internal/hostkey"
	"salvor/internal/secret"
	"salvor/internal/yamldoc"
)

// SetStackHost returns a Compose file with x-salvor.host set. Comments, order,
// quoting and line ends stay. Setting what is set returns the same bytes.
func SetStackHost(content []byte, host string) ([]byte, error) {
	if err := fleet.ValidHost(host); err != nil {
		return nil, err
	}
	return yamldoc.Set(content, yamldoc.Path{"x-salvor", "host"}, yamldoc.Scalar(host))
}

// UnsetStackHost returns a Compose file without x-salvor.host: the stack is placed nowhere.
// Comments, order, quoting and line ends stay.
func UnsetStackHost(content []byte) ([]byte, error) {
	return yamldoc.Remove(content, yamldoc.Path{"x-salvor", "host"})
}

// AddHost returns fleet.yaml with one more host, or with the address, port, user and
// jump of a declared one changed; what else is at it stays. The areas of a host that is
// new are written where they are not nil.
func AddHost(content []byte, h fleet.Host) ([]byte, error) {
	if err := fleet.ValidHost(h.Name); err != nil {
		return nil, err
	}
	fields := []yamldoc.Assignment{{Key: "address", Value: yamldoc.Scalar(h.Address)}}
	if h.User != "" {
		fields = append(fields, yamldoc.Assignment{Key: "user", Value: yamldoc.Scalar(h.User)})
	}
	if h.Port != 0 && h.Port != 22 {
		fields = append(fields, yamldoc.Assignment{Key: "port", Value: strconv.Itoa(h.Port)})
	}
	if h.Jump != "" {
		fields = append(fields, yamldoc.Assignment{Key: "jump", Value: yamldoc.Scalar(h.Jump)})
	}
	if h.Server != (fleet.Server{}) {
		fields = append(fields, yamldoc.Assignment{Key: "server", Value: yamldoc.Scalar(h.Server.String())})
	}
	if len(h.SSHFrom) > 0 {
		var from []string
		for _, s := range h.SSHFrom {
			from = append(from, yamldoc.Scalar(string(s)))
		}
		fields = append(fields, yamldoc.Assignment{Key: "ssh", Value: "{from: [" + strings.Join(from, ", ") + "]}"})
	}
	at := yamldoc.Path{"hosts", h.Name}
	if root, err := yamldoc.Parse(fleet.File, content); err == nil && h.Manage != nil && yamldoc.Find(root, at...) == nil {
		fields = append(fields, yamldoc.Assignment{Key: manageKey, Value: "[" + strings.Join(h.Manage.Words(), ", ") + "]"})
	}
	return yamldoc.SetFields(content, at, fields)
}

// AddArea returns fleet.yaml with one more area that Salvor takes care of on a declared
// host. Comments stay.
func AddArea(content []byte, host string, area fleet.Area) ([]byte, error) {
	return yamldoc.Append(content, yamldoc.Path{"hosts", host, manageKey}, string(area))
}

// AddRecipient returns fleet.yaml with an operator's age recipient added or
// replaced.
func AddRecipient(content []byte, name, recipient string) ([]byte, error) {
	if err := fleet.ValidName(name); err != nil {
		return nil, err
	}
	if err := checkOperator(recipient); err != nil {
		return nil, err
	}
	return yamldoc.Set(content, yamldoc.Path{"recipients", "operators", name}, yamldoc.Scalar(recipient))
}

// SetRecovery returns fleet.yaml with the recovery key's recipient.
func SetRecovery(content []byte, recipient string) ([]byte, error) {
	if err := hostkey.CheckRecipient(recipient); err != nil {
		return nil, err
	}
	return yamldoc.Set(content, yamldoc.Path{"recipients", "recovery"}, yamldoc.Scalar(recipient))
}

// SetRemote returns fleet.yaml with a remote added, or with the type and these
// options of a declared one changed; its other options stay.
func SetRemote(content []byte, r fleet.Remote) ([]byte, error) {
	if err := fleet.ValidName(r.Name); err != nil {
		return nil, err
	}
	fields := []yamldoc.Assignment{{Key: "type", Value: yamldoc.Scalar(r.Type)}}
	for _, option := range slices.Sorted(maps.Keys(r.Options)) {
		fields = append(fields, yamldoc.Assignment{Key: option, Value: settingText(r.Options[option])})
	}
	return yamldoc.SetFields(content, yamldoc.Path{"remotes", r.Name}, fields)
}

// SetRevision returns fleet.yaml with the revision of a command's secret.
func SetRevision(content []byte, name string, revision int) ([]byte, error) {
	return yamldoc.Set(content, yamldoc.Path{"secrets", name, "revision"}, strconv.Itoa(revision))
}

// SetGitToken returns fleet.yaml with the name of the secret that is the operators' token at
// the Git host; command prints it, nil where it is kept as a secret.
func SetGitToken(content []byte, name string, command []string) ([]byte, error) {
	content, err := yamldoc.Set(content, yamldoc.Path{"git", "token"}, yamldoc.Scalar("secret:"+name))
	if err != nil || command == nil {
		return content, err
	}
	words := make([]string, len(command))
	for i, word := range command {
		words[i] = yamldoc.Scalar(word)
	}
	return yamldoc.Set(content, yamldoc.Path{"secrets", name, "command"}, "["+strings.Join(words, ", ")+"]")
}

func settingText(s secret.Setting) string { return yamldoc.Scalar(s.String()) }

// SetVolume returns a Compose file with what x-salvor.volumes says of a mount.
func SetVolume(content []byte, volume string, protect fleet.Protection) ([]byte, error) {
	return yamldoc.Set(content, yamldoc.Path{"x-salvor", "volumes", volume, "protect"}, string(protect))
}

// SetNetwork returns fleet.yaml with a network of Docker's that stacks join, as the engine
// makes one without options. One that is declared stays as it is.
func SetNetwork(content []byte, name string) ([]byte, error) {
	if root, err := yamldoc.Parse(fleet.File, content); err == nil && yamldoc.Find(root, "networks", name) != nil {
		return content, nil
	}
	return yamldoc.Set(content, yamldoc.Path{"networks", name}, "{}")
}

// SetBind returns fleet.yaml with what a folder of the hosts is.
func SetBind(content []byte, folder string, protect fleet.Protection) ([]byte, error) {
	return yamldoc.Set(content, yamldoc.Path{"binds", folder}, string(protect))
}

// SetIngressProvider returns fleet.yaml with who publishes routes. Comments stay.
func SetIngressProvider(content []byte, p fleet.IngressProvider) ([]byte, error) {
	return yamldoc.Set(content, yamldoc.Path{"ingress", "provider"}, string(p))
}

// SetTunnel returns fleet.yaml with the tunnel that a host takes over. Comments stay.
func SetTunnel(content []byte, host, id string) ([]byte, error) {
	return yamldoc.Set(content, yamldoc.Path{"ingress", "tunnels", host}, yamldoc.Scalar(id))
}

// MoveRoutes returns fleet.yaml with the entries of ingress.routes of one host at another.
// Comments stay.
func MoveRoutes(content []byte, from, to string) ([]byte, error) {
	root, err := yamldoc.Parse(fleet.File, content)
	if err != nil {
		return nil, err
	}
	at := yamldoc.Path{"ingress", "routes"}
	for i := 0; ; i++ {
		item := at.To(strconv.Itoa(i))
		if yamldoc.Find(root, item...) == nil {
			return content, nil
		}
		host := yamldoc.Find(root, item.To("host")...)
		if host == nil || yamldoc.ValueOf(host) != from {
			continue
		}
		if content, err = yamldoc.SetItem(content, item.To("host"), yamldoc.Scalar(to)); err != nil {
			return nil, err
		}
	}
}

// RemoveTunnel returns fleet.yaml without the tunnel that a host took over. Comments stay, but
// for those inside the entry and on its line.
func RemoveTunnel(content []byte, host string) ([]byte, error) {
	return yamldoc.Remove(content, yamldoc.Path{"ingress", "tunnels", host})
}

// AddRoute returns fleet.yaml with one more entry of ingress.routes. Comments stay.
func AddRoute(content []byte, r fleet.HostRoute) ([]byte, error) {
	fields := []string{"hostname: " + yamldoc.Scalar(r.Hostname), "service: " + yamldoc.Scalar(r.Service), "host: " + yamldoc.Scalar(r.Host)}
	for _, f := range []struct{ key, value string }{{"path", r.Path}, {"zone", r.Zone}, {"server_name", r.Origin.ServerName}, {"host_header", r.Origin.HostHeader}} {
		if f.value != "" {
			fields = append(fields, f.key+": "+yamldoc.Scalar(f.value))
		}
	}
	if len(r.Access) > 0 {
		groups := make([]string, len(r.Access))
		for i, g := range r.Access {
			groups[i] = yamldoc.Scalar(g)
		}
		fields = append(fields, "access: ["+strings.Join(groups, ", ")+"]")
	}
	if r.Origin.NoTLSVerify {
		fields = append(fields, "no_tls_verify: true")
	}
	return yamldoc.Append(content, yamldoc.Path{"ingress", "routes"}, "{"+strings.Join(fields, ", ")+"}")
}
