package main

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"sync"
	"time"

	"tailscale.com/tailcfg"
	"tailscale.com/tstest/integration/testcontrol"
)

// keys say who may register. PUT /lab/key?value=KEY&for=10s lets one machine join with KEY,
// for that time; without a value the test server asks for no key, which is how members come
// back: it wants one of them again as long as it wants one at all.
type keys struct {
	members *testcontrol.Server

	mu     sync.Mutex // guards what follows
	value  string
	until  time.Time
	before int // machines that were members when it was made
}

// ServeHTTP implements http.Handler.
func (k *keys) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	value := r.URL.Query().Get("value")
	lasts, err := time.ParseDuration(r.URL.Query().Get("for"))
	if value != "" && err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	k.mu.Lock()
	k.value, k.until, k.before = value, time.Now().Add(lasts), k.members.NumNodes()
	k.mu.Unlock()
	fmt.Fprintln(w, k.before)
}

// register is asked before a machine registers.
func (k *keys) register() (reject bool, retryAfter, text string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	good := time.Now().Before(k.until) && k.members.NumNodes() == k.before
	switch {
	case k.value == "" || good:
		k.members.RequireAuthKey = k.value
	default:
		k.members.RequireAuthKey = rand.Text() // which is not known to anything
	}
	return false, "", ""
}

// relays are the relay and the STUN server at an address, by no name.
func relays(address string) *tailcfg.DERPMap {
	node := &tailcfg.DERPNode{
		Name: "lab1", RegionID: 1, HostName: address, IPv4: address, IPv6: "none",
		STUNPort: stunPort, DERPPort: relayPort, InsecureForTests: true, STUNTestIP: address,
	}
	return &tailcfg.DERPMap{Regions: map[int]*tailcfg.DERPRegion{1: {RegionID: 1, RegionCode: "lab", Nodes: []*tailcfg.DERPNode{node}}}}
}
