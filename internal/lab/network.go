package lab

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
)

// createNetwork makes the run's network on a free /24 of 10.200–10.249, which is
// outside the pools that inner Docker engines take their networks from. Docker itself
// refuses a subnet that overlaps one in use, so that two labs starting at once never
// share one.
func (l *Lab) createNetwork(ctx context.Context, seed uint32) error {
	var last error
	for try := range uint32(64) {
		n := seed + try*7919
		subnet := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(200 + n%50), byte(n / 50), 0}), 24)
		args := append([]string{"network", "create", "--subnet", subnet.String(), "--gateway", addressIn(subnet, 1).String()}, l.labels()...)
		_, err := docker(ctx, append(args, l.ID)...)
		if err == nil {
			l.subnet = subnet
			return nil
		}
		if last = err; !strings.Contains(err.Error(), "overlaps") {
			return err
		}
	}
	return fmt.Errorf("find a free subnet: %w", last)
}

func addressIn(subnet netip.Prefix, n int) netip.Addr {
	four := subnet.Addr().As4()
	four[3] = byte(n)
	return netip.AddrFrom4(four)
}

// Gateway is this machine's address on the lab's network: where hosts reach a
// collector or emulator that runs in the test's process.
func (l *Lab) Gateway() netip.Addr { return addressIn(l.subnet, 1) }

// nextAddress hands out an address. It stays its host's until the lab is down,
// through kills, cuts and replacements.
func (l *Lab) nextAddress() (netip.Addr, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.taken >= 250 {
		return netip.Addr{}, fmt.Errorf("all addresses of %s are taken", l.subnet)
	}
	l.taken++
	return addressIn(l.subnet, l.taken), nil
}
