package benches

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path"
	"path/filepath"
	"strings"
	"time"

	"salvor/internal/deploy"
	"salvor/internal/fleet"
	"salvor/internal/lab"
	"salvor/internal/lab/world"
)

const prepareRounds = 3

// prepare makes clean hosts of Debian 13 ready, each with Docker, Tailscale, keys only, a firewall and security
// upgrades: by `salvor host add` and `salvor apply`, and by the plain Ansible roles of bench/prepare. Both get the same
// packages from the same cache, and one check says of both whether the host is ready.
func prepare(ctx context.Context, log func(string, ...any), report func(Figure)) (err error) {
	l, err := lab.Start(ctx, lab.Options{Name: "bench-prepare", Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Down(context.WithoutCancel(ctx))) }()
	p, err := newPreparing(ctx, l, log)
	if err != nil {
		return err
	}
	lock, err := unlock(ctx, p.World)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock()) }()
	for _, warm := range []func(context.Context) (time.Duration, error){p.ours, p.baseline} { // the package cache
		if _, err := warm(ctx); err != nil {
			return err
		}
	}
	pair, err := CompareMedians(ctx, prepareRounds, p.ours, p.baseline)
	if err != nil {
		return err
	}
	report(Figure{Name: "prepare.salvor", Value: pair.Ours.Seconds(), Unit: "s", OK: true})
	report(Figure{Name: "prepare.ansible", Value: pair.Baseline.Seconds(), Unit: "s", OK: true})
	report(AtMost("prepare", pair.Ratio(), "ratio", 0.7))
	return nil
}

// A preparing is a fleet without hosts that has a tailnet, and a computer with Debian 13's Ansible.
type preparing struct {
	*world.World
	tailnet *lab.Tailnet
	desk    *lab.Host
	page    string // an image that answers on port 80
	round   int
	log     func(string, ...any)
}

// Where the desk has what the play needs.
const (
	playDir  = "/root/prepare"
	playVars = "/root/vars.json"
	signedBy = "/root/tailscale.asc"
	installs = "apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends ansible-core openssh-client >/dev/null"
)

func newPreparing(ctx context.Context, l *lab.Lab, log func(string, ...any)) (*preparing, error) {
	w, err := world.New(ctx, l, world.Options{})
	if err != nil {
		return nil, err
	}
	images, err := w.Images(ctx)
	if err != nil {
		return nil, err
	}
	p := &preparing{World: w, page: images.Nginx, log: log}
	if p.tailnet, err = lab.StartTailnet(ctx, l); err != nil {
		return nil, err
	}
	if p.desk, err = l.Host(ctx, "desk", lab.HostOptions{}); err != nil {
		return nil, err
	}
	key, err := p.equip(ctx)
	if err != nil {
		return nil, err
	}
	return p, p.declare(ctx, key)
}

// equip gives the desk Ansible, the play and the operator's key, and returns the key that signs Tailscale's packages.
func (p *preparing) equip(ctx context.Context) (string, error) {
	root, err := world.Root(ctx)
	if err != nil {
		return "", err
	}
	if _, err := p.desk.Exec(ctx, "sh", "-ec", installs); err != nil {
		return "", err
	}
	version, err := p.desk.Exec(ctx, "ansible", "--version")
	if err != nil {
		return "", err
	}
	p.log("%s", strings.SplitN(version, "\n", 2)[0])
	for _, from := range []string{filepath.Join(root, "bench", "prepare"), p.Lab.Key()} {
		if err := p.desk.Put(ctx, from, "/root"); err != nil {
			return "", err
		}
	}
	key, err := p.desk.Exec(ctx, "curl", "-fsS", p.tailnet.Packages.KeyURL)
	if err != nil {
		return "", err
	}
	return key, p.desk.WriteFile(ctx, signedBy, key)
}

// declare has fleet.yaml name the tailnet.
func (p *preparing) declare(ctx context.Context, key string) error {
	declared, err := p.Read(fleet.File)
	if err != nil {
		return err
	}
	declared += fmt.Sprintf("tailnet:\n  tags: [tag:lab]\n  auth: secret:tailnet\n  login_server: %s\n  url: %s\n  key: |\n    %s\n",
		p.tailnet.URL, p.tailnet.Packages.URL, strings.ReplaceAll(strings.TrimSpace(key), "\n", "\n    "))
	if err := p.Write(fleet.File, declared); err != nil {
		return err
	}
	return p.Commit(ctx, "a tailnet")
}

// clean starts a host that is like Debian's cloud images, with python3-apt and without package indices, and returns the
// key with which it may join the tailnet.
func (p *preparing) clean(ctx context.Context, kind string) (h *lab.Host, key string, err error) {
	p.round++
	if h, err = p.Host(ctx, fmt.Sprintf("%s%d", kind, p.round), lab.HostOptions{}); err != nil {
		return nil, "", err
	}
	const asCloudImage = "apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends python3-apt >/dev/null && rm -rf /var/lib/apt/lists/* && touch -d '2 days ago' /var/lib/apt/lists"
	if _, err := h.Exec(ctx, "sh", "-ec", asCloudImage); err != nil {
		return nil, "", err
	}
	key = "key-of-" + h.Name
	return h, key, p.tailnet.Admit(ctx, key, 10*time.Minute)
}

func (p *preparing) ours(ctx context.Context) (time.Duration, error) {
	h, key, err := p.clean(ctx, "ours")
	if err != nil {
		return 0, err
	}
	if _, err := p.Salvor(ctx, strings.NewReader(key), "secret", "set", "tailnet"); err != nil {
		return 0, err
	}
	began := time.Now()
	if err := p.AddWith(ctx, h, "--manage", strings.Join(fleet.KnownAreas().Words(), ",")); err != nil {
		return 0, err
	}
	added := time.Since(began)
	out, err := p.Salvor(ctx, nil, "--json", "apply")
	took := time.Since(began)
	if err != nil {
		return 0, err
	}
	p.log("salvor: %s, host add %.1f s of it", took.Round(time.Second/10), added.Seconds())
	var receipt deploy.Receipt
	if err := json.Unmarshal([]byte(out), &receipt); err != nil {
		return 0, fmt.Errorf("read the receipt: %w", err)
	}
	logPhases(p.log, &receipt, began)
	if err := errors.Join(p.ready(ctx, h), h.Remove(ctx)); err != nil {
		return 0, err
	}
	_, err = p.Salvor(ctx, nil, "host", "remove", h.Name)
	return took, err
}

func (p *preparing) baseline(ctx context.Context) (time.Duration, error) {
	h, key, err := p.clean(ctx, "baseline")
	if err != nil {
		return 0, err
	}
	vars, err := json.Marshal(map[string]string{
		"hostname": h.Name, "auth_key": key, "login_server": p.tailnet.URL, "tailscale_url": p.tailnet.Packages.URL, "tailscale_key": signedBy,
	})
	if err != nil {
		return 0, err
	}
	if err := p.desk.WriteFile(ctx, playVars, string(vars)); err != nil {
		return 0, err
	}
	began := time.Now()
	out, err := p.desk.Exec(ctx, "env", "-C", playDir, "LC_ALL=C.UTF-8", "ansible-playbook", "-i", h.Address.String()+",", "-u", "root",
		"--private-key", path.Join("/root", filepath.Base(p.Lab.Key())), "-e", "@"+playVars, "site.yml")
	took := time.Since(began)
	if err != nil {
		return 0, fmt.Errorf("%w\n%s", err, tail(out, 3000))
	}
	p.log("ansible-playbook: %s, %s", took.Round(time.Second/10), strings.TrimSpace(tail(out, 120)))
	return took, errors.Join(p.ready(ctx, h), h.Remove(ctx))
}

// Ports of the check: a second sshd of the host's own, and one that a container publishes.
const (
	ownPort       = 2222
	publishedPort = 8081
)

// readyCheck ends with 0 on a host that is ready, and answers on both ports from inside.
const readyCheck = `docker info
docker compose version
restic version
tailscale version
tailscale status --json --peers=false | grep '"BackendState": "Running"'
sshd -T | grep -x 'passwordauthentication no'
sshd -T | grep -x 'kbdinteractiveauthentication no'
sshd -T | grep -xE 'permitrootlogin (without-password|prohibit-password)'
nft list ruleset | grep -w drop
dpkg -s unattended-upgrades | grep -x 'Status: install ok installed'
apt-config dump APT::Periodic::Unattended-Upgrade | grep -F '"1"'
systemctl is-enabled docker tailscaled apt-daily.timer apt-daily-upgrade.timer
systemctl is-active docker tailscaled apt-daily.timer apt-daily-upgrade.timer
/usr/sbin/sshd -p "$1" -o PidFile=none
docker run --quiet --detach --publish "$2:80" "$3"
for port in "$1" "$2"; do
	timeout 60 bash -c "until exec 3<>/dev/tcp/127.0.0.1/$port; do sleep 0.2; done"
done
`

// ready checks that a host is what both contenders promise, also from outside.
func (p *preparing) ready(ctx context.Context, h *lab.Host) error {
	if _, err := h.Exec(ctx, "sh", "-exc", readyCheck, "sh", fmt.Sprint(ownPort), fmt.Sprint(publishedPort), p.page); err != nil {
		return fmt.Errorf("%s is not ready: %w", h.Name, err)
	}
	for port, open := range map[uint16]bool{22: true, ownPort: false, publishedPort: false} {
		if answers(ctx, netip.AddrPortFrom(h.Address, port)) != open {
			return fmt.Errorf("%s is not ready: port %d is to be open from outside: %t", h.Name, port, open)
		}
	}
	return nil
}

// answers reports whether this machine can connect.
func answers(ctx context.Context, at netip.AddrPort) bool {
	conn, err := (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "tcp", at.String())
	return err == nil && conn.Close() == nil
}
