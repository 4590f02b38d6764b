package debiantest

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"salvor/internal/machine"
)

const (
	sshdProgram = "/usr/sbin/sshd"
	sshdMain    = "/etc/ssh/sshd_config"
	sshdFolder  = "/etc/ssh/sshd_config.d"
	sshdRuns    = "/proc/sshd" // what the sshd that runs has read
)

// sshdDefaults are OpenSSH's of Debian 12, as far as tests need them.
func sshdDefaults() map[string]string {
	return map[string]string{
		"port": "22", "listenaddress": "0.0.0.0", "pubkeyauthentication": "yes", "passwordauthentication": "yes", "kbdinteractiveauthentication": "yes", "permitemptypasswords": "no",
		"permitrootlogin": "prohibit-password", "x11forwarding": "no", "usepam": "no",
		"kexalgorithms": "curve25519-sha256,diffie-hellman-group16-sha512,diffie-hellman-group14-sha256",
		"ciphers":       "chacha20-poly1305@openssh.com,aes128-ctr", "macs": "umac-64@openssh.com,hmac-sha2-256,hmac-sha1",
	}
}

// InstallSSHD has an sshd run with a configuration as Debian ships it.
func InstallSSHD(h *Host) {
	h.Put(sshdProgram, "program", 0o755)
	h.Put(sshdMain, "Include "+sshdFolder+"/*.conf\n\nKbdInteractiveAuthentication no\nUsePAM yes\nX11Forwarding yes\n", 0o644)
	h.Put(sshdFolder+"/README", "", 0o644)
	h.Put("/etc/salvor/host.age", "", 0o600)
	h.Put(packagedUnits+"/ssh.service", "[Service]\n", 0o644)
	h.Start("ssh.service")
	h.mu.Lock()
	defer h.mu.Unlock()
	sshd{h}.reread()
}

// sshd is the part of a host that lets in.
type sshd struct{ host *Host }

// run knows -t, -T and -f /dev/stdin.
func (s sshd) run(c machine.Cmd) (string, error) {
	if s.host.nodes[sshdProgram] == nil {
		return "", exit(c, 127, sshdProgram+": not found")
	}
	name, content := sshdMain, ""
	if n := s.host.nodes[sshdMain]; n != nil {
		content = string(n.content)
	}
	if slices.Contains(c.Argv, "/dev/stdin") {
		text, err := io.ReadAll(c.Stdin)
		if err != nil {
			return "", err
		}
		name, content = "/dev/stdin", string(text)
	}
	set := map[string]string{}
	if bad := s.read(name, content, set); bad != "" {
		return "", exit(c, 255, bad)
	}
	if i := slices.Index(c.Argv, "-C"); i > 0 && set["match localport"] != "" && !strings.Contains(c.Argv[i+1], "lport=") {
		return "", exit(c, 255, "'Match LocalPort' in configuration but 'lport' not in connection test specification.")
	}
	if slices.Contains(c.Argv, "-t") {
		return "", nil
	}
	return effective(set), nil
}

// read reads a file; of what is below a Match nothing counts here.
func (s sshd) read(name, content string, set map[string]string) (bad string) {
	for i, line := range strings.Split(content, "\n") {
		fields := strings.Fields(line)
		if len(fields) < 2 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		switch key := strings.ToLower(fields[0]); key {
		case "match":
			set["match "+strings.ToLower(fields[1])] = line
			return ""
		case "include":
			if bad := s.include(fields[1], set); bad != "" {
				return bad
			}
		default:
			if _, known := sshdDefaults()[key]; !known {
				return fmt.Sprintf("%s: line %d: Bad configuration option: %s", name, i+1, fields[0])
			}
			if _, has := set[key]; !has {
				set[key] = fields[1]
			}
		}
	}
	return ""
}

func (s sshd) include(pattern string, set map[string]string) (bad string) {
	for _, name := range slices.Sorted(maps.Keys(s.host.nodes)) {
		if fits, err := path.Match(pattern, name); err == nil && fits && bad == "" {
			bad = s.read(name, string(s.host.nodes[name].content), set)
		}
	}
	return bad
}

// effective is what sshd -T prints.
func effective(set map[string]string) string {
	var b strings.Builder
	defaults := sshdDefaults()
	for _, key := range slices.Sorted(maps.Keys(defaults)) {
		value, has := set[key]
		switch {
		case !has:
			value = defaults[key]
		case strings.HasPrefix(value, "-"):
			value = without(defaults[key], value[1:])
		}
		if value == "prohibit-password" {
			value = "without-password"
		}
		if key == "listenaddress" && !strings.Contains(value, ":") {
			value += ":" + cmp.Or(set["port"], defaults["port"])
		}
		fmt.Fprintf(&b, "%s %s\n", key, value)
	}
	return b.String()
}

func without(list, patterns string) string {
	kept := slices.DeleteFunc(strings.Split(list, ","), func(name string) bool {
		return slices.ContainsFunc(strings.Split(patterns, ","), func(pattern string) bool {
			fits, err := path.Match(pattern, name)
			return err == nil && fits
		})
	})
	return strings.Join(kept, ",")
}

// reread is what the sshd that runs does for a SIGHUP.
func (s sshd) reread() {
	text, err := s.run(machine.Command(sshdProgram, "-T"))
	if err == nil {
		s.host.nodes[sshdRuns] = &node{mode: 0o444, owner: "root", group: "root", content: []byte(text), modified: s.host.tick()}
	}
}

// SSHD returns a setting of the sshd that runs.
func SSHD(h *Host, key string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := h.nodes[sshdRuns]; n != nil {
		for line := range strings.Lines(string(n.content)) {
			if name, value, _ := strings.Cut(strings.TrimSpace(line), " "); name == key {
				return value
			}
		}
	}
	return ""
}

// listening lists the ports of the sshd that runs, or of the socket that starts it.
func (s sshd) listening(machine.Cmd) (string, error) {
	n := s.host.nodes[sshdRuns]
	if n == nil {
		return "", nil
	}
	_, at, _ := strings.Cut(string(n.content), "listenaddress ")
	at, _, _ = strings.Cut(at, "\n")
	if file, _ := systemd(s).unitFile(sshSocket); file != nil && s.host.runs[sshSocket].active {
		at = listenStream(file)
	}
	return "tcp LISTEN 0 128 " + at + " 0.0.0.0:* users:((\"sshd\",pid=7,fd=3))\n", nil
}

// sshSocket starts sshd at the first connection, as on Ubuntu 24.04.
const sshSocket = "ssh.socket"

func listenStream(unit *node) string {
	_, at, _ := strings.Cut(string(unit.content), "ListenStream=")
	at, _, _ = strings.Cut(at, "\n")
	return at
}

// grep knows what looks for settings in sshd's files: it prints all of their lines.
func (s sshd) grep(c machine.Cmd) (string, error) {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s.host.nodes)) {
		if name != sshdMain && (path.Dir(name) != sshdFolder || path.Ext(name) != ".conf") {
			continue
		}
		for i, line := range strings.Split(string(s.host.nodes[name].content), "\n") {
			if line != "" && !strings.HasPrefix(line, "#") {
				fmt.Fprintf(&b, "%s:%d:%s\n", name, i+1, line)
			}
		}
	}
	if b.Len() == 0 {
		return "", exit(c, 1, "")
	}
	return b.String(), nil
}

func (s sshd) rm(c machine.Cmd) (string, error) {
	for _, name := range operands(c.Argv) {
		delete(s.host.nodes, name)
	}
	return "", nil
}
