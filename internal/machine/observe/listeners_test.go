package observe

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/project"
)

// ofSS is what ss prints on Debian 13.
const ofSS = `udp   UNCONN 0      0         127.0.0.53%lo:53         0.0.0.0:*    users:(("systemd-resolve",pid=500,fd=13))
udp   UNCONN 0      0      [fe80::1]%eth0:546           [::]:*    users:(("dhcpcd",pid=77,fd=9))
tcp   LISTEN 0      128             0.0.0.0:22         0.0.0.0:*    users:(("sshd",pid=1,fd=3),("systemd",pid=1,fd=45))
tcp   LISTEN 0      64              0.0.0.0:2049       0.0.0.0:*
tcp   LISTEN 0      511                   *:80               *:*    users:(("apache2",pid=812,fd=4))
tcp   LISTEN 0      4096   [::ffff:127.0.0.1]:63342            *:*    users:(("java",pid=9,fd=1))
tcp   LISTEN 0      128                [::]:22            [::]:*    users:(("sshd",pid=1,fd=4))
tcp   LISTEN 0      128                [::]:22            [::]:*    users:(("sshd",pid=1,fd=5))
`

func TestParseListeners(t *testing.T) {
	got, err := ParseListeners([]byte(ofSS))
	if err != nil {
		t.Fatal(err)
	}
	at := func(address, protocol string, port int, program string) Listener {
		return Listener{project.HostPort{Address: address, Protocol: protocol, First: port, Last: port}, program}
	}
	want := []Listener{
		at("127.0.0.53", "udp", 53, "systemd-resolve"), at("fe80::1", "udp", 546, "dhcpcd"), at("0.0.0.0", "tcp", 22, "sshd"), at("0.0.0.0", "tcp", 2049, ""),
		at("", "tcp", 80, "apache2"), at("127.0.0.1", "tcp", 63342, "java"), at("::", "tcp", 22, "sshd"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, bad := range []string{"tcp LISTEN 0 128\n", "tcp LISTEN 0 128 22 *:*\n", "tcp LISTEN 0 128 x:22 *:*\n", "tcp LISTEN 0 128 *:x *:*\n"} {
		if got, err := ParseListeners([]byte(bad)); err == nil {
			t.Errorf("%q is read as %+v", bad, got)
		}
	}
}

func FuzzParseListeners(f *testing.F) {
	f.Add([]byte(ofSS))
	f.Fuzz(func(_ *testing.T, out []byte) {
		_, _ = ParseListeners(out) // only panics matter
	})
}
